"""The contract `portable-1` as a table: for each function of NumPy what portable arithmetic carries out instead.

`CONTRACT` has functions of plain arrays and numbers; `PRODUCTS` those that take `slices` as well. A function in neither
is outside the contract, unless `transforms.rules` makes it up of functions that are in them. NumPy's own functions
stand in the table where IEEE 754, or the meaning of the function, leaves no choice of any bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

import numpy as np

from purenet.arithmetic import contraction, elementary, inverse, native, pointwise, special, sums
from purenet.arithmetic.pointwise import as_floats, like_ufunc
from purenet.arithmetic.promotion import LEGACY, agreeing, common_dtype, refuse
from purenet.errors import ArgumentError

# Order and layout.


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """`np.sort`, always stable: -0 and +0, which are equal, keep their order."""
    return np.sort(a, axis, kind="stable", order=order)


def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """`np.argsort`, always stable."""
    return np.argsort(a, axis, kind="stable", order=order)


def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    """`np.partition`: the elements sorted, which is one of the orders that it may give."""
    return np.sort(a, axis, kind="stable", order=order)


def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    """`np.argpartition`: the positions of the elements sorted."""
    return np.argsort(a, axis, kind="stable", order=order)


def unique(
    ar: Any, return_index: bool = False, return_inverse: Any = False, return_counts: Any = False, axis: Any = None,
    **options: Any,
) -> Any:  # fmt: skip
    """`np.unique`: of equal elements the first; the inverse has the shape of the array, or of the axis."""
    found: Any = np.unique(ar, True, return_inverse, return_counts, axis, **options)
    rest = list(found[1:] if return_index else found[2:])
    if return_inverse:
        rest[bool(return_index)] = found[2].reshape(np.shape(ar) if axis is None else -1)
    values = np.take(ar, found[1], axis)
    return (values, *rest) if rest else values


_MODES = ("constant", "edge", "reflect", "symmetric", "wrap", "empty")


def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """`np.pad` in the modes that only move elements; what the mode `empty` leaves open is 0."""
    if mode not in _MODES or options.get("reflect_type", "even") != "even":
        raise ArgumentError(f"expected one of {_MODES}, with even reflections, got {mode!r}", path="np.pad.mode")
    return np.pad(array, pad_width, "constant" if mode == "empty" else mode, **options)


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """`np.linspace`: `i * ((stop - start) / intervals) + start`; the last is `stop`."""
    start, stop = as_floats(start, stop)
    if start.dtype.kind != "f":
        start, stop = start.astype(np.float64), stop.astype(np.float64)
    intervals = num - 1 if endpoint else num
    step = (stop - start) / start.dtype.type(max(intervals, 1))
    places = np.arange(num, dtype=start.dtype).reshape((-1,) + (1,) * np.ndim(step))
    points = places * step + start
    if endpoint and num > 1:
        points[-1] = stop
    points = np.moveaxis(points, 0, axis) if axis else points
    points = points if dtype is None else points.astype(dtype)
    return (points, step if intervals > 0 else step.dtype.type(np.nan)) if retstep else points


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """`np.where`."""
    if x is None and y is None:
        return np.nonzero(condition)
    return np.where(condition, *(_in_one_dtype((x, y)) if LEGACY else (x, y)))


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """`np.select`."""
    if LEGACY:
        *choicelist, default = _in_one_dtype((*choicelist, default))
    return np.select(condlist, choicelist, default)


def choose(a: Any, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
    """`np.choose`."""
    refuse("choose", out=out)
    return np.choose(a, _in_one_dtype(tuple(choices)) if LEGACY else choices, mode=mode)


def _in_one_dtype(values: tuple[Any, ...]) -> list[Any]:
    dtype = common_dtype(values)
    return [np.asarray(value).astype(dtype, copy=False) for value in values]


def running_extremum(ufunc: Any) -> Callable[..., Any]:
    """`np.maximum.accumulate` and its kin."""

    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        refuse("ufunc.accumulate", out=out)
        return sums.plus_zero(ufunc.accumulate(array, axis, dtype))

    return accumulate


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """`np.interp`: `slope * (x - xp[j]) + fp[j]`, with the points around `x`, in float64."""
    x, xp, fp = (np.asarray(a).astype(np.float64) for a in (x, xp, fp))
    if period is not None:
        period, left, right = abs(float(period)), None, None
        x, xp = np.asarray(pointwise.remainder(x, period)), pointwise.remainder(xp, period)
        order = np.argsort(xp, kind="stable")
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    left, right = fp[0] if left is None else left, fp[-1] if right is None else right
    if len(xp) == 1:
        inside = np.where(np.isnan(x), x, fp[0])
    else:
        j = np.clip(np.searchsorted(xp, x, "right") - 1, 0, len(xp) - 2)
        slope = (fp[j + 1] - fp[j]) / (xp[j + 1] - xp[j])
        inside = np.where(x == xp[-1], fp[-1], slope * (x - xp[j]) + fp[j])
    return np.where(x < xp[0], left, np.where(x > xp[-1], right, inside))[()]


# The tables.

_EXACT_UFUNCS = (
    "add subtract multiply divide fmod heaviside equal not_equal less less_equal greater greater_equal "
    "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm "
    "nextafter "
)
"""Ufuncs of two arguments whose every result is fixed."""

_EXACT = (
    # arithmetic, rounding, tests
    "sqrt square reciprocal negative positive absolute fabs sign rint floor ceil trunc fix modf spacing "
    "isnan isinf isfinite isneginf isposinf isclose allclose array_equal array_equiv logical_not invert "
    "bitwise_count nan_to_num conjugate real imag iscomplex isreal iscomplexobj isrealobj diff ediff1d gradient "
    "cross outer kron "
    # another shape
    "reshape ravel expand_dims squeeze transpose matrix_transpose swapaxes moveaxis rollaxis broadcast_to "
    "broadcast_arrays meshgrid atleast_1d atleast_2d atleast_3d copy resize flip fliplr flipud roll rot90 "
    "tile repeat diagonal diag diagflat tril triu full_like zeros_like ones_like concatenate stack vstack hstack "
    "dstack column_stack append block split array_split vsplit hsplit dsplit unstack insert delete "
    # picking and places
    "take take_along_axis compress extract argmax argmin nanargmax nanargmin nonzero flatnonzero "
    "argwhere searchsorted digitize bincount lexsort isin count_nonzero all any diag_indices_from "
    "tril_indices_from triu_indices_from unravel_index ravel_multi_index "
    # forms
    "shape ndim size result_type can_cast min_scalar_type common_type shares_memory may_share_memory array_repr "
    "array_str array2string einsum_path "
)
"""Functions whose every result is fixed: by IEEE 754, by being made of its operations in one order, by moving data."""

_EXACT_IN_LINALG = ("cross", "outer", "diagonal", "matrix_transpose")

_DEFINED: dict[str, Callable[..., Any]] = {
    "maximum": pointwise.maximum,
    "minimum": pointwise.minimum,
    "fmax": pointwise.fmax,
    "fmin": pointwise.fmin,
    "clip": pointwise.clip,
    "where": where,
    "select": select,
    "choose": choose,
    "signbit": pointwise.signbit,
    "copysign": pointwise.copysign,
    "round": pointwise.rounded,
    "around": pointwise.rounded,
    "floor": pointwise.whole(np.floor),
    "ceil": pointwise.whole(np.ceil),
    "trunc": pointwise.whole(np.trunc),
    "fix": pointwise.whole(np.trunc),
    "divmod": pointwise.divmod_,
    "floor_divide": pointwise.floor_divide,
    "remainder": pointwise.remainder,
    "ldexp": pointwise.ldexp,
    "frexp": pointwise.frexp,
    "astype": pointwise.converted,
    "power": pointwise.power,
    "float_power": pointwise.float_power,
    "sum": sums.total,
    "prod": sums.product,
    "mean": sums.mean,
    "var": sums.variance,
    "std": sums.deviation,
    "max": sums.largest,
    "min": sums.smallest,
    "amax": sums.largest,
    "amin": sums.smallest,
    "cumsum": sums.running_sum,
    "cumprod": sums.running_product,
    "sort": sort,
    "argsort": argsort,
    "partition": partition,
    "argpartition": argpartition,
    "unique": unique,
    "pad": pad,
    "linspace": linspace,
    "interp": interp,
    "empty_like": np.zeros_like,
}

_ELEMENTARY: tuple[Callable[..., Any], ...] = (
    elementary.exp, elementary.exp2, elementary.expm1, elementary.log, elementary.log1p, elementary.log2,
    elementary.log10, elementary.sin, elementary.cos, elementary.sinh, elementary.cosh, elementary.tanh,
    inverse.tan, inverse.arctan, inverse.arcsin, inverse.arccos, inverse.arctan2, inverse.arcsinh, inverse.arccosh,
    inverse.arctanh, inverse.cbrt, inverse.hypot,
    pointwise.logaddexp, pointwise.logaddexp2, pointwise.degrees, pointwise.radians,
)  # fmt: skip


def _named(module: Any, names: Iterable[str]) -> dict[Any, Callable[..., Any]]:
    """The functions of these names, those that this version of NumPy has."""
    return {getattr(module, name): getattr(module, name) for name in names if hasattr(module, name)}


def _outer(ufunc: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc.outer(a, b)`: every element of `a` with every element of `b`."""

    def outer(a: Any, b: Any, **options: Any) -> Any:
        a, b = np.asarray(a), np.asarray(b)
        return function(a.reshape(a.shape + (1,) * b.ndim), b, **options)

    return outer


def _along_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """`ufunc.accumulate`, which goes along the first axis unless told otherwise."""

    def accumulate(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        return function(array, axis, dtype, out)

    return accumulate


def _table() -> dict[Any, Callable[..., Any]]:
    table = _named(np, _EXACT.split()) | _named(np.linalg, _EXACT_IN_LINALG)
    table |= {getattr(np, name): agreeing(getattr(np, name)) for name in _EXACT_UFUNCS.split() if hasattr(np, name)}
    table |= {getattr(np, name): function for name, function in _DEFINED.items() if hasattr(np, name)}
    elementary_ufuncs = {getattr(np, function.__name__): like_ufunc(function) for function in _ELEMENTARY}
    table |= elementary_ufuncs | {np.deg2rad: like_ufunc(pointwise.radians), np.rad2deg: like_ufunc(pointwise.degrees)}
    table |= {(u, "outer"): _outer(u, f) for u, f in table.items() if isinstance(u, np.ufunc) and u.nin == 2}
    for name in ("logical_and", "logical_or", "bitwise_and", "bitwise_or", "bitwise_xor"):
        table[getattr(np, name), "reduce"] = getattr(np, name).reduce
    return table | {
        (np.add, "reduce"): sums.as_method(sums.total),
        (np.multiply, "reduce"): sums.as_method(sums.product),
        (np.maximum, "reduce"): sums.as_method(sums.largest),
        (np.minimum, "reduce"): sums.as_method(sums.smallest),
        (np.logaddexp, "reduce"): sums.reduction_of(elementary_ufuncs[np.logaddexp]),
        (np.add, "accumulate"): _along_first(sums.running_sum),
        (np.multiply, "accumulate"): _along_first(sums.running_product),
        (np.maximum, "accumulate"): running_extremum(np.maximum),
        (np.minimum, "accumulate"): running_extremum(np.minimum),
        native.relu: pointwise.relu,
        native.sigmoid: like_ufunc(elementary.sigmoid),
        native.softplus: like_ufunc(elementary.softplus),
        native.erf: like_ufunc(special.erf),
        native.log_sum_exp: pointwise.log_sum_exp,
        native.softmax: pointwise.softmax,
    }


CONTRACT: MappingProxyType[Any, Callable[..., Any]] = MappingProxyType(_table())
"""What is carried out for each function; its key is `(ufunc, method)` for a method of a ufunc."""

PRODUCTS: MappingProxyType[Any, Callable[..., Any]] = MappingProxyType(contraction.products())
"""What is carried out for each product; each takes `slices`."""


def implementation(function: Any) -> Callable[..., Any] | None:
    """What is carried out for a function of NumPy, or for `(ufunc, method)`; None if it is outside the contract."""
    found = CONTRACT.get(function)
    return PRODUCTS.get(function) if found is None else found
