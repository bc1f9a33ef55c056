"""Derivatives of inverses, determinants, norms and decompositions, of single matrices and of stacks of them.

Conventions: the Euclidean norms have derivative 0 at 0. `det` has its derivative, the matrix of cofactors, for singular
matrices too. `cholesky` and `eigh` are functions of symmetric matrices: changes and cotangents are symmetric.
Eigenvectors of equal eigenvalues are not differentiable; the terms between them count as 0, so that functions which do
not depend on the choice within them have their derivative.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic.native import primitive
from purenet.arithmetic.promotion import LEGACY
from purenet.errors import DifferentiationError
from purenet.transforms.rule import Composite, LinearMap, Primitive, Rule, constant, present, reduced_axes, unbroadcast
from purenet.transforms.rules.elementwise import as_array, root
from purenet.transforms.rules.products import transposed

_ILL_CONDITIONED = 1e8


def _inv_pull(out: Any, a: Any) -> LinearMap:
    """`d inv(a) = -inv(a) @ da @ inv(a)`."""
    return lambda g: -(transposed(out) @ g @ transposed(out))


@primitive
def solve_columns(a: Any, b: Any) -> Any:
    """`np.linalg.solve` for matrices of right-hand sides."""
    return np.linalg.solve(a, b)


def _solve(a: Any, b: Any) -> Any:
    """A vector of right-hand sides is a matrix of one column; NumPy 1 takes stacks of vectors too."""
    a, b = as_array(a), as_array(b)
    if b.ndim == (a.ndim - 1 if LEGACY else 1):
        return solve_columns(a, b[..., None])[..., 0]
    return solve_columns(a, b)


def _solve_pull_matrix(out: Any, a: Any, b: Any) -> LinearMap:
    """`d solve(a, b) = solve(a, db - da @ out)`."""
    shape = a.shape
    return lambda g: unbroadcast(-(solve_columns(transposed(a), g) @ transposed(out)), shape)


def _solve_pull_side(out: Any, a: Any, b: Any) -> LinearMap:
    shape = b.shape
    return lambda g: unbroadcast(solve_columns(transposed(a), g), shape)


def _pinv_pull(out: Any, a: Any, rcond: Any = None, hermitian: bool = False, **_: Any) -> LinearMap:
    """The transpose of `dp = -p da p + p p' da' (1 - a p) + (1 - p a) da' p' p`, where the rank does not change."""
    refuse_hermitian("pinv", hermitian)
    p, pt = out, transposed(out)

    def pull(g: Any) -> Any:
        gt = transposed(g)
        left, right = gt @ p @ pt, pt @ (p @ gt)
        return left - a @ (p @ left) + right - right @ p @ a - pt @ g @ pt

    return pull


def refuse_hermitian(name: str, hermitian: bool) -> None:
    """Raise if a decomposition is told that its matrix is symmetric: what it reads then is not the whole matrix."""
    if hermitian:
        raise DifferentiationError(f"np.linalg.{name} with hermitian=True has no derivative rule; leave it out")


# Determinants. The derivative of det is the matrix of cofactors, `det(a) * inv(a).T` where that is accurate.


@primitive
def cofactors(a: Any) -> Any:
    """The matrix of cofactors, from the singular value decomposition: accurate for singular matrices too."""
    u, s, vh = np.linalg.svd(a)
    sign = np.linalg.det(u) * np.linalg.det(vh)
    others = np.prod(np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]), axis=-1)
    return sign[..., None, None] * (u * others[..., None, :]) @ vh


def _cofactors_change(out: Any, a: Any) -> LinearMap:
    """How cofactors change with the matrix: minors of order n - 2 in the basis of singular vectors; a symmetric map."""
    if constant(a) is not a:
        raise DifferentiationError("np.linalg.det has no third derivative at a matrix that is (nearly) singular")
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    one = np.eye(n, dtype=bool)
    left_out = one[:, None, :] | one[None, :, :]
    minors = np.where(one, 0, np.prod(np.where(left_out, 1, s[..., None, None, :]), axis=-1))
    sign = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]

    def change(t: Any) -> Any:
        rotated = transposed(u) @ t @ transposed(vh)
        on_diagonal = np.matmul(minors, np.diagonal(rotated, axis1=-2, axis2=-1)[..., None]) * np.eye(n, dtype=s.dtype)
        return sign * (u @ (on_diagonal - minors * transposed(rotated)) @ vh)

    return change


def _det_slope(out: Any, a: Any) -> Any:
    if np.all(np.not_equal(out, 0)):
        inverse = np.linalg.inv(a)
        sizes = [np.sum(np.abs(constant(m)), axis=(-2, -1)) for m in (inverse, a)]
        if np.all(sizes[0] * sizes[1] < _ILL_CONDITIONED):
            return np.expand_dims(out, (-2, -1)) * transposed(inverse)
    return cofactors(a)


def _det_pull(out: Any, a: Any) -> LinearMap:
    return lambda g: np.expand_dims(g, (-2, -1)) * _det_slope(out, a)


def _slogdet_pull(out: Any, a: Any) -> LinearMap:
    return lambda g: np.expand_dims(g[1], (-2, -1)) * transposed(np.linalg.inv(a))


# Norms.


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    ndim = x.ndim
    if x.dtype.kind in "iub":
        x = x.astype(np.float64)
    if axis is None and (ord is None or (ord in ("f", "fro") and ndim == 2) or (ord == 2 and ndim == 1)):
        flat = np.ravel(x)
        norm = root(np.sum(flat * flat))
        return np.reshape(norm, (1,) * ndim) if keepdims else norm
    axes = reduced_axes(ndim, axis)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise DifferentiationError(f"np.linalg.norm: norms are of vectors and matrices, not over {len(axes)} axes")


def _vector_norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """`sum(|x|**ord)**(1/ord)`, and its limits."""
    if x.dtype.kind in "iub":
        x = x.astype(np.float64)
    if ord is None or ord == 2:
        return root(np.sum(x * x, axis=axis, keepdims=keepdims))
    if ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(constant(x) != 0, axis=axis, keepdims=keepdims).astype(x.dtype)
    if isinstance(ord, str):
        raise DifferentiationError(f"np.linalg.norm: ord={ord!r} is a norm of matrices")
    total = np.sum(np.abs(x) ** ord, axis=axis, keepdims=keepdims)
    return np.where(total == 0, 0, np.where(total == 0, 1, total) ** (1 / ord))


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    row, column = axes
    if ord in (None, "fro", "f"):
        return root(np.sum(x * x, axis=axes, keepdims=keepdims))
    if ord in (1, -1, np.inf, -np.inf):
        inner, outer = (row, column) if abs(ord) == 1 else (column, row)
        extremum = np.max if ord > 0 else np.min
        norm = extremum(np.sum(np.abs(x), axis=inner, keepdims=True), axis=outer, keepdims=True)
    elif ord in (2, -2, "nuc"):
        s = np.linalg.svd(np.moveaxis(x, axes, (-2, -1)), compute_uv=False)
        reduction = np.sum if ord == "nuc" else np.max if ord == 2 else np.min
        norm = np.expand_dims(reduction(s, axis=-1), tuple(sorted(axes)))
    else:
        raise DifferentiationError(f"np.linalg.norm: there is no derivative for ord={ord!r} of matrices")
    return norm if keepdims else np.squeeze(norm, axis=axes)


# Decompositions.


def _symmetric(matrix: Any) -> Any:
    return (matrix + transposed(matrix)) / 2


def _lower_half(matrix: Any) -> Any:
    """The lower triangle with half of the diagonal."""
    return np.tril(matrix) - matrix * (np.eye(matrix.shape[-1], dtype=matrix.dtype) / 2)


def _diagonal_matrix(values: Any) -> Any:
    return values[..., None] * np.eye(values.shape[-1], dtype=values.dtype)


def _inverse_differences(values: Any) -> Any:
    """`f[i, j] = 1 / (values[j] - values[i])`, and 0 where they are equal."""
    differences = values[..., None, :] - values[..., :, None]
    equal = differences == 0
    return np.where(equal, 0, 1 / np.where(equal, 1, differences))


def _cholesky_pull(out: Any, a: Any, *, upper: bool = False) -> LinearMap:
    """`da = L'^-1 @ lower_half(L' @ g) @ L^-1`, made symmetric."""

    def pull(g: Any) -> Any:
        lower, grad = (transposed(out), transposed(g)) if upper else (out, g)
        middle = _lower_half(transposed(lower) @ np.tril(grad))
        left = np.linalg.solve(transposed(lower), middle)
        return _symmetric(transposed(np.linalg.solve(transposed(lower), transposed(left))))

    return pull


def _eigh_pull(out: Any, a: Any, UPLO: str = "L") -> LinearMap:
    """`da = v @ (diag(gw) + f * (v' @ gv)) @ v'`, made symmetric."""
    w, v = out
    return lambda g: _symmetric(
        v @ (_diagonal_matrix(g[0]) + _inverse_differences(w) * (transposed(v) @ g[1])) @ transposed(v)
    )


def _eigvalsh_pull(out: Any, a: Any, UPLO: Any = "L") -> LinearMap:
    v = np.linalg.eigh(a, UPLO)[1]
    return lambda g: (v * g[..., None, :]) @ transposed(v)


# QR of matrices with at least as many rows as columns.


def _check_tall(a: Any, mode: str) -> None:
    if mode not in ("reduced", "r") and not (mode == "complete" and a.shape[-2] == a.shape[-1]):
        raise DifferentiationError(f"np.linalg.qr with mode={mode!r} has no derivative rule; use mode='reduced'")
    if a.shape[-2] < a.shape[-1]:
        raise DifferentiationError(
            f"np.linalg.qr of a matrix with fewer rows than columns, shape {a.shape}, has no derivative rule; "
            "decompose its first columns, q, r = np.linalg.qr(a[:, :m]), and use q.T @ a[:, m:] for the rest of r"
        )


@primitive
def qr_of_tall(a: Any, mode: str) -> Any:
    """`np.linalg.qr(a)`."""
    _check_tall(a, mode)
    return np.linalg.qr(a)


def _qr_pull(out: Any, a: Any, mode: str) -> LinearMap:
    """`da = (gq + q @ copy_lower(r @ gr' - gq' @ q)) @ r'^-1`."""
    q, r = out

    def pull(g: Any) -> Any:
        gq, gr = g[0], np.triu(g[1])
        m = r @ transposed(gr) - transposed(gq) @ q
        right = gq + q @ (np.tril(m) + transposed(np.tril(m, -1)))
        return transposed(np.linalg.solve(r, transposed(right)))

    return pull


def _qr(a: Any, mode: str = "reduced") -> Any:
    """Only the triangle, or both; NumPy computes the same triangle either way."""
    return qr_of_tall(a, mode)[1] if mode == "r" else qr_of_tall(a, mode)


# Singular values and vectors, with `f[i, j] = 1 / (s[j]**2 - s[i]**2)`.


def _check_thin(a: Any, full_matrices: bool, hermitian: bool) -> None:
    refuse_hermitian("svd", hermitian)
    if full_matrices and a.shape[-2] != a.shape[-1]:
        raise DifferentiationError(
            f"np.linalg.svd with full_matrices=True has no derivative for shape {a.shape}: the vectors that belong to "
            "no singular value can be any; use full_matrices=False"
        )


def _svd_pull(
    out: Any, a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> LinearMap:
    if not compute_uv:
        return _svdvals_pull(out, a, hermitian)
    _check_thin(a, full_matrices, hermitian)
    u, s, vh = out

    def pull(g: Any) -> Any:
        gu, gs, gv = g[0], g[1], transposed(g[2])
        ut, v, f = transposed(u), transposed(vh), _inverse_differences(s * s)
        ugu, vgv = ut @ gu, vh @ gv
        middle = (f * (ugu - transposed(ugu))) * s[..., None, :] + s[..., :, None] * (f * (vgv - transposed(vgv)))
        pulled = u @ (middle + _diagonal_matrix(gs)) @ vh
        inverse = np.where(s == 0, 0, 1 / np.where(s == 0, 1, s))
        if u.shape[-2] > u.shape[-1]:
            pulled = pulled + ((gu - u @ ugu) * inverse[..., None, :]) @ vh
        if v.shape[-2] > v.shape[-1]:
            pulled = pulled + u @ transposed((gv - v @ vgv) * inverse[..., None, :])
        return pulled

    return pull


def _svdvals_pull(out: Any, a: Any, hermitian: bool = False) -> LinearMap:
    refuse_hermitian("svd", hermitian)
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return lambda g: (u * g[..., None, :]) @ vh


RULES: dict[Any, Rule] = {
    np.linalg.inv: Primitive(_inv_pull),
    np.linalg.pinv: Primitive(_pinv_pull),
    np.linalg.solve: Composite(_solve),
    solve_columns: Primitive(_solve_pull_matrix, _solve_pull_side),
    np.linalg.det: Primitive(_det_pull),
    cofactors: Primitive(_cofactors_change, forward=(_cofactors_change,)),
    np.linalg.slogdet: Primitive(_slogdet_pull),
    np.linalg.norm: Composite(_norm),
    **present(
        np.linalg,
        vector_norm=Composite(_vector_norm),
        matrix_norm=Composite(lambda x, /, **options: np.linalg.norm(x, axis=(-2, -1), **options)),
    ),
    np.linalg.cholesky: Primitive(_cholesky_pull),
    np.linalg.eigh: Primitive(_eigh_pull),
    np.linalg.eigvalsh: Primitive(_eigvalsh_pull),
    np.linalg.qr: Composite(_qr),
    qr_of_tall: Primitive(_qr_pull),
    np.linalg.svd: Primitive(_svd_pull),
    **present(np.linalg, svdvals=Composite(lambda x: np.linalg.svd(x, compute_uv=False))),
}
