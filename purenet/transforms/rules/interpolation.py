"""Derivatives of finite differences, quadrature, interpolation, convolution and polynomials.

At the points where `interp` has a kink, its derivative is that of the piece to the right; at the last point, and beyond
the ends, it is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic.native import primitive
from purenet.errors import DifferentiationError
from purenet.transforms.rule import Composite, Linear, LinearMap, Rule, constant, present, reduced_axes
from purenet.transforms.rules.elementwise import as_array
from purenet.transforms.rules.picking import getitem


def _slicer(ndim: int, axis: int) -> Any:
    """`part(start, stop)` is the index of elements from `start` to `stop` along the axis."""
    head = (slice(None),) * (axis % ndim)
    return lambda start, stop, step=None: (*head, slice(start, stop, step))


def _joined_to(x: Any, edge: Any, axis: int) -> Any:
    """What `prepend=` and `append=` give: a scalar stands for a slice of the array's own shape."""
    edge = as_array(edge)
    if np.ndim(edge) == 0:
        return np.broadcast_to(edge, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return edge


def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    x = as_array(a)
    axis %= x.ndim
    parts = [x if part is a else _joined_to(x, part, axis) for part in (prepend, a, append) if part is not None]
    x = np.concatenate(parts, axis) if len(parts) > 1 else x
    part = _slicer(x.ndim, axis)
    for _ in range(n):
        x = x[part(1, None)] - x[part(None, -1)]
    return x


def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    flat = np.ravel(ary)
    between = flat[1:] - flat[:-1]
    parts = [part if part is between else np.ravel(part) for part in (to_begin, between, to_end) if part is not None]
    return np.concatenate(parts).astype(flat.dtype) if len(parts) > 1 else between


def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    f = as_array(f)
    axes = reduced_axes(f.ndim, axis)
    form = np.gradient(constant(f), *map(constant, varargs), axis=axis, edge_order=edge_order)  # or NumPy's error
    spacings = varargs if len(varargs) == len(axes) else (varargs or (1.0,)) * len(axes)
    along = [_gradient_along(f, as_array(h), a, edge_order) for a, h in zip(axes, spacings, strict=True)]
    return along[0] if len(along) == 1 else type(form)(along)


def _gradient_along(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    """Central differences inside, one-sided ones of `edge_order` at the ends; `spacing` is a step or coordinates."""
    part = _slicer(f.ndim, axis)
    if np.ndim(spacing) == 0:
        inside = (f[part(2, None)] - f[part(None, -2)]) / (2.0 * spacing)
        steps = (spacing, spacing, spacing, spacing)
    else:
        column = (-1,) + (1,) * (f.ndim - 1 - axis)
        h = spacing[1:] - spacing[:-1]
        h1, h2 = np.reshape(h[:-1], column), np.reshape(h[1:], column)
        before, here, after = -h2 / (h1 * (h1 + h2)), (h2 - h1) / (h1 * h2), h1 / (h2 * (h1 + h2))
        inside = before * f[part(None, -2)] + here * f[part(1, -1)] + after * f[part(2, None)]
        steps = (h[0], h[min(1, h.shape[0] - 1)], h[max(-2, -h.shape[0])], h[-1])
    if edge_order == 1:
        first = (f[part(1, 2)] - f[part(0, 1)]) / steps[0]
        last = (f[part(-1, None)] - f[part(-2, -1)]) / steps[3]
        return np.concatenate([first, inside, last], axis)
    a, b, c = _edge_weights(*steps[:2], is_even=np.ndim(spacing) == 0)
    first = a * f[part(0, 1)] + b * f[part(1, 2)] + c * f[part(2, 3)]
    a, b, c = _edge_weights(steps[3], steps[2], is_even=np.ndim(spacing) == 0)
    last = -c * f[part(-3, -2)] + -b * f[part(-2, -1)] + -a * f[part(-1, None)]
    return np.concatenate([first, inside, last], axis)


def _edge_weights(h1: Any, h2: Any, is_even: bool) -> tuple[Any, Any, Any]:
    """Of an end and its two neighbours, in the one-sided difference of second order, rounded as NumPy does."""
    if is_even:
        return -1.5 / h1, 2.0 / h1, -0.5 / h1
    return -(2.0 * h1 + h2) / (h1 * (h1 + h2)), (h1 + h2) / (h1 * h2), -h1 / (h2 * (h1 + h2))


def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = as_array(y)
    part = _slicer(y.ndim, axis)
    if x is not None:
        x = as_array(x)
        dx = np.diff(x) if x.ndim == 1 else np.diff(x, axis=axis)
        dx = np.reshape(dx, (-1,) + (1,) * (y.ndim - 1 - axis % y.ndim)) if x.ndim == 1 else dx
    return np.sum(dx * (y[part(1, None)] + y[part(None, -1)]) / 2.0, axis=axis)


# Interpolation.


_FLOAT64 = np.dtype(np.float64)


def _double(x: Any) -> Any:
    """`np.interp` computes in float64."""
    x = as_array(x)
    return np.float64(x) if isinstance(x, int | float) else x.astype(_FLOAT64)


def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """The line through the two points around `x`: `slope * (x - xp[j]) + fp[j]`."""
    x, xp, fp = _double(x), _double(xp), _double(fp)
    if period is not None:
        if constant(period) is not period:
            raise DifferentiationError("np.interp has no derivative with respect to period")
        period = abs(period)
        x, xp, left, right = x % period, xp % period, None, None
        order = np.argsort(constant(xp))
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    left, right = fp[0] if left is None else left, fp[-1] if right is None else right
    n = xp.shape[0]
    if n == 1:
        inside = fp[0] + 0 * x
    else:
        j = np.clip(np.searchsorted(constant(xp), constant(x), "right") - 1, 0, n - 2)
        left_x, left_y = getitem(xp, j), getitem(fp, j)
        slope = (getitem(fp, j + 1) - left_y) / (getitem(xp, j + 1) - left_x)
        inside = np.where(np.equal(x, xp[-1]), fp[-1], slope * (x - left_x) + left_y)
    return np.where(np.less(x, xp[0]), left, np.where(np.greater(x, xp[-1]), right, inside))


# Convolution. A cotangent is spread over the full convolution; then `da = valid part of convolve(g, v reversed)`.


@primitive
def convolve_vectors(a: Any, v: Any, mode: Any) -> Any:
    """`np.convolve(a, v, mode)` of vectors."""
    return np.convolve(a, v, mode)


def _spread_over_full(g: Any, n: int, m: int, mode: str) -> Any:
    """The cotangent of the full convolution of `n` and `m` elements from that of a mode, which is its middle."""
    if mode == "full":
        return g
    short = min(n, m)
    before = short - 1 if mode == "valid" else (short - 1) // 2
    return np.pad(g, (before, n + m - 1 - before - g.shape[0]))


def _convolve_pull(out: Any, a: Any, v: Any, mode: str) -> LinearMap:
    n, m = a.shape[0], v.shape[0]
    return lambda g: convolve_vectors(_spread_over_full(g, n, m, mode), np.flip(v), "valid")


def _convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    if mode not in ("full", "same", "valid"):
        raise DifferentiationError(f"np.convolve: mode={mode!r}; use 'full', 'same' or 'valid'")
    return convolve_vectors(np.atleast_1d(a), np.atleast_1d(v), mode)


def _correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """Convolution with the sequence reversed; where that is the longer one NumPy cuts the result the other way."""
    a, v = np.atleast_1d(a), np.atleast_1d(v)
    if v.shape[0] > a.shape[0]:
        return np.flip(convolve_vectors(v, np.flip(a), mode))
    return convolve_vectors(a, np.flip(v), mode)


def _polyval(p: Any, x: Any) -> Any:
    """Horner's rule."""
    p, x = as_array(p), as_array(x)
    y = np.zeros_like(x)
    for i in range(p.shape[0]):
        y = y * x + p[i]
    return y


RULES: dict[Any, Rule] = {
    np.diff: Composite(_diff),
    np.ediff1d: Composite(_ediff1d),
    np.gradient: Composite(_gradient),
    **present(np, trapezoid=Composite(_trapezoid), trapz=Composite(_trapezoid)),
    np.interp: Composite(_interp),
    np.convolve: Composite(_convolve),
    convolve_vectors: Linear(_convolve_pull, lambda out, a, v, mode: _convolve_pull(out, v, a, mode)),
    np.correlate: Composite(_correlate),
    np.polyval: Composite(_polyval),
}
