"""Derivatives of matrix products and their kin: for `out = x @ y`, `dx = g @ y.T` and `dy = x.T @ g`.

In `einsum` each operand's cotangent is an `einsum` of the result's with the other operands. Every call is brought to
one form first: explicit output, letters in the place of an ellipsis, diagonals taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic.contraction import explicit, from_lists, without_repeats
from purenet.arithmetic.native import primitive
from purenet.transforms.rule import Composite, Linear, LinearMap, Primitive, Rule, present, unbroadcast
from purenet.transforms.rules.elementwise import as_array


def transposed(matrix: Any) -> Any:
    """The transpose of each matrix of a stack."""
    return np.swapaxes(matrix, -1, -2)


def _matmul_pull_left(out: Any, x: Any, y: Any) -> LinearMap:
    shape = x.shape
    if len(shape) == 2 and len(y.shape) == 2:
        return lambda g: np.matmul(g, y.T)
    if y.ndim == 1:
        return lambda g: unbroadcast(np.expand_dims(g, -1) * y, shape)
    if len(shape) == 1:
        return lambda g: unbroadcast(np.matmul(y, np.expand_dims(g, -1))[..., 0], shape)
    return lambda g: unbroadcast(np.matmul(g, transposed(y)), shape)


def _matmul_pull_right(out: Any, x: Any, y: Any) -> LinearMap:
    shape = y.shape
    if len(shape) == 2 and len(x.shape) == 2:
        return lambda g: np.matmul(x.T, g)
    if x.ndim == 1:
        if len(shape) == 1:
            return lambda g: g * x
        return lambda g: unbroadcast(np.expand_dims(x, -1) * np.expand_dims(g, -2), shape)
    if len(shape) == 1:
        return lambda g: unbroadcast(np.matmul(transposed(x), np.expand_dims(g, -1))[..., 0], shape)
    return lambda g: unbroadcast(np.matmul(transposed(x), g), shape)


def _scaled(x: Any, y: Any) -> Any:
    """The product with a scalar; products take a Python number for float64, as arithmetic does not."""
    dtypes = [a.dtype if hasattr(a, "dtype") else np.asarray(a).dtype for a in (x, y)]
    return np.multiply(x, y, dtype=np.result_type(*dtypes))


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    """`np.dot` of anything: a product, a matrix product, or a sum over the last and the last but one axis."""
    x, y = as_array(a), as_array(b)
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return _scaled(x, y)
    if np.ndim(y) <= 2:
        return x @ y
    return np.tensordot(x, y, axes=(-1, -2))


def _inner(a: Any, b: Any) -> Any:
    x, y = as_array(a), as_array(b)
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return _scaled(x, y)
    return np.tensordot(x, y, axes=(-1, -1))


def _outer(a: Any, b: Any, out: Any = None) -> Any:
    return np.ravel(a)[:, None] * np.ravel(b)[None, :]


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Move the axes to sum over to the end of `a` and the beginning of `b`, and multiply as matrices."""
    x, y = as_array(a), as_array(b)
    if isinstance(axes, int | np.integer):
        axes_x, axes_y = list(range(x.ndim - axes, x.ndim)), list(range(axes))
    else:
        axes_x, axes_y = ([int(i) for i in np.atleast_1d(part)] for part in axes)
        axes_x, axes_y = [i % x.ndim for i in axes_x], [i % y.ndim for i in axes_y]
    free_x = [i for i in range(x.ndim) if i not in axes_x]
    free_y = [i for i in range(y.ndim) if i not in axes_y]
    size = int(np.prod([x.shape[i] for i in axes_x], dtype=np.int64))
    shape = tuple(x.shape[i] for i in free_x) + tuple(y.shape[i] for i in free_y)
    rows = int(np.prod([x.shape[i] for i in free_x], dtype=np.int64))
    columns = int(np.prod([y.shape[i] for i in free_y], dtype=np.int64))
    left = np.reshape(np.transpose(x, (*free_x, *axes_x)), (rows, size))
    right = np.reshape(np.transpose(y, (*axes_y, *free_y)), (size, columns))
    return np.reshape(np.matmul(left, right), shape)


def _kron(a: Any, b: Any) -> Any:
    x, y = as_array(a), as_array(b)
    ndim = max(np.ndim(x), np.ndim(y))
    shape_x = (1,) * (ndim - np.ndim(x)) + np.shape(x)
    shape_y = (1,) * (ndim - np.ndim(y)) + np.shape(y)
    left = np.reshape(x, tuple(n for size in shape_x for n in (size, 1)))
    right = np.reshape(y, tuple(n for size in shape_y for n in (1, size)))
    return np.reshape(left * right, tuple(m * n for m, n in zip(shape_x, shape_y, strict=True)))


def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product; a vector of 2 elements counts as having a third that is 0."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = np.moveaxis(as_array(a), axisa, -1), np.moveaxis(as_array(b), axisb, -1)
    flat_x, flat_y = x.shape[-1] == 2, y.shape[-1] == 2
    x0, x1, y0, y1 = x[..., 0], x[..., 1], y[..., 0], y[..., 1]
    last = x0 * y1 - x1 * y0
    if flat_x and flat_y:
        return last
    if flat_x:
        parts = (x1 * y[..., 2], -(x0 * y[..., 2]), last)
    elif flat_y:
        parts = (-(x[..., 2] * y1), x[..., 2] * y0, last)
    else:
        x2, y2 = x[..., 2], y[..., 2]
        parts = (x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, last)
    return np.moveaxis(np.stack(parts, axis=-1), -1, axisc)


@primitive
def chain_product(*matrices: Any) -> Any:
    """`np.linalg.multi_dot` with the matrices as arguments of their own."""
    return np.linalg.multi_dot(matrices)


def _chain_pull(position: int, out: Any, *matrices: Any) -> LinearMap:
    """`d(A @ B @ C)`: the cotangent of `B` is `A.T @ g @ C.T`."""
    before = [m.T for m in matrices[:position][::-1]]
    after = [m.T for m in matrices[position + 1 :][::-1]]
    return lambda g: chain_product(*before, g, *after)


def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    factors = [as_array(a) for a in arrays]
    row, column = factors[0].ndim == 1, factors[-1].ndim == 1
    if row:
        factors[0] = np.reshape(factors[0], (1, -1))
    if column:
        factors[-1] = np.reshape(factors[-1], (-1, 1))
    product = chain_product(*factors)
    if row and column:
        return product[0, 0]
    return np.ravel(product) if row or column else product


def _matrix_power(a: Any, n: int) -> Any:
    """Powers by repeated squaring, in the order in which NumPy multiplies."""
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    if n < 0:
        return np.linalg.matrix_power(np.linalg.inv(a), -n)
    if n == 3:
        return (a @ a) @ a
    square, result = a, None
    while n > 0:
        n, bit = divmod(n, 2)
        if bit:
            result = square if result is None else result @ square
        square = square @ square if n else square
    return result


def _vecdot(x1: Any, x2: Any, *, axis: int = -1) -> Any:
    x, y = np.moveaxis(as_array(x1), axis, -1), np.moveaxis(as_array(x2), axis, -1)
    return np.matmul(x[..., None, :], y[..., :, None])[..., 0, 0]


# Einstein sums.


@primitive
def contract(subscripts: str, *operands: Any, optimize: Any = False) -> Any:
    """`np.einsum` with an explicit output, no ellipsis, and no letter twice in one term."""
    return np.einsum(subscripts, *operands, optimize=optimize)


def _split(subscripts: str) -> tuple[list[str], str]:
    left, output = subscripts.split("->")
    return left.split(","), output


def _contract_pull(position: int, out: Any, subscripts: str, *operands: Any, optimize: Any = False) -> LinearMap:
    terms, output = _split(subscripts)
    mine = position - 1
    shape, term = operands[mine].shape, terms[mine]
    others = [operand for i, operand in enumerate(operands) if i != mine]
    other_terms = [t for i, t in enumerate(terms) if i != mine]
    known = set(output).union(*other_terms)
    reached = "".join(letter for letter in term if letter in known)
    backwards = ",".join([output, *other_terms]) + "->" + reached
    alone = tuple(i for i, letter in enumerate(term) if letter not in known)  # summed in this operand alone

    def pull(g: Any) -> Any:
        pulled = contract(backwards, g, *others, optimize=optimize)
        if alone:
            pulled = np.expand_dims(pulled, alone)
        # axes of length 1 are stretched to the length that their letter has elsewhere, here or in another operand
        full = tuple(mine if n == 1 else n for mine, n in zip(shape, pulled.shape, strict=True))
        return unbroadcast(pulled if full == pulled.shape else np.broadcast_to(pulled, full), shape)

    return pull


def _einsum(*operands: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Any:
    if not isinstance(operands[0], str):
        operands = from_lists(operands)
    subscripts, *rest = operands
    arrays = [as_array(a) for a in rest]
    terms, output = explicit(subscripts.replace(" ", ""), arrays)
    for i, term in enumerate(terms):
        arrays[i], terms[i] = without_repeats(arrays[i], term)
    return contract(",".join(terms) + "->" + output, *arrays, optimize=optimize, **kwargs)


RULES: dict[Any, Rule] = {
    np.matmul: Linear(_matmul_pull_left, _matmul_pull_right),
    np.dot: Composite(_dot),
    np.vdot: Composite(lambda a, b: np.dot(np.ravel(a), np.ravel(b))),
    np.inner: Composite(_inner),
    np.outer: Composite(_outer),
    np.tensordot: Composite(_tensordot),
    np.kron: Composite(_kron),
    np.cross: Composite(_cross),
    np.linalg.multi_dot: Composite(_multi_dot),
    chain_product: Primitive(_chain_pull, variadic=True),
    np.linalg.matrix_power: Composite(_matrix_power),
    **present(
        np,
        vecdot=Composite(_vecdot),
        matvec=Composite(lambda x1, x2: np.matmul(x1, x2[..., None])[..., 0]),
        vecmat=Composite(lambda x1, x2: np.matmul(x1[..., None, :], x2)[..., 0, :]),
    ),
    **present(
        np.linalg,
        cross=Composite(np.cross),
        matmul=Composite(np.matmul),
        outer=Composite(np.outer),
        tensordot=Composite(np.tensordot),
        vecdot=Composite(_vecdot),
    ),
    np.einsum: Composite(_einsum),
    contract: Primitive(None, _contract_pull, variadic=True),
}
