"""The way into portable arithmetic and out of it.

Under differentiation a portable value is what a traced value holds, never the other way round: a trace carries its
calls out on portable values, and the formulas of its rules compute with them. So `enter` and `leave` are functions with
derivatives: the cotangent of what enters leaves, and the other way round.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from purenet.arithmetic.modes import Portable
from purenet.errors import ContractError
from purenet.transforms.portability.array import PortableArray, plain_of
from purenet.transforms.portability.operators import check_real
from purenet.transforms.rule import Linear
from purenet.transforms.tracer import Traced, plain

_REAL = "dfe?bBhHiIlLqQ"
"""The dtypes that need no further look."""


def enter(value: Any, mode: Portable) -> Any:
    """A leaf as a value of portable arithmetic; arrays cannot be written to through it."""
    cls = value.__class__
    if cls is np.ndarray:
        if value.dtype.char not in _REAL:
            if value.dtype.kind in "SUVMm":
                return value
            check_real(value)
        if value.flags.writeable:
            value = value.view()
            value.flags.writeable = False
        return PortableArray(value, mode)
    if cls is Traced:
        return value.owner.carry_out(enter, _ENTER, (value, mode), {})
    if cls is PortableArray:
        return PortableArray(value.value, mode)
    if isinstance(value, np.memmap):
        return enter(value.view(np.ndarray), mode)
    if isinstance(value, np.ndarray):
        problem = f"a {cls.__name__} has rules of its own, which are outside the numeric contract"
        raise ContractError(f"{problem}; pass np.asarray of it")
    return PortableArray(value, mode) if isinstance(value, np.generic | float) else value


def leave(value: Any, outside: Portable | None = None) -> Any:
    """A leaf as a plain value, or one of the arithmetic outside; every NaN gets the bits of `np.nan`."""
    if value.__class__ is Traced:
        return value if mode_of(value) is None else value.owner.carry_out(leave, _LEAVE, (value, outside), {})
    if value.__class__ is not PortableArray:
        return value
    if outside is not None:
        return PortableArray(value.value, outside)
    return canonical(value.value)


def plain_in_c_order(leaf: Any) -> Any:
    """What a leaf stands for, as an array in C order."""
    value = plain_of(leaf)
    return value if value.__class__ is np.ndarray and value.flags.c_contiguous else np.asarray(value, order="C")


def canonical(value: Any) -> Any:
    """An array or number in which every NaN has the bits of `np.nan`: itself, if it has none."""
    if isinstance(value, np.floating):
        return type(value)(np.nan) if value != value else value
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    undefined = np.isnan(value)
    if not undefined.any():
        return value
    result = np.where(undefined, value.dtype.type(np.nan), value)
    return result if value.ndim else result[()]  # no view, whose base could be written to


def is_finite(leaf: Any) -> bool:
    """Whether an array has neither NaN nor infinity, nor numbers whose squares overflow: a quick first look."""
    value = leaf if leaf.__class__ is np.ndarray else leave(plain(leaf))
    if value.dtype.kind != "f":
        return True
    flat = value.ravel()
    return math.isfinite(flat.dot(flat))


_ENTER = Linear(lambda out, value, mode: lambda g: leave(g))
_LEAVE = Linear(lambda out, value, outside: partial(enter, mode=mode_of(value)))


def mode_of(value: Any) -> Any:
    """The arithmetic of a value, within whatever traces; None if it is not portable."""
    while value.__class__ is Traced:
        value = value.value
    return value.mode if value.__class__ is PortableArray else None
