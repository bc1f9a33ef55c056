"""Derivatives of functions that reshape, join, split or pad arrays: linear; their transposes move elements back."""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic.native import primitive
from purenet.errors import DifferentiationError
from purenet.transforms.rule import Composite, Linear, LinearMap, Rule, constant, present, unbroadcast
from purenet.transforms.rules.elementwise import as_array


def _reshape_pull(out: Any, x: Any, shape: Any = None, order: Any = "C", **_: Any) -> LinearMap:
    """Also of `np.expand_dims` and `np.squeeze`, which have an axis in the place of the shape."""
    back = x.shape
    return lambda g: np.reshape(g, back, order=order)


def _transpose_pull(out: Any, x: Any, axes: Any = None) -> LinearMap:
    if axes is None:
        return lambda g: np.transpose(g)
    back = tuple(int(i) for i in np.argsort([axis % out.ndim for axis in axes]))
    return lambda g: np.transpose(g, back)


def _broadcast_pull(out: Any, x: Any, *_: Any, **__: Any) -> LinearMap:
    shape = x.shape
    return lambda g: unbroadcast(g, shape)


def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    axis, start = axis % a.ndim, start + a.ndim if start < 0 else start
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    arrays = [as_array(a) for a in args]
    shape = np.broadcast_shapes(*[np.shape(a) for a in arrays])
    container: Any = type(np.broadcast_arrays(0))
    return container([np.broadcast_to(a, shape) for a in arrays])


def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    ndim = len(xi)
    grids = [np.reshape(x, (1,) * i + (-1,) + (1,) * (ndim - 1 - i)) for i, x in enumerate(xi)]
    if indexing == "xy" and ndim > 1:
        grids = [np.swapaxes(grid, 0, 1) for grid in grids]
    shape = np.broadcast_shapes(*[grid.shape for grid in grids])
    container: Any = type(np.meshgrid(0))
    return container(grids if sparse else [np.broadcast_to(grid, shape) for grid in grids])


def _at_least(ndim: int) -> Composite:
    """`np.atleast_1d` and its kin; in three dimensions NumPy puts a vector in the middle."""

    def one(x: Any) -> Any:
        x = as_array(x)
        shape = np.shape(x)
        if len(shape) >= ndim:
            return x
        if ndim == 3:
            return np.reshape(x, (1, *shape, 1) if len(shape) == 1 else (*shape, 1) if shape else (1, 1, 1))
        return np.reshape(x, (1,) * (ndim - len(shape)) + shape)

    def definition(*arys: Any) -> Any:
        results = [one(x) for x in arys]
        container: Any = type(np.atleast_1d(0, 0))
        return results[0] if len(results) == 1 else container(results)

    return Composite(definition)


# Turning around.


def _roll_pull(out: Any, a: Any, shift: Any, axis: Any = None) -> LinearMap:
    back = tuple(-int(s) for s in shift) if isinstance(shift, tuple | list) else -shift
    return lambda g: np.roll(g, back, axis)


# Repeating.


def _tile(A: Any, reps: Any) -> Any:
    times = (reps,) if isinstance(reps, int | np.integer) else tuple(int(r) for r in reps)
    ndim = max(A.ndim, len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - A.ndim) + A.shape
    spread = np.broadcast_to(
        np.reshape(A, tuple(n for size in shape for n in (1, size))),
        tuple(n for both in zip(times, shape, strict=True) for n in both),
    )
    return np.reshape(spread, tuple(r * n for r, n in zip(times, shape, strict=True)))


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    axis %= a.ndim
    if np.ndim(repeats) == 0:
        n, before, after = a.shape[axis], a.shape[:axis], a.shape[axis + 1 :]
        spread = np.broadcast_to(np.expand_dims(a, axis + 1), (*before, n, int(repeats), *after))
        return np.reshape(spread, (*before, n * int(repeats), *after))
    return np.take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis=axis)


# Diagonals and triangles.


@primitive
def place_diagonal(values: Any, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Any:
    """Zeros of `shape` but for `values` on a diagonal: the transpose of `np.diagonal`."""
    array = np.zeros(shape, np.asarray(values).dtype)
    rows = np.arange(np.shape(values)[-1]) + max(-offset, 0)
    np.moveaxis(array, (axis1, axis2), (-2, -1))[..., rows, rows + offset] = values
    return array


def _diagonal_pull(out: Any, a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> LinearMap:
    shape = a.shape
    return lambda g: place_diagonal(g, shape, offset, axis1, axis2)


def _place_diagonal_pull(out: Any, values: Any, shape: Any, offset: int, axis1: int, axis2: int) -> LinearMap:
    return lambda g: np.diagonal(g, offset, axis1, axis2)


def _diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 1:
        n = v.shape[0] + abs(k)
        return place_diagonal(v, (n, n), k, 0, 1)
    return np.diagonal(v, k)


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, **kwargs: Any
) -> Any:
    """A plain array like `a`; traced only if the value to fill it with is."""
    form = np.shape(a) if shape is None else shape
    if constant(fill_value) is fill_value:
        return np.full_like(constant(a), fill_value, dtype, order, True, shape, **kwargs)
    return np.broadcast_to(fill_value, form).astype(a.dtype if dtype is None else dtype)


# Joining.


@primitive
def join_arrays(axis: int, *arrays: Any) -> Any:
    """`np.concatenate(arrays, axis)` with the arrays as arguments of their own."""
    return np.concatenate(arrays, axis)


def _join_pull(position: int, out: Any, axis: int, *arrays: Any) -> LinearMap:
    start = sum([array.shape[axis] for array in arrays[: position - 1]])
    stop = start + arrays[position - 1].shape[axis]
    index = (slice(None),) * (axis % out.ndim) + (slice(start, stop),)
    return lambda g: g[index]


def as_arrays(arrays: Any) -> list[Any]:
    """Traced values as they are, everything else as an array."""
    return [a if hasattr(type(a), "__purenet_apply__") else np.asarray(a) for a in arrays]


def _concatenate(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    parts = as_arrays(arrays)
    if axis is None:
        joined = join_arrays(0, *[np.ravel(a) for a in parts])
    else:
        joined = join_arrays(axis, *parts)
    return joined if dtype is None else joined.astype(dtype)


def _stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    joined = join_arrays(axis, *[np.expand_dims(a, axis) for a in as_arrays(arrays)])
    return joined if dtype is None else joined.astype(dtype)


def _vstack(tup: Any, **options: Any) -> Any:
    return np.concatenate([np.atleast_2d(a) for a in tup], 0, **options)


def _hstack(tup: Any, **options: Any) -> Any:
    parts = [np.atleast_1d(a) for a in tup]
    return np.concatenate(parts, 0 if parts[0].ndim == 1 else 1, **options)


def _dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(a) for a in tup], 2)


def _column_stack(tup: Any) -> Any:
    return np.concatenate([a if a.ndim >= 2 else np.reshape(a, (-1, 1)) for a in as_arrays(tup)], 1)


def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis)


def _block(arrays: Any) -> Any:
    """Nested lists of arrays, joined along the last axis innermost."""

    def depth(nested: Any) -> int:
        return 1 + depth(nested[0]) if isinstance(nested, list) else 0

    def leaves(nested: Any) -> list[Any]:
        return [leaf for part in nested for leaf in leaves(part)] if isinstance(nested, list) else [nested]

    levels = depth(arrays)
    ndim = max(levels, *[np.ndim(leaf) for leaf in leaves(arrays)])

    def join(nested: Any, level: int) -> Any:
        if not isinstance(nested, list):
            leaf = as_arrays([nested])[0]
            return np.reshape(leaf, (1,) * (ndim - leaf.ndim) + leaf.shape)
        return np.concatenate([join(part, level + 1) for part in nested], axis=level - levels)

    return join(arrays, 0)


# Splitting.


def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """The parts that NumPy would make, as slices."""
    head = (slice(None),) * (axis % ary.ndim)
    places = np.array_split(np.arange(ary.shape[axis]), indices_or_sections)
    return [ary[(*head, slice(part[0], part[-1] + 1) if len(part) else slice(0))] for part in places]


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    np.split(np.empty(ary.shape[axis]), indices_or_sections)  # raises NumPy's error where sections are not equal
    return _array_split(ary, indices_or_sections, axis)


def _hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return _split(ary, indices_or_sections, 1 if ary.ndim > 1 else 0)


# Padding.


def _widths(ndim: int, pad_width: Any) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        given = {axis % ndim: width for axis, width in pad_width.items()}
        pad_width = [np.broadcast_to(given.get(axis, 0), 2) for axis in range(ndim)]
    return [(int(a), int(b)) for a, b in np.broadcast_to(np.asarray(pad_width), (ndim, 2))]


def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """Constant padding adds zeros, linearly, and then the constants; other modes pick elements by index."""
    widths = _widths(array.ndim, pad_width)
    if mode == "constant":
        values = kwargs.get("constant_values", 0)
        if constant(values) is not values:
            raise DifferentiationError("np.pad has no derivative with respect to constant_values; use np.concatenate")
        zeros = pad_with_zeros(array, widths)
        if np.all(np.equal(values, 0)):
            return zeros
        frame = np.pad(np.zeros(array.shape, array.dtype), widths, mode, **kwargs)
        return np.where(np.pad(np.ones(array.shape, bool), widths), zeros, frame)
    if mode not in ("edge", "reflect", "symmetric", "wrap") or kwargs.get("reflect_type", "even") != "even":
        raise DifferentiationError(
            f"np.pad with mode={mode!r} and {kwargs} has no derivative rule; those with one are 'constant', 'edge', "
            "'reflect' and 'symmetric' (of reflect_type 'even') and 'wrap'"
        )
    for axis, width in enumerate(widths):
        if any(width):
            array = np.take(array, np.pad(np.arange(array.shape[axis]), width, mode), axis=axis)
    return array


@primitive
def pad_with_zeros(x: Any, widths: list[tuple[int, int]]) -> Any:
    """`np.pad(x, widths)`."""
    return np.pad(x, widths)


def _pad_pull(out: Any, x: Any, widths: list[tuple[int, int]]) -> LinearMap:
    inside = tuple([slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True)])
    return lambda g: g[inside]


def _unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    return tuple(np.moveaxis(x, axis, 0))


RULES: dict[Any, Rule] = {
    # another shape
    np.reshape: Linear(_reshape_pull),
    np.ravel: Linear(lambda out, x, order="C": _reshape_pull(out, x, None, order)),
    np.expand_dims: Linear(_reshape_pull),
    np.squeeze: Linear(_reshape_pull),
    np.transpose: Linear(_transpose_pull),
    np.swapaxes: Linear(lambda out, x, a, b: lambda g: np.swapaxes(g, a, b)),
    np.moveaxis: Linear(lambda out, x, source, destination: lambda g: np.moveaxis(g, destination, source)),
    np.rollaxis: Composite(_rollaxis),
    np.broadcast_to: Linear(_broadcast_pull),
    np.broadcast_arrays: Composite(_broadcast_arrays),
    np.meshgrid: Composite(_meshgrid),
    np.atleast_1d: _at_least(1),
    np.atleast_2d: _at_least(2),
    np.atleast_3d: _at_least(3),
    np.copy: Composite(lambda a, order="K", subok=False: a),
    # turned around
    np.flip: Linear(lambda out, m, axis=None: lambda g: np.flip(g, axis)),
    np.fliplr: Composite(lambda m: np.flip(m, 1)),
    np.flipud: Composite(lambda m: np.flip(m, 0)),
    np.roll: Linear(_roll_pull),
    np.rot90: Linear(lambda out, m, k=1, axes=(0, 1): lambda g: np.rot90(g, -k, axes)),
    # repeated
    np.tile: Composite(_tile),
    np.repeat: Composite(_repeat),
    # diagonals and triangles
    np.diagonal: Linear(_diagonal_pull),
    place_diagonal: Linear(_place_diagonal_pull),
    np.diag: Composite(_diag),
    np.diagflat: Composite(lambda v, k=0: np.diag(np.ravel(v), k)),
    np.trace: Composite(_trace),
    np.tril: Linear(lambda out, m, k=0: lambda g: np.tril(g, k)),
    np.triu: Linear(lambda out, m, k=0: lambda g: np.triu(g, k)),
    np.full_like: Composite(_full_like),
    **present(
        np,
        matrix_transpose=Composite(lambda x, /: np.swapaxes(x, -1, -2)),
        astype=Composite(lambda x, dtype, /, *, copy=True, device=None: x.astype(dtype)),
    ),
    **present(
        np.linalg,
        matrix_transpose=Composite(lambda x, /: np.swapaxes(x, -1, -2)),
        diagonal=Composite(lambda x, /, *, offset=0: np.diagonal(x, offset, -2, -1)),
        trace=Composite(lambda x, /, *, offset=0, dtype=None: np.trace(x, offset, -2, -1, dtype)),
    ),
    # joined, split, padded
    join_arrays: Linear(None, _join_pull, variadic=True),
    np.concatenate: Composite(_concatenate),
    np.stack: Composite(_stack),
    np.vstack: Composite(_vstack),
    np.hstack: Composite(_hstack),
    np.dstack: Composite(_dstack),
    np.column_stack: Composite(_column_stack),
    np.append: Composite(_append),
    np.block: Composite(_block),
    np.array_split: Composite(_array_split),
    np.split: Composite(_split),
    np.vsplit: Composite(lambda ary, indices_or_sections: _split(ary, indices_or_sections, 0)),
    np.hsplit: Composite(_hsplit),
    np.dsplit: Composite(lambda ary, indices_or_sections: _split(ary, indices_or_sections, 2)),
    np.pad: Composite(_pad),
    pad_with_zeros: Linear(_pad_pull),
    **present(np, unstack=Composite(_unstack)),
}
