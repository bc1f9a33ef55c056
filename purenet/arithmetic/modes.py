"""Which arithmetic a computation uses, as a value: `Native` or `Portable`."""

from __future__ import annotations

from typing import TypeAlias

from purenet.errors import ArgumentError
from purenet.records import static, struct

PORTABLE_1 = "portable-1"
"""The name of the numeric contract. A change of any bit of any result is a new name."""

MOST_SLICES = 3


@struct
class Native:
    """NumPy's own arithmetic: as fast as this machine can, with bits that may differ on another.

    Example:
        >>> Native()
        Native()
    """


@struct
class Portable:
    """Arithmetic by the numeric contract: the same bits on every machine.

    Args:
        slices: how many pieces each operand of a matrix product is cut into: 1 keeps about 21 bits, which is the class
            of float32; 2 about 42; 3 full double precision.
        version: the name of the contract.

    Raises:
        ArgumentError: if there is no such contract.

    Example:
        >>> Portable(slices=3)
        Portable(slices=3, version='portable-1')
    """

    slices: int = static(default=1)
    version: str = static(default=PORTABLE_1)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.slices, bool) or self.slices not in range(1, MOST_SLICES + 1):
            raise ArgumentError(f"expected 1, 2 or 3, got {self.slices!r}", path="Portable.slices")
        if self.version != PORTABLE_1:
            problem = f"expected {PORTABLE_1!r}, the contract that this version of purenet knows, got {self.version!r}"
            raise ArgumentError(problem, path="Portable.version")


Mode: TypeAlias = Native | Portable
