"""Random numbers as pure functions of explicit keys: the same arguments give the same bits, on every machine.

Draws use the raw 64-bit words of NumPy's Philox bit generator with that key and counter 0, one word for each number
drawn, in C order, and portable arithmetic. Draw once from a key: two draws from the same key use the same words.

Example:
    >>> weights, dropout = split(key(0))
    >>> normal(weights, (2, 3)).shape, bernoulli(dropout, 0.5, 4).dtype
    ((2, 3), dtype('bool'))
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from purenet.arithmetic.elementary import log
from purenet.arithmetic.special import erf, erfc, normal_quantile, normal_quantile_about_half
from purenet.errors import ArgumentError, DtypeError, ShapeError
from purenet.keys import Key, Words, bits, fold_in, integer, key, require_key, split
from purenet.records import Array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

Shape: TypeAlias = int | Sequence[int]

__all__ = [
    "Key",
    "bernoulli",
    "bits",
    "choice",
    "fold_in",
    "integers",
    "key",
    "normal",
    "permutation",
    "split",
    "truncated_normal",
    "uniform",
]


def __dir__() -> list[str]:
    return __all__


_SQRT_HALF = 0.7071067811865476
_WORDS = 1 << 64


def uniform(key: Key, shape: Shape = (), low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float64) -> Any:
    """Numbers spread evenly over low <= x < high: low + (high - low) * u.

    u is the leading 53 bits of a word (24 for float32) over 2**53 (2**24). Both bounds are first taken to `dtype`, low
    upwards and high downwards; what rounds to `high` becomes the number just below it.

    Raises:
        ArgumentError: unless low < high, both finite in `dtype`.

    Example:
        >>> x = uniform(key(0), 1000, -1.0, 1.0)
        >>> bool((x >= -1).all() and (x < 1).all())
        True
    """
    require_key(key, "uniform")
    sizes, kind = _shape(shape, "uniform"), _floating(dtype, "uniform")
    if (low, high) == (0.0, 1.0):
        return _unit(bits(key, prod(sizes)), kind).reshape(sizes)[()]
    first, last = _bounds(low, high, kind, "uniform")
    span = last - first
    if not (first < last and abs(span) < np.inf):
        raise ArgumentError(f"expected low < high, both finite, got low={low} and high={high}", path="uniform")
    x = _unit(bits(key, prod(sizes)), kind).astype(np.float64)
    x *= span
    x += first
    x = x.astype(kind, copy=False)
    x[x >= last] = np.nextafter(kind.type(last), kind.type(first))
    return x.reshape(sizes)[()]


def normal(key: Key, shape: Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Standard normal numbers: `normal_quantile((2 * k + 1) / 2**54)`, k the leading 53 bits of a word.

    Exactly symmetric about 0, and at most 8.3 in size. float32 is the float64 number rounded.

    Example:
        >>> x = normal(key(0), (100, 100))
        >>> bool(abs(x.mean()) < 0.05 and abs(x.std() - 1) < 0.05)
        True
    """
    require_key(key, "normal")
    sizes, kind = _shape(shape, "normal"), _floating(dtype, "normal")
    words = (bits(key, prod(sizes)) >> np.uint64(10)) | np.uint64(1)
    offsets = words.view(np.int64)
    offsets -= 1 << 53
    x = normal_quantile_about_half(offsets * 2.0**-54)
    return x.astype(kind, copy=False).reshape(sizes)[()]


def truncated_normal(key: Key, lower: float, upper: float, shape: Shape = (), dtype: DTypeLike = np.float64) -> Any:
    """Standard normal numbers given that lower <= x <= upper, by the quantile of a uniform probability between.

    Args:
        lower: the least value; may be -inf.
        upper: the greatest value; may be inf.

    Raises:
        ArgumentError: unless lower < upper, or if a normal variable does not get there (beyond 38 from 0).

    Example:
        >>> x = truncated_normal(key(0), -2.0, 2.0, 1000)
        >>> bool((abs(x) <= 2).all())
        True
    """
    require_key(key, "truncated_normal")
    sizes, kind = _shape(shape, "truncated_normal"), _floating(dtype, "truncated_normal")
    first, last = _bounds(lower, upper, kind, "truncated_normal")
    if not first < last:
        raise ArgumentError(f"expected lower < upper, got lower={lower} and upper={upper}", path="truncated_normal")
    u = _open_unit(bits(key, prod(sizes)))
    x = -_truncated(u, -last, -first) if first > 0.0 else _truncated(u, first, last)
    x = np.clip(x.astype(kind, copy=False), kind.type(first), kind.type(last))
    return x.reshape(sizes)[()]


def bernoulli(key: Key, p: ArrayLike, shape: Shape = ()) -> Any:
    """True with probability `p`, as bool: whether the leading 53 bits of a word are below p * 2**53.

    Args:
        p: between 0 and 1; a number, or an array that broadcasts to `shape`.

    Raises:
        ArgumentError: if `p` lies outside [0, 1].
        ShapeError: if it does not broadcast to `shape`.

    Example:
        >>> bernoulli(key(0), 1.0, 3)
        array([ True,  True,  True])
    """
    require_key(key, "bernoulli")
    sizes = _shape(shape, "bernoulli")
    chance = np.asarray(p, np.float64)
    if not ((chance >= 0.0) & (chance <= 1.0)).all():
        raise ArgumentError(f"expected probabilities between 0 and 1, got p={p!r:.60}", path="bernoulli")
    if chance.ndim > len(sizes) or any(a not in (1, b) for a, b in zip(chance.shape[::-1], sizes[::-1], strict=False)):
        raise ShapeError(f"p of shape {chance.shape} does not broadcast to shape {sizes}", path="bernoulli")
    words = bits(key, prod(sizes))
    words >>= np.uint64(11)
    return (words.reshape(sizes) < np.ceil(chance * 2.0**53).astype(np.uint64))[()]


def integers(key: Key, low: int, high: int, shape: Shape = (), dtype: DTypeLike = np.int64) -> Any:
    """Integers spread evenly over low <= i < high, exactly without bias.

    Words from the stream in order; those at or above the largest multiple of high - low are passed over; then
    low + word mod (high - low).

    Raises:
        ArgumentError: unless low < high, and both fit `dtype`.

    Example:
        >>> sorted(set(integers(key(0), 1, 7, 100).tolist()))
        [1, 2, 3, 4, 5, 6]
    """
    require_key(key, "integers")
    sizes = _shape(shape, "integers")
    first, end = integer(low, "low", "integers"), integer(high, "high", "integers")
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        raise DtypeError(f"expected an integer dtype, got {kind}", path="integers")
    info = np.iinfo(kind)
    if not (info.min <= first < end <= info.max + 1):
        problem = f"expected {info.min} <= low < high <= {info.max + 1} for {kind}, got low={first} and high={end}"
        raise ArgumentError(problem, path="integers")
    values = _below(key, end - first, prod(sizes))
    values += np.uint64(first % _WORDS)
    return values.astype(kind).reshape(sizes)[()]


def permutation(key: Key, n_or_array: int | ArrayLike) -> Array:
    """The integers below `n`, or the rows of an array (a copy), in random order.

    The order is that of one random word for each; equal words, of which there is one pair in 10**7 permutations of
    a million, keep their order.

    Example:
        >>> sorted(permutation(key(0), 5).tolist())
        [0, 1, 2, 3, 4]
    """
    require_key(key, "permutation")
    n, rows = _population(n_or_array, "permutation")
    order = np.argsort(bits(key, n), kind="stable").astype(np.int64, copy=False)
    return order if rows is None else rows[order]


def choice(
    key: Key, n_or_array: int | ArrayLike, shape: Shape = (), replace: bool = True, p: ArrayLike | None = None
) -> Any:
    """Random integers below `n`, or random rows of an array.

    Args:
        n_or_array: how many there are to choose from, or an array whose rows (along the first axis) are chosen.
        shape: how many to choose, in what arrangement.
        replace: whether one can be chosen more than once.
        p: the probability of each, all summing to 1; equal if None. Without replacement each next one is chosen in
            proportion among those left.

    Raises:
        ArgumentError: if there are not enough to choose from without replacement, or `p` is no distribution.

    Example:
        >>> choice(key(0), 3, 4, p=[0.0, 1.0, 0.0])
        array([1, 1, 1, 1])
    """
    require_key(key, "choice")
    n, rows = _population(n_or_array, "choice")
    sizes = _shape(shape, "choice")
    count = prod(sizes)
    chances = None if p is None else _distribution(p, n)
    available = n if chances is None else int(np.count_nonzero(chances))
    if (count > available and not replace) or (count > 0 and available == 0):
        kind = "" if chances is None else " of non-zero probability"
        problem = f"cannot choose {count} out of {available}{kind}; choose fewer, or set replace=True"
        raise ArgumentError(problem, path="choice")
    chosen = _chosen(key, n, count, replace, chances).reshape(sizes)
    return chosen[()] if rows is None else rows[chosen]


def _chosen(key: Key, n: int, count: int, replace: bool, chances: Array | None) -> Array:
    if count == 0:
        return np.zeros(0, np.int64)
    if chances is None:
        return _below(key, n, count).astype(np.int64) if replace else permutation(key, n)[:count]
    if replace:
        cumulative = np.add.accumulate(chances)  # accumulate adds from left to right, unlike sum
        u = _unit(bits(key, count), np.dtype(np.float64))
        return np.searchsorted(cumulative, u * cumulative[-1:], side="right").astype(np.int64, copy=False)
    # The first arrivals among exponential clocks whose rates are the chances are a sample without replacement.
    arrival = -log(_open_unit(bits(key, n)))
    with np.errstate(divide="ignore", over="ignore"):
        arrival /= chances
    candidates = np.flatnonzero(chances)
    order = np.argsort(arrival[candidates], kind="stable")
    return candidates[order[:count]].astype(np.int64, copy=False)


def _distribution(p: ArrayLike, n: int) -> Array:
    chances = np.asarray(p, np.float64)
    if chances.shape != (n,):
        raise ShapeError(f"expected one probability for each of {n}, got shape {chances.shape}", path="choice.p")
    if not ((chances >= 0.0) & (chances < np.inf)).all():
        raise ArgumentError("expected probabilities >= 0, got a negative number, infinity or NaN", path="choice.p")
    total = float(np.add.accumulate(chances)[-1]) if n else 1.0
    if abs(total - 1.0) > 1e-6:
        raise ArgumentError(f"expected probabilities that sum to 1, got {total}; divide by their sum", path="choice.p")
    return chances


def _below(key: Key, span: int, count: int) -> Words:
    """`count` integers from 0 to span - 1, each equally likely, for 1 <= span <= 2**64."""
    words = bits(key, count)
    excess = _WORDS % span
    if excess:
        drawn, limit = count, np.uint64(_WORDS - excess)
        while (accepted := words[words < limit]).size < count:
            drawn = 2 * drawn + 16
            words = bits(key, drawn)
        words = accepted[:count]
    return words if span == _WORDS else words % np.uint64(span)


def _truncated(u: Array, lower: float, upper: float) -> Array:
    """Normal numbers between the bounds for uniform `u`, where lower <= 0, so that no probability is close to 1."""
    a, b = lower * _SQRT_HALF, upper * _SQRT_HALF
    start, end = (0.5 * erf(a), 0.5 * erf(b)) if upper > 0.0 else (0.5 * erfc(-a), 0.5 * erfc(-b))
    if end == 0.0:
        problem = f"a normal variable has no probability beyond {-upper} in float64; move the interval towards 0"
        raise ArgumentError(problem, path="truncated_normal")
    quantile = normal_quantile_about_half if upper > 0.0 else normal_quantile
    x: Array = quantile(u * (end - start) + start)
    return x


def _unit(words: Words, dtype: np.dtype[Any]) -> Array:
    """Freshly drawn words as numbers 0 <= u < 1, from as many leading bits as `dtype` has."""
    precision = 53 if dtype == np.float64 else 24
    words >>= np.uint64(64 - precision)
    u = words.astype(dtype)
    u *= dtype.type(2.0**-precision)
    return u


def _open_unit(words: Words) -> Array:
    """Words as numbers 0 < u < 1: (2 * k + 1) / 2**53, k the leading 52 bits."""
    u: Array = ((words >> np.uint64(12)) * np.uint64(2) + np.uint64(1)) * 2.0**-53
    return u


def _bounds(low: float, high: float, dtype: np.dtype[Any], place: str) -> tuple[float, float]:
    """The smallest number of `dtype` at or above `low`, and the largest at or below `high`."""
    try:
        first, last = float(low), float(high)
    except (TypeError, ValueError):
        raise DtypeError(f"expected two numbers as bounds, got {low!r:.40} and {high!r:.40}", path=place) from None
    if dtype == np.float64:
        return first, last
    with np.errstate(over="ignore"):
        near = np.array([first, last], np.float32)
        beyond = np.nextafter(near, np.array([np.inf, -np.inf], np.float32))
    inside = float(near[0]) >= first, float(near[1]) <= last
    return float(near[0] if inside[0] else beyond[0]), float(near[1] if inside[1] else beyond[1])


def _shape(shape: Shape, place: str) -> tuple[int, ...]:
    sizes = tuple([integer(n, "shape", place) for n in (shape if isinstance(shape, Sequence) else (shape,))])
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"expected sizes >= 0, got {sizes}", path=f"{place}.shape")
    return sizes


def _floating(dtype: DTypeLike, place: str) -> np.dtype[Any]:
    kind = np.dtype(np.dtype(dtype).type)
    if kind not in (np.float64, np.float32):
        raise DtypeError(f"expected float64 or float32, got {kind}", path=f"{place}.dtype")
    return kind


def _population(n_or_array: int | ArrayLike, place: str) -> tuple[int, np.ndarray[Any, Any] | None]:
    """How many there are to choose from, and the rows if an array was given."""
    if not isinstance(n_or_array, Key) and np.ndim(n_or_array):
        return len(rows := np.asarray(n_or_array)), rows
    n = integer(n_or_array, "n_or_array", place, "an integer or an array with at least one axis")
    if n < 0:
        raise ArgumentError(f"expected n >= 0, got {n}", path=place)
    return n, None
