"""Write tests/golden/elementary.json: exact values from mpmath, and digests of what the functions give today.

Run by hand, `python tests/golden/write_elementary.py`, and only when the contract gets a new version: the digests are
the promise that no bit ever changes. Tests never call it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mpmath as mp

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_elementary import EXACT, POINTS, POWER_POINTS, sweep_digests


def rounded(value: mp.mpf) -> str:
    """The nearest float64 as hex; subnormal results are rounded once too."""
    if mp.isinf(value) or value == 0:
        return float(value).hex()
    _, exponent = mp.frexp(value)
    unit = mp.mpf(2) ** max(int(exponent) - 53, -1074)
    return float(mp.nint(value / unit) * unit).hex()


def main() -> None:
    values = {}
    with mp.workprec(1400):
        for name, exact in EXACT.items():
            values[name] = [[x.hex(), rounded(exact(mp.mpf(x)))] for x in POINTS[name]]
        powers = [[x.hex(), y.hex(), rounded(mp.mpf(x) ** mp.mpf(y))] for x, y in POWER_POINTS]
    golden = {"values": values, "power": powers, "digests": sweep_digests()}
    Path(__file__).with_name("elementary.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
