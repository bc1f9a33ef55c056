"""Products of portable arithmetic that are more than one product of two matrices, made of such products.

All take `slices`, which goes on to `exact.matmul`. An element of a product depends on its row, its column and the order
of the contracted terms alone, so it does not matter how rows and columns are brought into matrices. Products of
integers are NumPy's, which are exact modulo 2**64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from purenet.arithmetic import exact
from purenet.arithmetic.promotion import refuse
from purenet.arithmetic.sums import total
from purenet.errors import ArgumentError


def _arrays(name: str, given: Sequence[Any], options: dict[str, Any]) -> tuple[list[Any], bool]:
    """The operands as arrays, and whether all are integers; what portable arithmetic does not take is refused."""
    refuse(name, **options)
    arrays = [np.asarray(a) for a in given]
    return arrays, all(a.dtype.kind in "biu" for a in arrays)


def matmul(x1: Any, x2: Any, slices: int = 1, **options: Any) -> Any:
    """`np.matmul`."""
    refuse("matmul", **options)
    if x1.dtype.kind != "f" and x2.dtype.kind != "f":
        (x1, x2), whole = _arrays("matmul", (x1, x2), {})
        if whole:
            return np.matmul(x1, x2)
    return exact.matmul(x1, x2, slices)


def dot(a: Any, b: Any, out: Any = None, slices: int = 1) -> Any:
    """`np.dot`: a product, a matrix product, or a sum over the last and the last but one axis."""
    (x, y), whole = _arrays("dot", (a, b), {"out": out})
    if whole:
        return np.dot(x, y)
    if x.ndim == 0 or y.ndim == 0:
        return np.multiply(x, y, dtype=np.result_type(x.dtype, y.dtype))
    return exact.matmul(x, y, slices) if y.ndim <= 2 else tensordot(x, y, (-1, -2), slices)


def vdot(a: Any, b: Any, slices: int = 1) -> Any:
    """`np.vdot`: the dot product of all elements in C order."""
    return dot(np.ravel(a), np.ravel(b), None, slices)


def inner(a: Any, b: Any, slices: int = 1) -> Any:
    """`np.inner`: a sum over the last axes."""
    (x, y), whole = _arrays("inner", (a, b), {})
    if whole:
        return np.inner(x, y)
    if x.ndim == 0 or y.ndim == 0:
        return dot(x, y)
    return tensordot(x, y, (-1, -1), slices)


def tensordot(a: Any, b: Any, axes: Any = 2, slices: int = 1) -> Any:
    """`np.tensordot`: the axes to sum over, in the order given, are moved to the end of `a` and the start of `b`."""
    (x, y), whole = _arrays("tensordot", (a, b), {})
    if whole:
        return np.tensordot(x, y, axes)
    if isinstance(axes, int | np.integer):
        over_x, over_y = list(range(x.ndim - axes, x.ndim)), list(range(axes))
    else:
        over_x, over_y = ([int(i) for i in np.atleast_1d(part)] for part in axes)
        over_x, over_y = [i % x.ndim for i in over_x], [i % y.ndim for i in over_y]
    lengths = [x.shape[i] for i in over_x]
    if lengths != [y.shape[i] for i in over_y]:
        raise ArgumentError(f"axes {axes} of shapes {x.shape} and {y.shape} do not fit", path="np.tensordot")
    free_x = [i for i in range(x.ndim) if i not in over_x]
    free_y = [i for i in range(y.ndim) if i not in over_y]
    shape = [x.shape[i] for i in free_x] + [y.shape[i] for i in free_y]
    size = int(np.prod(lengths, dtype=np.int64))
    left = x.transpose(free_x + over_x).reshape(_length(x, free_x), size)
    right = y.transpose(over_y + free_y).reshape(size, _length(y, free_y))
    return exact.matmul(left, right, slices).reshape(shape)[()]


def _length(x: Any, axes: Sequence[int]) -> int:
    return int(np.prod([x.shape[i] for i in axes], dtype=np.int64))


def vecdot(x1: Any, x2: Any, *, axis: int = -1, slices: int = 1) -> Any:
    """`np.vecdot`."""
    x, y = np.moveaxis(np.asarray(x1), axis, -1), np.moveaxis(np.asarray(x2), axis, -1)
    return matmul(x[..., None, :], y[..., :, None], slices)[..., 0, 0]


def matvec(x1: Any, x2: Any, slices: int = 1) -> Any:
    """`np.matvec`."""
    return matmul(np.asarray(x1), np.asarray(x2)[..., None], slices)[..., 0]


def vecmat(x1: Any, x2: Any, slices: int = 1) -> Any:
    """`np.vecmat`."""
    return matmul(np.asarray(x1)[..., None, :], np.asarray(x2), slices)[..., 0, :]


def multi_dot(arrays: Sequence[Any], *, out: Any = None, slices: int = 1) -> Any:
    """`np.linalg.multi_dot`, multiplied from left to right."""
    factors, _ = _arrays("linalg.multi_dot", arrays, {"out": out})
    product = factors[0]
    for factor in factors[1:]:
        product = matmul(product, factor, slices)
    return product


def matrix_power(a: Any, n: int, slices: int = 1) -> Any:
    """`np.linalg.matrix_power` for `n >= 0`: the square for each bit of `n`, from the lowest; `(a @ a) @ a` for 3."""
    (a,), _ = _arrays("linalg.matrix_power", (a,), {})
    if n < 0:
        raise ArgumentError(f"expected n >= 0, got {n}: inverses are outside the contract", path="np.matrix_power")
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy()
    if n == 3:
        return matmul(matmul(a, a, slices), a, slices)
    square, result = a, None
    while n:
        n, bit = divmod(int(n), 2)
        if bit:
            result = square if result is None else matmul(result, square, slices)
        square = matmul(square, square, slices) if n else square
    return np.array(result) if result is a else result


# Convolution.


def convolve(a: Any, v: Any, mode: Any = "full", slices: int = 1) -> Any:
    """`np.convolve`: windows of the longer sequence, with zeros around it, times the shorter one reversed."""
    (x, y), whole = _arrays("convolve", (np.atleast_1d(a), np.atleast_1d(v)), {})
    if whole:
        return np.convolve(x, y, mode)
    if y.size > x.size:
        x, y = y, x
    n, m = x.size, y.size
    if m == 0 or mode not in ("full", "same", "valid"):
        raise ArgumentError(f"expected 'full', 'same' or 'valid' and no empty sequence, got {mode!r}", "np.convolve")
    spread = np.concatenate([np.zeros(m - 1, x.dtype), x, np.zeros(m - 1, x.dtype)])
    windows = np.lib.stride_tricks.sliding_window_view(spread, m)
    start, count = {"full": (0, n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}[mode]
    return exact.matmul(windows[start : start + count], y[::-1], slices)


def correlate(a: Any, v: Any, mode: Any = "valid", slices: int = 1) -> Any:
    """`np.correlate`: a convolution with the second sequence reversed."""
    x, y = np.atleast_1d(a), np.atleast_1d(v)
    if y.size > x.size:
        return convolve(y, x[::-1], mode, slices)[::-1]
    return convolve(x, y[::-1], mode, slices)


# Einstein sums.


def einsum(*operands: Any, out: Any = None, optimize: Any = False, slices: int = 1, **options: Any) -> Any:
    """`np.einsum`: the operands are joined from left to right, whatever `optimize` says.

    Before two are joined, letters that only one of them has, and that nothing else needs, are summed over in it. Then
    letters of both that nothing else needs are contracted by a matrix product, in the order in which the left operand
    has them; if there is none, the operands are multiplied element by element.
    """
    if not isinstance(operands[0], str):
        operands = from_lists(operands)
    arrays, whole = _arrays("einsum", operands[1:], {"out": out, **options})
    if whole:
        return np.einsum(operands[0], *arrays)
    terms, output = explicit(operands[0].replace(" ", ""), arrays)
    dtype = np.result_type(*[a.dtype for a in arrays])
    pairs = [without_repeats(a.astype(dtype, copy=False), term) for a, term in zip(arrays, terms, strict=True)]
    joined, term = pairs[0]
    for i, (array, other) in enumerate(pairs[1:], 1):
        needed = set(output).union(*[later for _, later in pairs[i + 1 :]])
        joined, term = _join(joined, term, array, other, needed, slices)
    joined, term = _sum_over(joined, term, output)
    if set(term) != set(output) or len(term) != len(output):
        raise ArgumentError(f"the output {output!r} does not fit the terms {','.join(terms)!r}", path="np.einsum")
    return joined.transpose([term.index(letter) for letter in output])[()]


def from_lists(operands: Sequence[Any]) -> tuple[Any, ...]:
    """`einsum(a, [0, 1], b, [1, 2], [0, 2])` as `einsum("ab,bc->ac", a, b)`."""
    pairs = len(operands) // 2
    lists = [*operands[1 : 2 * pairs : 2], *operands[2 * pairs :]]
    terms = ["".join("..." if s is Ellipsis else ascii_letters[s] for s in part) for part in lists]
    left = ",".join(terms[:pairs])
    return (f"{left}->{terms[-1]}" if len(operands) % 2 else left, *operands[: 2 * pairs : 2])


def explicit(subscripts: str, arrays: Sequence[Any]) -> tuple[list[str], str]:
    """The terms and the output, written out, with letters in the place of an ellipsis."""
    left, arrow, output = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(arrays):
        raise ArgumentError(f"{len(terms)} terms in {subscripts!r} for {len(arrays)} operands", path="np.einsum")
    hidden = [a.ndim - len(term.replace("...", "")) for a, term in zip(arrays, terms, strict=True)]
    for n, term, a in zip(hidden, terms, arrays, strict=True):
        if n < 0 or (n and "..." not in term):
            raise ArgumentError(f"the term {term!r} does not fit an operand of shape {a.shape}", path="np.einsum")
    unused = [letter for letter in ascii_letters if letter not in subscripts]
    stretch = "".join(unused[: max(hidden)])
    terms = [term.replace("...", stretch[len(stretch) - n :]) for term, n in zip(terms, hidden, strict=True)]
    if not arrow:
        letters = "".join(terms)
        output = stretch + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in stretch))
    return terms, output.replace("...", stretch)


def without_repeats(array: Any, term: str) -> tuple[Any, str]:
    """`ii` of a matrix is `i` of its diagonal."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            array = np.diagonal(array, axis1=first, axis2=second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return array, term


def _sum_over(array: Any, term: str, kept: Any) -> tuple[Any, str]:
    """The sum over the letters that are not kept."""
    axes = tuple(i for i, letter in enumerate(term) if letter not in kept)
    if not axes:
        return array, term
    return np.asarray(total(array, axes)), "".join(letter for letter in term if letter in kept)


def _join(a: Any, term_a: str, b: Any, term_b: str, needed: set[str], slices: int) -> tuple[Any, str]:
    """Two operands made one."""
    a, term_a = _sum_over(a, term_a, needed.union(term_b))
    b, term_b = _sum_over(b, term_b, needed.union(term_a))
    both = [c for c in term_a if c in term_b]
    over, batch = [c for c in both if c not in needed], [c for c in both if c in needed]
    free_a, free_b = [c for c in term_a if c not in both], [c for c in term_b if c not in both]
    a, b = _ordered(a, term_a, batch + free_a + over), _ordered(b, term_b, batch + over + free_b)
    n, k = len(batch), len(over)
    shape_a, shape_b = a.shape[n : a.ndim - k], b.shape[n + k :]
    if over:
        lengths = np.broadcast_shapes(a.shape[a.ndim - k :], b.shape[n : n + k])
        a = np.broadcast_to(a, a.shape[: a.ndim - k] + lengths)
        b = np.broadcast_to(b, b.shape[:n] + lengths + shape_b)
        size = int(np.prod(lengths, dtype=np.int64))
        left = a.reshape((*a.shape[:n], int(np.prod(shape_a, dtype=np.int64)), size))
        right = b.reshape((*b.shape[:n], size, int(np.prod(shape_b, dtype=np.int64))))
        product = matmul(left, right, slices)
        joined = product.reshape(product.shape[:n] + shape_a + shape_b)
    else:
        joined = a.reshape(a.shape + (1,) * len(shape_b)) * b.reshape(b.shape[:n] + (1,) * len(shape_a) + shape_b)
    return joined, "".join(batch + free_a + free_b)


def _ordered(array: Any, term: str, letters: Sequence[str]) -> Any:
    return array.transpose([term.index(letter) for letter in letters])


_PRODUCTS: dict[str, Callable[..., Any]] = {
    "matmul": matmul, "dot": dot, "vdot": vdot, "inner": inner, "tensordot": tensordot, "vecdot": vecdot,
    "matvec": matvec, "vecmat": vecmat, "convolve": convolve, "correlate": correlate, "einsum": einsum,
}  # fmt: skip


def products() -> dict[Any, Callable[..., Any]]:
    """The products by NumPy's own functions, those that this version of NumPy has."""
    table = {getattr(np, name): function for name, function in _PRODUCTS.items() if hasattr(np, name)}
    table |= {
        getattr(np.linalg, name): _PRODUCTS[name]
        for name in ("matmul", "tensordot", "vecdot")
        if hasattr(np.linalg, name)
    }
    return table | {np.linalg.multi_dot: multi_dot, np.linalg.matrix_power: matrix_power}
