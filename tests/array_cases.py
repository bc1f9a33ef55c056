"""Rows about products, linear algebra, shapes, picking and interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from case_makers import Case, Maker, definite, distinct, exactly, increasing, matrix, newer, positive, real

MASK = np.array([[True, False, True], [True, True, False]])
PICKS = np.array([[2, 0, 2], [1, 1, 0]])


def symmetric(a: Any) -> Any:
    """The symmetric part: what `cholesky` and `eigh` are functions of."""
    return (a + np.swapaxes(a, -1, -2)) / 2


# Eigenvectors and singular vectors have a free sign, which is fixed here.


def _signs(vectors: Any) -> Any:
    """The sign of the largest element of each column."""
    largest = np.argmax(np.abs(vectors), axis=-2)[..., None, :]
    return np.sign(np.take_along_axis(vectors, largest, axis=-2))


def _eigh(a: Any) -> Any:
    w, v = np.linalg.eigh(symmetric(a))
    return w, v * _signs(v)


def _svd(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return u * _signs(u), s, vh * np.swapaxes(_signs(u), -1, -2)


Rows = dict[str, tuple[Callable[..., Any], tuple[Maker, ...]]]

_PRODUCTS: Rows = {
    "np.matmul": (np.matmul, (real(2, 3), real(3, 4))),
    "np.matmul vectors": (np.matmul, (real(3), real(3))),
    "np.matmul vector left": (np.matmul, (real(3), real(3, 2))),
    "np.matmul vector right": (np.matmul, (real(2, 3), real(3))),
    "np.matmul stacks": (np.matmul, (real(2, 1, 2, 3), real(4, 3, 2))),
    "np.matmul stack and matrix": (np.matmul, (real(4, 2, 3), real(3, 2))),
    "np.matmul matrix and stack": (np.matmul, (real(2, 3), real(4, 3, 2))),
    "np.matmul vector and stack": (np.matmul, (real(3), real(4, 3, 2))),
    "np.matmul stack and vector": (np.matmul, (real(4, 2, 3), real(3))),
    "np.matmul list": (lambda x: np.matmul(x, [[1.0, 2.0], [0.5, 1.0]]), (real(3, 2),)),
    "np.matmul empty": (np.matmul, (real(0, 3), real(3, 2))),
    "np.matmul empty inside": (np.matmul, (real(2, 0), real(0, 3))),
    "np.dot": (np.dot, (real(2, 3), real(3, 4))),
    "np.dot scalar": (np.dot, (real(), real(3, 4))),
    "np.dot stacks": (np.dot, (real(2, 3), real(4, 3, 2))),
    "np.dot vector and stack": (np.dot, (real(3), real(4, 3, 2))),
    "np.dot number": (lambda x: np.dot(x, 2.5), (real(2, 3),)),
    "np.dot list": (lambda x: np.dot([1.0, 2.0], x), (real(2, 3),)),
    "np.vdot": (np.vdot, (real(2, 3), real(2, 3))),
    "np.inner": (np.inner, (real(2, 3), real(4, 3))),
    "np.inner scalar": (np.inner, (real(2, 3), real())),
    "np.outer": (np.outer, (real(2, 2), real(3))),
    "np.tensordot": (np.tensordot, (real(2, 3, 4), real(3, 4, 2))),
    "np.tensordot axes": (lambda x, y: np.tensordot(x, y, axes=([0, 2], [1, -2])), (real(2, 3, 4), real(3, 2, 4, 2))),
    "np.tensordot one axis": (lambda x, y: np.tensordot(x, y, (1, 0)), (real(2, 3), real(3, 2))),
    "np.tensordot none": (lambda x, y: np.tensordot(x, y, 0), (real(2), real(3))),
    "np.einsum product": (lambda x, y: np.einsum("ij,jk->ik", x, y), (real(2, 3), real(3, 4))),
    "np.einsum implicit": (lambda x, y: np.einsum("ij,jk", x, y), (real(2, 3), real(3, 4))),
    "np.einsum implicit order": (lambda x: np.einsum("ba", x), (real(2, 3),)),
    "np.einsum trace": (lambda x: np.einsum("ii", x), (real(3, 3),)),
    "np.einsum diagonal": (lambda x, y: np.einsum("ijij,j->i", x, y), (real(2, 3, 2, 3), real(3))),
    "np.einsum sum": (lambda x: np.einsum("ijk->j", x), (real(2, 3, 2),)),
    "np.einsum summed alone": (lambda x, y: np.einsum("ij,k->k", x, y), (real(2, 3), real(2))),
    "np.einsum ellipsis": (lambda x, y: np.einsum("...ij,jk->...ik", x, y), (real(2, 2, 3), real(3, 2))),
    "np.einsum ellipsis implicit": (lambda x, y: np.einsum("i...,i", x, y), (real(2, 3, 2), real(2))),
    "np.einsum ellipsis broadcast": (lambda x, y: np.einsum("...i,...i->...", x, y), (real(2, 1, 3), real(4, 3))),
    "np.einsum stretched": (lambda x, y: np.einsum("ij,ij->i", x, y), (real(2, 1), real(2, 3))),
    "np.einsum optimized": (
        lambda x, y, z: np.einsum("ij,jk,kl->il", x, y, z, optimize=True), (real(2, 3), real(3, 2), real(2, 4))
    ),
    "np.einsum lists": (lambda x, y: np.einsum(x, [0, 1], y, [1, 2], [2, 0]), (real(2, 3), real(3, 2))),
    "np.einsum of itself": (lambda x: np.einsum("i,i,ij->j", x, x, np.ones((3, 2))), (real(3),)),
    "np.kron": (np.kron, (real(2, 3), real(3, 2))),
    "np.kron of different dimensions": (np.kron, (real(2), real(1, 2, 2))),
    "np.cross": (np.cross, (real(2, 3), real(3))),
    "np.cross axes": (lambda x, y: np.cross(x, y, axisa=0, axisb=-1, axisc=0), (real(3, 2), real(2, 3))),
    "np.linalg.multi_dot": (lambda *m: np.linalg.multi_dot(m), (real(2, 3), real(3, 4), real(4, 2), real(2, 3))),
    "np.linalg.multi_dot of two": (lambda *m: np.linalg.multi_dot(m), (real(2, 3), real(3, 4))),
    "np.linalg.multi_dot vectors": (lambda *m: np.linalg.multi_dot(m), (real(3), real(3, 4), real(4))),
    "np.linalg.multi_dot vector first": (lambda *m: np.linalg.multi_dot(m), (real(3), real(3, 4), real(4, 2))),
    **{
        f"np.linalg.matrix_power {n}": (lambda x, n=n: np.linalg.matrix_power(x, n), (matrix(2, 3, 3),))
        for n in (-2, 0, 1, 2, 3, 5)
    },
}  # fmt: skip

_LINEAR_ALGEBRA: Rows = {
    "np.linalg.inv": (np.linalg.inv, (matrix(3, 3),)),
    "np.linalg.inv stack": (np.linalg.inv, (matrix(2, 3, 3),)),
    "np.linalg.pinv tall": (np.linalg.pinv, (matrix(2, 4, 3),)),
    "np.linalg.pinv wide": (np.linalg.pinv, (matrix(2, 4),)),
    "np.linalg.det": (np.linalg.det, (matrix(3, 3),)),
    "np.linalg.det stack": (np.linalg.det, (matrix(2, 2, 3, 3),)),
    "np.linalg.det of one element": (np.linalg.det, (matrix(1, 1),)),
    "np.linalg.det singular": (np.linalg.det, (exactly([1, 2, 3], [2, 4, 6], [1, 1, 2]),)),
    "np.linalg.det nearly singular": (np.linalg.det, (exactly([1, 2, 3], [4, 5, 6], [7, 8, 9]),)),
    "np.linalg.det of rank 1": (np.linalg.det, (exactly([1, 2], [2, 4]),)),
    "np.linalg.slogdet": (np.linalg.slogdet, (matrix(2, 3, 3),)),
    "np.linalg.solve": (np.linalg.solve, (matrix(3, 3), real(3, 2))),
    "np.linalg.solve vector": (np.linalg.solve, (matrix(3, 3), real(3))),
    "np.linalg.solve stack": (np.linalg.solve, (matrix(2, 3, 3), real(2, 3, 2))),
    "np.linalg.solve broadcast": (np.linalg.solve, (matrix(3, 3), real(4, 3, 2))),
    "np.linalg.solve list": (lambda a: np.linalg.solve(a, [1.0, 2.0, 3.0]), (matrix(3, 3),)),
    "np.linalg.cholesky": (lambda a: np.linalg.cholesky(symmetric(a)), (definite(3, 3),)),
    "np.linalg.cholesky stack": (lambda a: np.linalg.cholesky(symmetric(a)), (definite(2, 3, 3),)),
    "np.linalg.eigh": (_eigh, (definite(3, 3),)),
    "np.linalg.eigh stack": (_eigh, (definite(2, 3, 3),)),
    "np.linalg.eigh values": (lambda a: np.linalg.eigh(symmetric(a), "U").eigenvalues
                              if hasattr(np.linalg.eigh(np.eye(2)), "eigenvalues") else np.linalg.eigh(symmetric(a))[0],
                              (definite(3, 3),)),
    "np.linalg.eigvalsh": (lambda a: np.linalg.eigvalsh(symmetric(a)), (definite(2, 3, 3),)),
    "np.linalg.qr": (np.linalg.qr, (matrix(3, 3),)),
    "np.linalg.qr tall": (np.linalg.qr, (matrix(2, 4, 3),)),
    "np.linalg.qr triangle": (lambda a: np.linalg.qr(a, mode="r"), (matrix(4, 3),)),
    "np.linalg.svd": (_svd, (matrix(3, 3),)),
    "np.linalg.svd tall": (_svd, (matrix(2, 4, 3),)),
    "np.linalg.svd wide": (_svd, (matrix(2, 3, 4),)),
    "np.linalg.svd full": (lambda a: np.linalg.svd(a)[1], (matrix(3, 3),)),
    "np.linalg.svd values": (lambda a: np.linalg.svd(a, compute_uv=False), (matrix(2, 3, 2),)),
    **{
        f"np.linalg.norm {label}": (lambda x, order=order, axis=axis: np.linalg.norm(x, order, axis), (distinct(2, 3),))
        for label, order, axis in (
            ("default", None, None), ("fro", "fro", None), ("nuc", "nuc", None), ("2", 2, None), ("-2", -2, None),
            ("1", 1, None), ("-1", -1, None), ("inf", np.inf, None), ("-inf", -np.inf, None), ("axis", None, 0),
            ("2 axis", 2, 1), ("1 axis", 1, -1), ("inf axis", np.inf, 0), ("-inf axis", -np.inf, 0), ("3 axis", 3, 1),
            ("2.5 axis", 2.5, 0), ("0 axis", 0, 1), ("axes", None, (1, 0)), ("nuc axes", "nuc", (0, 1)),
        )
    },
    "np.linalg.norm vector": (np.linalg.norm, (real(4),)),
    "np.linalg.norm stack": (lambda x: np.linalg.norm(x, 2, (0, 2), True), (distinct(2, 3, 3),)),
    "np.linalg.norm keepdims": (lambda x: np.linalg.norm(x, 1, axis=(0, 2), keepdims=True), (distinct(2, 3, 2),)),
    "np.linalg.norm all, keepdims": (lambda x: np.linalg.norm(x, keepdims=True), (real(2, 3),)),
}  # fmt: skip

_SHAPES: Rows = {
    "np.reshape": (lambda x: np.reshape(x, (3, -1)), (real(2, 3),)),
    "np.reshape order": (lambda x: np.reshape(x, [3, 2], order="F"), (real(2, 3),)),
    "np.reshape by keyword": (lambda x: np.reshape(x, order="F", **_SHAPE), (real(2, 3),)),
    "np.ravel": (np.ravel, (real(2, 3),)),
    "np.ravel order": (lambda x: np.ravel(x, "F"), (real(2, 3),)),
    "np.expand_dims": (lambda x: np.expand_dims(x, (0, -1)), (real(2, 3),)),
    "np.squeeze": (lambda x: np.squeeze(x, axis=1), (real(2, 1, 3, 1),)),
    "np.transpose": (np.transpose, (real(2, 3),)),
    "np.transpose axes": (lambda x: np.transpose(x, (1, -1, 0)), (real(2, 3, 4),)),
    "np.swapaxes": (lambda x: np.swapaxes(x, 0, -1), (real(2, 3, 4),)),
    "np.moveaxis": (lambda x: np.moveaxis(x, (0, 1), (-1, 0)), (real(2, 3, 4),)),
    "np.rollaxis": (lambda x: np.rollaxis(x, -1, 1), (real(2, 3, 4),)),
    "np.rollaxis backwards": (lambda x: np.rollaxis(x, 0, 3), (real(2, 3, 4),)),
    "np.broadcast_to": (lambda x: np.broadcast_to(x, (4, 2, 3)), (real(2, 1),)),
    "np.broadcast_to scalar": (lambda x: np.broadcast_to(x, (2, 3)), (real(),)),
    "np.broadcast_arrays": (np.broadcast_arrays, (real(2, 1), real(3))),
    "np.meshgrid": (np.meshgrid, (real(2), real(3))),
    "np.meshgrid sparse": (lambda *x: np.meshgrid(*x, sparse=True, indexing="ij"), (real(2), real(3), real(2))),
    **{
        f"np.atleast_{n}d of {ndim}d": (getattr(np, f"atleast_{n}d"), (real(*(2, 3, 2, 2)[:ndim]),))
        for n in (1, 2, 3)
        for ndim in range(5)
    },
    "np.atleast_1d of two": (np.atleast_1d, (real(), real(2))),
    "np.copy": (np.copy, (real(2),)),
    "np.flip": (np.flip, (real(2, 3),)),
    "np.flip axes": (lambda x: np.flip(x, (0, 2)), (real(2, 3, 2),)),
    "np.fliplr": (np.fliplr, (real(2, 3),)),
    "np.flipud": (np.flipud, (real(2, 3),)),
    "np.roll": (lambda x: np.roll(x, 2), (real(2, 3),)),
    "np.roll axes": (lambda x: np.roll(x, (1, -2), (0, 1)), (real(2, 3),)),
    "np.rot90": (np.rot90, (real(2, 3),)),
    "np.rot90 axes": (lambda x: np.rot90(x, 3, (1, 2)), (real(2, 3, 2),)),
    "np.tile": (lambda x: np.tile(x, 2), (real(2, 3),)),
    "np.tile more": (lambda x: np.tile(x, (2, 1, 3)), (real(2, 3),)),
    "np.tile less": (lambda x: np.tile(x, (3,)), (real(2, 1, 3),)),
    "np.tile scalar": (lambda x: np.tile(x, (2, 2)), (real(),)),
    "np.repeat": (lambda x: np.repeat(x, 2), (real(2, 3),)),
    "np.repeat axis": (lambda x: np.repeat(x, 3, axis=-1), (real(2, 3),)),
    "np.repeat each": (lambda x: np.repeat(x, [2, 0, 1], axis=1), (real(2, 3),)),
    "np.diagonal": (np.diagonal, (real(3, 4),)),
    "np.diagonal offset": (lambda x: np.diagonal(x, -1, 2, 0), (real(3, 2, 4),)),
    "np.diag": (lambda x: np.diag(x, 1), (real(3),)),
    "np.diag of a matrix": (lambda x: np.diag(x, -1), (real(4, 3),)),
    "np.diagflat": (lambda x: np.diagflat(x, -2), (real(2, 2),)),
    "np.tril": (lambda x: np.tril(x, 1), (real(2, 3, 3),)),
    "np.triu": (np.triu, (real(3, 4),)),
    "np.full_like": (lambda x, y: np.full_like(x, y) * np.full_like(x, 2.0), (real(2, 3), real(3))),
    "np.concatenate": (lambda x, y: np.concatenate([x, y, x]), (real(2, 3), real(1, 3))),
    "np.concatenate axis": (lambda x, y: np.concatenate((x, [[1.0], [2.0]], y), axis=-1), (real(2, 3), real(2, 1))),
    "np.concatenate flat": (lambda x, y: np.concatenate([x, y], axis=None), (real(2, 3), real(2))),
    "np.concatenate empty": (lambda x, y: np.concatenate([x, y]), (real(0, 3), real(2, 3))),
    "np.stack": (lambda x, y: np.stack([x, y, [1.0, 2.0]], axis=1), (real(2), real(2))),
    "np.stack axis": (lambda x, y: np.stack((x, y), axis=-1), (real(2, 3), real(2, 3))),
    "np.vstack": (lambda x, y: np.vstack([x, y]), (real(3), real(2, 3))),
    "np.hstack": (lambda x, y: np.hstack([x, y, 2.0]), (real(3), real(2))),
    "np.hstack matrices": (lambda x, y: np.hstack([x, y]), (real(2, 3), real(2, 1))),
    "np.dstack": (lambda x, y: np.dstack([x, y]), (real(3), real(1, 3, 2))),
    "np.column_stack": (lambda x, y: np.column_stack([x, y, [1.0, 2.0]]), (real(2), real(2, 3))),
    "np.block": (lambda x, y: np.block([[x, np.ones((2, 1))], [y, 3.0]]), (real(2, 2), real(2))),
    "np.append": (lambda x, y: np.append(x, y), (real(2, 3), real())),
    "np.append axis": (lambda x, y: np.append(x, y, axis=1), (real(2, 3), real(2, 1))),
    "np.append number": (lambda x: np.append(x, 3.0), (real(2),)),
    "np.split": (lambda x: np.split(x, 3, axis=1), (real(2, 3),)),
    "np.split places": (lambda x: np.split(x, [1, 3]), (real(4, 2),)),
    "np.array_split": (lambda x: np.array_split(x, 3, axis=-1), (real(2, 5),)),
    "np.vsplit": (lambda x: np.vsplit(x, 2), (real(4, 2),)),
    "np.hsplit": (lambda x: np.hsplit(x, [1]), (real(2, 3),)),
    "np.hsplit vector": (lambda x: np.hsplit(x, 2), (real(4),)),
    "np.dsplit": (lambda x: np.dsplit(x, 2), (real(1, 2, 4),)),
    "np.pad": (lambda x: np.pad(x, 1), (real(2, 3),)),
    "np.pad constant": (lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=((1, 2), (3, 4))), (real(2, 3),)),
    **{
        f"np.pad {mode}": (lambda x, mode=mode: np.pad(x, ((2, 1), (0, 2)), mode), (real(3, 4),))
        for mode in ("edge", "reflect", "symmetric", "wrap")
    },
}  # fmt: skip
_SHAPE = {"newshape" if np.__version__.startswith(("1.", "2.0")) else "shape": (3, 2)}

_PICKING: Rows = {
    **{
        f"index {label}": (lambda x, index=index: x[index], (real(2, 3, 4),))
        for label, index in {
            "integer": 1, "negative": -1, "integers": (0, 2, 1), "slice": slice(None, None, -1),
            "step": (slice(1), slice(None, None, 2)), "ellipsis": (..., 1), "newaxis": (None, 0, ..., None),
            "mask": np.array([True, False]), "list": [1, 0, 1],
            "mask of all": np.arange(24).reshape(2, 3, 4) % 3 == 0, "array": PICKS % 2,
            "arrays": ([0, 1, 1], [2, 2, 2]),
            "arrays apart": ([0, 1, 1], slice(None), [3, 0, 3]), "array and slice": (slice(None), PICKS), "nothing": (),
            "mask inside": (slice(None), np.array([True, False, True])), "empty": slice(0, 0), "np.int64": np.int64(1),
        }.items()
    },
    "index of a vector's elements": (lambda x: [x[i] * x[i - 1] for i in range(3)], (real(3),)),
    "index and use": (lambda x: x[0] * np.sum(x) + x[1], (real(3),)),
    "np.take": (lambda x: np.take(x, PICKS), (real(3),)),
    "np.take axis": (lambda x: np.take(x, PICKS, axis=1), (real(2, 3, 2),)),
    "np.take one": (lambda x: np.take(x, 1, axis=-1), (real(2, 3),)),
    "np.take wrap": (lambda x: np.take(x, [-4, 5, 7], mode="wrap"), (real(2, 3),)),
    "np.take clip": (lambda x: np.take(x, [-4, 5, 1], 0, mode="clip"), (real(2, 3),)),
    "np.take_along_axis": (lambda x: np.take_along_axis(x, PICKS, 1), (real(2, 3),)),
    "np.take_along_axis flat": (lambda x: np.take_along_axis(x, PICKS[0], None), (real(2, 3),)),
    "np.choose": (lambda x, y: np.choose([0, 1, 0], [x, y]), (real(3), real(2, 1))),
    "np.choose wrap": (lambda x: np.choose([3, -1], x, mode="wrap"), (real(3, 2),)),
    "np.select": (lambda x, y: np.select([MASK, ~MASK[:1]], [x, y], 7.0), (real(2, 3), real(3))),
    "np.compress": (lambda x: np.compress([True, False], x, axis=0), (real(2, 3),)),
    "np.compress flat": (lambda x: np.compress([True, False, True], x), (real(2, 3),)),
    "np.extract": (lambda x: np.extract(x > 0, x), (distinct(2, 3),)),
    "np.delete": (lambda x: np.delete(x, [0, 2], axis=1), (real(2, 3),)),
    "np.sort": (np.sort, (distinct(2, 3),)),
    "np.sort axis": (lambda x: np.sort(x, axis=0), (distinct(3, 2),)),
    "np.sort flat": (lambda x: np.sort(x, axis=None), (distinct(3, 2),)),
    "np.partition": (lambda x: np.partition(x, 2), (distinct(2, 5),)),
    "np.partition axis": (lambda x: np.partition(x, (1, 2), axis=0), (distinct(4, 2),)),
    "np.unique": (np.unique, (exactly(3.0, 1.0, 2.0, 1.5),)),
    "np.unique and more": (lambda x: np.unique(x, return_counts=True)[0], (distinct(2, 3),)),
    "np.unique rows": (lambda x: np.unique(x, axis=0), (distinct(3, 2),)),
}  # fmt: skip

_INTERPOLATION: Rows = {
    "np.interp": (lambda x, xp, fp: np.interp(x, xp, fp), (positive(2, 3), increasing(4), real(4))),
    "np.interp scalar": (lambda x: np.interp(x, [0.0, 1.0, 3.0], [1.0, -1.0, 2.0]), (positive(),)),
    "np.interp outside": (
        lambda x, fp, end: np.interp(x, [0.7, 1.0], fp, left=end), (exactly(0.1, 0.8, 3.0), real(2), real())
    ),
    "np.interp right": (lambda x, end: np.interp(x, [0.7, 1.0], [1, 2], right=end), (exactly(0.1, 0.8, 3.0), real())),
    "np.interp by keyword": (lambda f: np.interp([0.5, 1.5], xp=[0, 1, 2], fp=f), (real(3),)),
    "np.interp period": (
        lambda x, f: np.interp(x, [1.0, 0.2, 2.0], f, period=2.5), (exactly(-1.1, 0.5, 4.0, 2.4), real(3))
    ),
    **{
        f"np.convolve {mode} {n} {m}": (lambda a, v, mode=mode: np.convolve(a, v, mode), (real(n), real(m)))
        for mode in ("full", "same", "valid")
        for n, m in ((5, 3), (5, 4), (2, 5), (3, 3))
    },
    "np.convolve scalar": (lambda a, v: np.convolve(a, v), (real(3), real())),
    **{
        f"np.correlate {mode} {n} {m}": (lambda a, v, mode=mode: np.correlate(a, v, mode), (real(n), real(m)))
        for mode in ("full", "same", "valid")
        for n, m in ((5, 3), (5, 4), (2, 5), (3, 6), (4, 4))
    },
    "np.diff": (np.diff, (real(2, 4),)),
    "np.diff twice": (lambda x: np.diff(x, n=2, axis=0), (real(4, 2),)),
    "np.diff ends": (lambda x, y: np.diff(x, prepend=y, append=2.0), (real(2, 3), real(2, 1))),
    "np.diff prepend": (lambda x, y: np.diff(x, prepend=y), (real(2, 3), real())),
    "np.ediff1d": (lambda x, y: np.ediff1d(x, to_begin=y, to_end=[1.0, 2.0]), (real(2, 2), real())),
    "np.gradient": (np.gradient, (real(5),)),
    "np.gradient axes": (lambda x: np.gradient(x, 0.5, 2.0), (real(3, 4),)),
    "np.gradient step": (lambda x, h: np.gradient(x, h, axis=1, edge_order=2), (real(2, 4), positive())),
    "np.gradient coordinates": (lambda f, x: np.gradient(f, x, axis=0), (real(4, 2), increasing(4))),
    "np.gradient coordinates, second order": (lambda f, x: np.gradient(f, x, edge_order=2), (real(5), increasing(5))),
    "np.gradient of three": (lambda f, x: np.gradient(f, x, edge_order=2), (real(3), increasing(3))),
    "np.polyval": (np.polyval, (real(3), real(2, 2))),
    "np.polyval scalar": (lambda p: np.polyval(p, 2.0), (real(3),)),
}  # fmt: skip


def array_cases() -> list[Case]:
    """Rows about products, linear algebra, shapes, picking and interpolation."""
    tables = (_PRODUCTS, _LINEAR_ALGEBRA, _SHAPES, _PICKING, _INTERPOLATION)
    unseen = {"np.full_like", "np.interp outside", "np.interp right"}
    rows = [Case(label, f, makers, label not in unseen) for rows in tables for label, (f, makers) in rows.items()]
    return [*rows, *_of_numpy_2()]


def _of_numpy_2() -> list[Case]:
    of_numpy = {
        "vecdot": (lambda f: f, (real(2, 3), real(3))),
        "vecdot axis": (lambda f: lambda x, y: f(x, y, axis=0), (real(3, 2), real(3, 2))),
        "matvec": (lambda f: f, (real(2, 2, 3), real(3))),
        "vecmat": (lambda f: f, (real(2), real(4, 2, 3))),
        "matrix_transpose": (lambda f: f, (real(2, 3, 4),)),
        "astype": (lambda f: lambda x: f(x, np.float64), (real(3),)),
        "unstack": (lambda f: lambda x: f(x, axis=1), (real(2, 3),)),
    }
    of_linalg = {
        "cross": (lambda f: f, (real(2, 3), real(2, 3))),
        "matmul": (lambda f: f, (real(2, 3), real(3, 2))),
        "outer": (lambda f: f, (real(2), real(3))),
        "tensordot": (lambda f: lambda x, y: f(x, y, axes=1), (real(2, 3), real(3, 2))),
        "vecdot": (lambda f: f, (real(2, 3), real(2, 3))),
        "matrix_transpose": (lambda f: f, (real(2, 3, 4),)),
        "diagonal": (lambda f: lambda x: f(x, offset=1), (real(2, 3, 4),)),
        "trace": (lambda f: lambda x: f(x, offset=-1), (real(2, 3, 4),)),
        "svdvals": (lambda f: f, (matrix(2, 4, 3),)),
        "vector_norm": (lambda f: lambda x: f(x, axis=(0, -1), keepdims=True), (real(2, 3, 2),)),
        "vector_norm all": (lambda f: lambda x: f(x, ord=3), (distinct(2, 3),)),
        "matrix_norm": (lambda f: lambda x: f(x, ord="nuc"), (real(2, 3, 2),)),
    }
    return newer(np, "np", of_numpy) + newer(np.linalg, "np.linalg", of_linalg)
