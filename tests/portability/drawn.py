"""What a random expression is applied to: arrays of every dtype, layout and kind of value, which a seed fixes.

Choices come from `random.random` and numbers from raw words of Philox, which Python and NumPy promise to keep; words
become numbers by operations that are exact.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

FLOATS = ("float64", "float64", "float64", "float32", "float32", "float32", "float16")
INTEGERS = ("int64", "int64", "int32", "int8", "uint8", "bool")
LAYOUTS = ("C", "C", "Fortran", "strided", "reversed", "misaligned", "byte-swapped", "repeated", "window")
VALUES = ("ordinary", "ordinary", "ordinary", "wide", "ties", "special", "bits")


class Draws:
    """Choices, one after another."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random
        self.words = np.random.Philox(key=seed).random_raw

    def below(self, n: int) -> int:
        """A whole number from 0."""
        return int(self.random() * n)

    def pick(self, among: Sequence[T]) -> T:
        """One of several."""
        return among[self.below(len(among))]

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.random() < share


def special(dtype: Any) -> Any:
    """Zeros, infinities, NaNs and the ends of the range."""
    ends = np.finfo(dtype)
    both = [0.0, np.inf, np.nan, ends.max, ends.tiny, ends.smallest_subnormal, 1.0]
    values = np.array(both, dtype)
    return np.concatenate([values, np.copysign(values, dtype.type(-1))])


def numbers(draws: Draws, dtype: Any, kind: str, size: int) -> Any:
    """A vector of numbers of a kind."""
    words = draws.words(size)
    if dtype.kind == "b":
        return words % 2 == 1
    if dtype.kind in "iu":
        return (words % 9).astype(dtype) - dtype.type(4 if dtype.kind == "i" else 0)
    if kind == "bits":
        return words.astype(f"u{dtype.itemsize}").view(dtype)
    if kind == "ties":
        return ((words % 9).astype(np.float64) / 2 - 2).astype(dtype)
    span = 2 if kind != "wide" else {2: 10, 4: 60, 8: 500}[dtype.itemsize]
    exponent = words >> np.uint64(20) & np.uint64(0xFFFF)
    scale = exponent % np.uint64(2 * span) + np.uint64(1023 - span)
    signed = words & np.uint64(0x800FFFFFFFFFFFFF) | scale << np.uint64(52)
    values = signed.view(np.float64).astype(dtype)
    if kind == "special":
        among = special(dtype)
        return np.where(words % 3 == 0, among[(words >> np.uint64(8)) % len(among)], values)
    return values


def laid_out(array: Any, layout: str) -> Any:
    """The same array, lying otherwise in memory."""
    if layout == "Fortran":
        return np.array(array, order="F")
    if layout == "reversed":
        turned = tuple([slice(None, None, -1)] * array.ndim)
        return np.array(array[turned])[turned]
    if layout == "misaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
        view = raw.view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    if layout == "byte-swapped":
        return array.astype(array.dtype.newbyteorder())
    if layout in ("strided", "window"):
        room = np.ones([2 * n + 3 for n in array.shape], array.dtype)
        part = tuple(slice(0, 2 * n, 2) if layout == "strided" else slice(2, 2 + n) for n in array.shape)
        room[part] = array
        return room[part]
    return array


def array_of(draws: Draws, shape: tuple[int, ...], dtype: str, kind: str, layout: str) -> Any:
    """An array; in the layout `repeated` its rows are one row."""
    size = prod(shape)
    values = numbers(draws, np.dtype(dtype), kind, size).reshape(shape)
    if layout == "repeated" and len(shape) > 1 and size:
        return np.broadcast_to(values[:1], shape)
    return laid_out(values, layout)
