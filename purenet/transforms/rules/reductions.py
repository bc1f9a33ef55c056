"""Derivatives of sums, means, deviations, products and extrema, over any axes, and of running ones.

Conventions: ties of `max` and `min` share the derivative equally; that of `std` is 0 where the deviation is 0. Elements
left out by `where=` and NaNs left out by the `nan` functions have derivative 0.

The derivative of a product with respect to one factor is the product of the others. Where no factor is zero that is the
product divided by the factor; else it comes from running products from both sides. The derivative of a running product
with zeros is a linear recurrence `r[i] = b[i] + a[i] * r[i - 1]`, whose own derivatives are recurrences again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from purenet.arithmetic.native import primitive
from purenet.errors import ShapeError
from purenet.transforms.rule import (
    Composite,
    Linear,
    LinearMap,
    Primitive,
    Rule,
    broadcast,
    constant,
    present,
    reduced_axes,
    restore_axes,
)
from purenet.transforms.rules.elementwise import as_array, root


def _kept(where: Any, t: Any) -> Any:
    """A cotangent or tangent where a reduction took the elements, 0 elsewhere."""
    return t if where is True else np.where(where, t, 0)


def _sum_pull(
    out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None, keepdims: Any = False, initial: Any = None,
    where: Any = True,
) -> LinearMap:  # fmt: skip
    shape = x.shape
    return lambda g: _kept(where, broadcast(restore_axes(g, shape, axis, keepdims), shape))


def _sum_push(
    out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None, keepdims: Any = False, initial: Any = None,
    where: Any = True,
) -> LinearMap:  # fmt: skip
    return lambda t: np.sum(t, axis=axis, dtype=dtype, keepdims=keepdims, where=where)


def _with_initial(function: Any, combine: Any, neutral: float) -> Callable[..., Any]:
    """A reduction whose `initial` value may be traced: it joins in last."""

    def by_keyword(a: Any, *args: Any, initial: Any = neutral, where: Any = True, **kwargs: Any) -> Any:
        return combine(function(a, *args, initial=neutral, where=constant(where), **kwargs), initial)

    return by_keyword


def _count(shape: tuple[int, ...], axis: Any, where: Any) -> Any:
    """How many elements go into each mean, with the reduced axes kept."""
    if where is True:
        return prod(shape) if axis is None else prod([shape[a] for a in reduced_axes(len(shape), axis)])
    return np.sum(np.broadcast_to(where, shape), axis=axis, keepdims=True)


def _divided(g: Any, count: Any) -> Any:
    """A cotangent divided by a count, in its own dtype also where NumPy 1 would promote a scalar."""
    return g / (g.dtype.type(count) if isinstance(count, int) else count.astype(g.dtype))


def _mean_pull(
    out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None, keepdims: Any = False, *, where: Any = True
) -> LinearMap:
    shape, count = x.shape, _count(x.shape, axis, where)
    return lambda g: _kept(where, broadcast(_divided(restore_axes(g, shape, axis, keepdims), count), shape))


def _degrees_of_freedom(shape: tuple[int, ...], axis: Any, where: Any, ddof: Any, correction: Any) -> Any:
    left = _count(shape, axis, where) - (ddof if correction is None else correction)
    return np.maximum(left, 0)


def _variance_pull(
    out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> LinearMap:  # fmt: skip
    """`d var / d x = 2 * (x - mean) / (count - ddof)`."""

    def pull(g: Any) -> Any:
        centre = np.mean(x, axis=axis, keepdims=True, where=where) if mean is None else mean
        freedom = _as_dtype(_degrees_of_freedom(x.shape, axis, where, ddof, correction), x.dtype)
        return restore_axes(g, x.shape, axis, keepdims) * _kept(where, (x - centre) * (_as_dtype(2, x.dtype) / freedom))

    return pull


def _as_dtype(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number, or an array or what stands for one, in a dtype."""
    return value.astype(dtype) if hasattr(value, "astype") else np.asarray(value, dtype)


def _variance_by_keyword(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """The variance about a mean that is traced itself."""
    if mean is None:
        return np.var(a, axis, dtype, ddof=ddof if correction is None else correction, keepdims=keepdims, where=where)
    squares = np.sum(np.square(a - mean), axis, dtype, keepdims=keepdims, where=where)
    freedom = _as_dtype(_degrees_of_freedom(a.shape, axis, where, ddof, correction), squares.dtype)
    return squares / (np.reshape(freedom, squares.shape) if np.ndim(freedom) and not keepdims else freedom)


def _extremum_pull(
    out: Any, x: Any, axis: Any = None, _: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> LinearMap:
    """Each element has its share: 1 over the number of ties, or 0."""
    hit = x == restore_axes(out, x.shape, axis, keepdims)
    if where is not True:
        hit = np.logical_and(hit, where)
    shares, shape = hit / np.maximum(np.sum(hit, axis=axis, keepdims=True, dtype=x.dtype), 1), x.shape
    return lambda g: restore_axes(g, shape, axis, keepdims) * shares


def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    a = as_array(a)
    if weights is None:
        mean = np.mean(a, axis, keepdims=keepdims)
        if not returned:
            return mean
        return mean, np.broadcast_to(np.asarray(_count(a.shape, axis, True), a.dtype), mean.shape)
    w = as_array(weights)
    if w.shape != a.shape:
        axes = reduced_axes(a.ndim, axis)
        if axis is None or w.shape != tuple(a.shape[i] for i in axes):
            raise ShapeError(f"weights of shape {w.shape} do not fit axis {axis} of shape {a.shape}", path="np.average")
        ordered = np.transpose(w, tuple(int(i) for i in np.argsort(axes)))
        w = np.reshape(ordered, tuple(n if i in axes else 1 for i, n in enumerate(a.shape)))
    everywhere = np.where(np.ones_like(a, dtype=np.bool_), w, 0)  # in the arithmetic of `a`, also if `w` is a constant
    total = np.sum(everywhere, axis=axis, keepdims=keepdims)
    mean = np.sum(a * w, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


def _median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    axes = reduced_axes(a.ndim, axis)
    rest = tuple(i for i in range(a.ndim) if i not in axes)
    count = prod([a.shape[i] for i in axes])
    last = np.reshape(np.transpose(a, rest + axes), (*(a.shape[i] for i in rest), count))
    ordered = np.sort(last, axis=-1)
    half = count // 2
    middle = np.mean(ordered[..., half - 1 + count % 2 : half + 1], axis=-1)
    if np.any(np.isnan(a)):
        middle = np.where(np.isnan(ordered[..., -1]), np.nan, middle)
    return np.reshape(middle, tuple(1 if i in axes else n for i, n in enumerate(a.shape))) if keepdims else middle


def _peak_to_peak(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def _filled(a: Any, missing: Any, filling: float) -> Any:
    return np.where(missing, a.dtype.type(filling), a)


def _without_nan(function: Any, filling: float) -> Callable[..., Any]:
    """A reduction that puts `filling` in the place of NaNs."""
    return lambda a, *args, **kwargs: function(_filled(a, np.isnan(a), filling), *args, **kwargs)


def _with_nan_left_out(function: Any) -> Callable[..., Any]:
    """A reduction over the elements that are not NaN."""

    def definition(a: Any, axis: Any = None, *args: Any, where: Any = True, **kwargs: Any) -> Any:
        seen = np.logical_and(np.logical_not(np.isnan(a)), where)
        return function(_filled(a, np.logical_not(seen), 0), axis, *args, where=seen, **kwargs)

    return definition


def _extremum_without_nan(function: Any, worst: float) -> Callable[..., Any]:
    def definition(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:
        if a.dtype.kind in "iub":
            return function(a, axis, keepdims=keepdims, **kwargs)
        missing = np.isnan(a)
        value = function(_filled(a, missing, worst), axis, keepdims=keepdims, **kwargs)
        nothing = np.all(missing, axis=axis, keepdims=keepdims)
        return np.where(nothing, np.nan, value) if np.any(nothing) else value

    return definition


# Products and running sums.


@primitive
def recurrence(a: Any, b: Any) -> Any:
    """`r[0] = b[0]`, `r[i] = b[i] + a[i] * r[i - 1]` along the first axis; `a` and `b` have one shape."""
    r = np.array(b)
    for i in range(1, len(r)):
        r[i] += a[i] * r[i - 1]
    return r


def _shifted_down(x: Any, first: float) -> Any:
    """Each element takes the place of the next along the first axis; `first` comes in front."""
    return np.concatenate([np.full_like(x[:1], first), x[:-1]])


def _recurrence_adjoint(a: Any, g: Any) -> Any:
    """`s[i] = g[i] + a[i + 1] * s[i + 1]`."""
    return np.flip(recurrence(_shifted_down(np.flip(a, 0), 0), np.flip(g, 0)), 0)


def _recurrence_pull_a(out: Any, a: Any, b: Any) -> LinearMap:
    return lambda g: _recurrence_adjoint(a, g) * _shifted_down(out, 0)


def _recurrence_pull_b(out: Any, a: Any, b: Any) -> LinearMap:
    return lambda g: _recurrence_adjoint(a, g)


# Running sums and products. `axis=None` runs over the flattened array.


def _cumsum_pull(out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None) -> LinearMap:
    along, shape = (0 if axis is None else axis), x.shape
    return lambda g: np.reshape(np.flip(np.cumsum(np.flip(g, along), along), along), shape)


def _along_first(x: Any, axis: Any) -> Any:
    return np.ravel(x) if axis is None else np.moveaxis(x, axis, 0)


def _cumprod_pull(out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None) -> LinearMap:
    shape = x.shape
    if np.all(np.not_equal(x, 0)):
        along = 0 if axis is None else axis
        return lambda g: np.reshape(np.flip(np.cumsum(np.flip(g * out, along), along), along), shape) / x

    def pull(g: Any) -> Any:
        factors = _along_first(x, axis)
        before = _shifted_down(np.cumprod(factors, axis=0), 1)
        pulled = before * _recurrence_adjoint(factors, _along_first(g, axis))
        return np.reshape(pulled, shape) if axis is None else np.moveaxis(pulled, 0, axis)

    return pull


def _product_of_others(out: Any, x: Any, axis: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    """For each element of `x` the derivative of the product that it goes into."""
    factors = x if where is True else np.where(where, x, 1)
    if np.all(np.not_equal(factors, 0)):
        others = restore_axes(out, x.shape, axis, keepdims) / factors
    else:
        axes = reduced_axes(x.ndim, axis)
        order = (*axes, *(i for i in range(x.ndim) if i not in axes))
        ordered = np.transpose(factors, order)
        flat = np.reshape(ordered, (-1, *ordered.shape[len(axes) :])) if axes else factors[None]
        before = _shifted_down(np.cumprod(flat, axis=0), 1)
        after = np.flip(_shifted_down(np.cumprod(np.flip(flat, 0), axis=0), 1), 0)
        back = tuple(int(i) for i in np.argsort(order))
        others = np.transpose(np.reshape(before * after, ordered.shape), back)
        others = others if initial is None else others * initial
    return others if where is True else np.where(where, others, 0)


def _prod_pull(
    out: Any, x: Any, axis: Any = None, dtype: Any = None, _: Any = None, keepdims: Any = False, initial: Any = None,
    where: Any = True,
) -> LinearMap:  # fmt: skip
    shape = x.shape
    return lambda g: restore_axes(g, shape, axis, keepdims) * _product_of_others(out, x, axis, keepdims, initial, where)


# The array API's names of the same, since NumPy 2.1.


def _cumulative(function: Any, first: float) -> Composite:
    def definition(x: Any, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
        along = 0 if axis is None else axis
        running = function(x, axis=along, dtype=dtype)
        if not include_initial:
            return running
        start = tuple(1 if i == along % running.ndim else n for i, n in enumerate(running.shape))
        return np.concatenate([np.full(start, first, running.dtype), running], axis=along)

    return Composite(definition)


def _running_extremum(function: Any) -> Composite:
    def definition(x: Any, axis: int = 0, dtype: Any = None) -> Any:
        values = np.moveaxis(constant(x), axis, 0)
        places = np.reshape(np.arange(len(values)), (-1,) + (1,) * (values.ndim - 1))
        latest = np.maximum.accumulate(np.where(values == function.accumulate(values), places, 0))
        return np.take_along_axis(x, np.moveaxis(latest, 0, axis), axis)

    return Composite(definition)


RULES: dict[Any, Rule] = {
    np.sum: Primitive(_sum_pull, forward=(_sum_push,), by_keyword=_with_initial(np.sum, np.add, 0)),
    np.mean: Linear(_mean_pull),
    np.var: Primitive(_variance_pull, by_keyword=_variance_by_keyword),
    np.std: Composite(lambda *args, **kwargs: root(np.var(*args, **kwargs))),
    np.average: Composite(_average),
    np.max: Primitive(_extremum_pull, by_keyword=_with_initial(np.max, np.maximum, -np.inf)),
    np.min: Primitive(_extremum_pull, by_keyword=_with_initial(np.min, np.minimum, np.inf)),
    np.amax: Composite(np.max),
    np.amin: Composite(np.min),
    np.ptp: Composite(_peak_to_peak),
    np.median: Composite(_median),
    np.nansum: Composite(_without_nan(np.sum, 0)),
    np.nanprod: Composite(_without_nan(np.prod, 1)),
    np.nancumsum: Composite(_without_nan(np.cumsum, 0)),
    np.nancumprod: Composite(_without_nan(np.cumprod, 1)),
    np.nanmean: Composite(_with_nan_left_out(np.mean)),
    np.nanvar: Composite(_with_nan_left_out(np.var)),
    np.nanstd: Composite(_with_nan_left_out(np.std)),
    np.nanmax: Composite(_extremum_without_nan(np.max, -np.inf)),
    np.nanmin: Composite(_extremum_without_nan(np.min, np.inf)),
    recurrence: Primitive(_recurrence_pull_a, _recurrence_pull_b),
    np.cumsum: Linear(_cumsum_pull),
    np.cumprod: Primitive(_cumprod_pull),
    np.prod: Primitive(_prod_pull, by_keyword=_with_initial(np.prod, np.multiply, 1)),
    (np.maximum, "accumulate"): _running_extremum(np.maximum),
    (np.minimum, "accumulate"): _running_extremum(np.minimum),
    **present(np, cumulative_sum=_cumulative(np.cumsum, 0), cumulative_prod=_cumulative(np.cumprod, 1)),
}
