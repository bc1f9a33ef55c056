"""Checks of the arguments of public functions: each returns the argument as a plain Python value, or raises by name."""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from purenet.errors import ArgumentError, DtypeError


def check_number(
    place: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a Python float, if it is a finite number within the bounds.

    Raises:
        DtypeError: if it is not a number.
        ArgumentError: if it is not finite or out of bounds.
    """
    if not is_number(value):
        raise DtypeError(f"expected a number, got {type(value).__name__} {value!r:.60}", path=place)
    number = float(value)
    inside = (
        math.isfinite(number)
        and (at_least is None or number >= at_least)
        and (above is None or number > above)
        and (at_most is None or number <= at_most)
        and (below is None or number < below)
    )
    if not inside:
        name = place.rpartition(".")[2]
        left = f"{at_least} <= " if at_least is not None else f"{above} < " if above is not None else ""
        right = f" <= {at_most}" if at_most is not None else f" < {below}" if below is not None else ""
        expected = f"{left}{name}{right}" if left or right else "a finite number"
        raise ArgumentError(f"expected {expected}, got {number}", path=place)
    return number


def check_count(place: str, value: Any, *, at_least: int = 1) -> int:
    """`value` as a Python int; a `DtypeError` if it is not an int, an `ArgumentError` if it is below `at_least`."""
    try:
        count = index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool):
        raise DtypeError(f"expected an int, got {type(value).__name__} {value!r:.60}", path=place)
    if count < at_least:
        raise ArgumentError(f"expected at least {at_least}, got {count}", path=place)
    return count


def check_flag(place: str, value: Any) -> bool:
    """`value` as a Python bool, or a `DtypeError`: a number or a string is more likely a mistake than a truth value."""
    if not isinstance(value, bool | np.bool_):
        raise DtypeError(f"expected True or False, got {type(value).__name__} {value!r:.60}", path=place)
    return bool(value)


def is_number(value: Any) -> bool:
    """Whether `value` is a real number of Python or NumPy; True and False are not."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
