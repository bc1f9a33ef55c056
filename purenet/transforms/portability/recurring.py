"""A batch that comes again at the next step: its arrays enter portable arithmetic with the slices cut for the last one.

In training on a full batch, most of what products prepare is prepared of the same arrays at every step. So a portable
step keeps the arrays of the batch that it saw last, and what products have cut of them. That changes no bit of any
result. It is one attribute, assigned at once and never changed in place, so that threads may share a step; it keeps
alive at most the arrays of one batch and, of those with up to `LARGEST` elements, a copy and their slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from purenet.arithmetic.modes import Portable
from purenet.arithmetic.slicing import Operand
from purenet.records import frozen
from purenet.transforms.portability.array import PortableArray
from purenet.transforms.portability.boundary import enter
from purenet.transforms.portability.function import entered

SMALLEST, LARGEST = 1 << 10, 1 << 20
"""Slices are kept of arrays with so many elements; those of smaller ones are cut as quickly as they are found again."""

_FLOATS = frozenset({np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)})


class _Seen(NamedTuple):
    """An array of the last batch."""

    array: Any
    operand: Operand | None = None
    """What is kept of it, from the second time that it comes: a copy, for whoever made it may write to it again.

    That may be so even if the array is read-only, by way of another view, of a file, or of the flag.
    """
    is_used: bool = True
    """Whether products have asked for slices of it, as far as is known."""
    bits: bytearray = bytearray()
    """The memory of that copy, in C order."""


_NOTHING: Mapping[int, _Seen] = MappingProxyType({})


class LastBatch:
    """The base of a record that keeps what it knows of the batch that it saw last, beside its fields."""

    __slots__ = ("_seen",)

    def entered(self, batch: Any, mode: Portable) -> Any:
        """`function.entered`, with the slices of arrays that have come before and hold the same bits."""
        before: Mapping[int, _Seen] = getattr(self, "_seen", _NOTHING)
        after: dict[int, _Seen] = {}

        def enter_again(value: Any, mode: Portable) -> Any:
            if value.__class__ is not np.ndarray or not _is_worth_keeping(value):
                return enter(value, mode)
            seen = after[id(value)] = _seen_again(value, before.get(id(value)))
            operand = seen.operand
            return enter(value, mode) if operand is None else PortableArray(operand.matrix, mode, operand)

        if batch.__class__ is tuple and len(batch) == 2:  # spares the walk most of the time
            held: Any = (entered(batch[0], mode, enter_again), entered(batch[1], mode, enter_again))
        else:
            held = entered(batch, mode, enter_again)
        if after or before:
            object.__setattr__(self, "_seen", after)
        return held

    def operand(self, array: Any) -> Any:
        """An array as products take it: with the slices that they have cut of it, if it has come before."""
        if not _is_worth_keeping(array):
            return array
        before = getattr(self, "_seen", _NOTHING).get(id(array))
        seen = _seen_again(array, before)
        if seen is not before:
            object.__setattr__(self, "_seen", {id(array): seen})
        return seen.operand or array


def _is_worth_keeping(array: Any) -> bool:
    return array.ndim == 2 and bool(SMALLEST <= array.size <= LARGEST)


def _seen_again(array: Any, seen: _Seen | None) -> _Seen:
    """What is known of an array when it comes, after what was known of it the time before."""
    if seen is None:
        return _Seen(array)
    operand = seen.operand
    if operand is None:
        if not seen.is_used or array.dtype not in _FLOATS:
            return seen
        bits = bytearray(array.tobytes())
        return _Seen(array, Operand(frozen(np.frombuffer(bits, array.dtype).reshape(array.shape))), bits=bits)
    if not operand.has_slices:
        return _Seen(array, is_used=False)
    kept = operand.matrix
    if array.shape != kept.shape or array.dtype != kept.dtype:
        return _Seen(array)
    if array.flags.c_contiguous:
        is_same = seen.bits.__eq__(array) is True  # bytes with bytes, in the time that it takes to read them
    else:
        is_same = _has_bits(array, kept)
    return seen if is_same else _Seen(array)


def _has_bits(array: Any, kept: Any) -> bool:
    """Whether two arrays of a shape and dtype are the same bit for bit."""
    bits = f"i{kept.itemsize}"
    differs = np.not_equal(array.view(bits), kept.view(bits))
    return not differs.item(differs.argmax())
