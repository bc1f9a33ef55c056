"""NumPy's own products in the sizes and layouts of the programs: what a BLAS kernel has to survive to be of use.

`python -m portability.products` prints `true`, unless the kernel ends the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

SIZES = (
    (64, 1000, 100), (64, 100, 10), (1000, 64, 100), (100, 64, 10),  # the first seed, forwards and backwards
    (64, 20, 100), (20, 64, 100),  # the second
    (64, 64, 96), (64, 96, 10), (96, 64, 10),  # digits
    (37, 150, 21), (97, 70, 33), (16, 2048, 16),  # operands, batches, and a whole block of the contract
    (128, 1000, 100), (192, 1000, 300),  # slices side by side
)  # fmt: skip


def layouts(rows: int, columns: int, dtype: Any) -> Iterator[Any]:
    """Ones in C order, in Fortran order, and as a transpose."""
    yield np.ones((rows, columns), dtype)
    yield np.ones((rows, columns), dtype, order="F")
    yield np.ones((columns, rows), dtype).T


def main() -> None:
    """Multiply matrices, and matrices by vectors on either side."""
    for dtype in (np.float32, np.float64):
        for m, k, n in SIZES:
            for a in layouts(m, k, dtype):
                for b in layouts(k, n, dtype):
                    for product in (a @ b, a @ b[:, 0], a[0] @ b, a[0] @ b[:, 0], a @ a.T):
                        assert np.all(product == k)
    print("true")


if __name__ == "__main__":
    main()
