"""Derivatives agree with those of autograd and of JAX, where these are installed, to 1e-10 in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from case_makers import Case, definite, distinct, exactly, increasing, inside, matrix, positive, real

from purenet.transforms.reverse import grad

TOLERANCE = 1e-10


def _network(np: Any, w1: Any, b1: Any, w2: Any) -> Any:
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    return np.mean((np.tanh(x @ w1 + b1) @ w2 - np.cos(x[:, :2])) ** 2)


def _recurrent(np: Any, w: Any, x: Any) -> Any:
    h = x[0]
    for i in range(4):
        h = np.tanh(h @ w + x[i % 2])
    return np.sum(h**2)


def _log_softmax(np: Any, x: Any) -> Any:
    top = np.max(x, axis=-1, keepdims=True)
    return -np.mean((x - top - np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True)))[:, 0])


def _gaussian(np: Any, a: Any, x: Any) -> Any:
    covariance = a @ a.T + np.eye(3)
    residual = np.linalg.solve(np.linalg.cholesky(covariance), x)
    return np.sum(residual**2) + np.linalg.slogdet(covariance)[1]


Scalar = Callable[..., Any]
# Each function takes the NumPy to use first.
FUNCTIONS: dict[str, tuple[Scalar, tuple[Any, ...]]] = {
    "two-layer network": (_network, (real(3, 5), real(5), real(5, 2))),
    "recurrent network": (_recurrent, (real(3, 3), real(2, 3))),
    "log softmax": (_log_softmax, (real(4, 3),)),
    "Gaussian": (_gaussian, (real(3, 3), real(3, 2))),
    "elementwise": (lambda np, x: np.sum(np.sin(x) * np.exp(-x) / (1 + x**2) - np.arctan(x)), (real(3, 2),)),
    "positive": (lambda np, x: np.sum(np.log(x) * np.sqrt(x) + np.log1p(x) ** 3 - x**0.3), (positive(5),)),
    "inside": (lambda np, x: np.sum(np.arcsin(x) + np.arccos(x) ** 2 + np.arctanh(x)), (inside(5),)),
    "hyperbolic": (lambda np, x: np.sum(np.sinh(x) * np.cosh(x) - np.arcsinh(x) + np.expm1(x)), (real(5),)),
    "powers": (lambda np, x, y: np.sum(x**y - y**x), (positive(2, 3), positive(3))),
    "two arguments": (lambda np, x, y: np.sum(np.arctan2(x, y) * np.logaddexp(x, y)), (real(3, 1), real(4))),
    "choices": (lambda np, x: np.sum(np.maximum(x, 0) + np.where(x > 0, x**2, -x) * np.abs(x)), (distinct(6),)),
    "clip": (lambda np, x: np.sum(np.clip(x, -0.5, 0.5) ** 2), (distinct(6),)),
    "moments": (lambda np, x: np.mean(x) * np.var(x, axis=0)[1] + np.std(x, axis=1)[0], (real(4, 3),)),
    "extrema": (lambda np, x: np.max(x) * np.min(x, axis=0)[0] + np.sum(np.sort(x[0])[1:] ** 2), (distinct(4, 3),)),
    "products": (lambda np, x: np.prod(x) + np.sum(np.prod(x, axis=1) ** 2), (positive(2, 3),)),
    "running": (lambda np, x: np.sum(np.cumsum(x, axis=0) ** 2 * np.arange(1, 5)[:, None]), (real(4, 2),)),
    "shapes": (lambda np, x: np.sum(np.reshape(x, (3, 4)).T ** 3 * np.tile(x[0, :3], (4, 1))), (real(2, 6),)),
    "joined": (lambda np, x, y: np.sum(np.concatenate([x, y]) ** 2 * np.stack([y, x]).reshape(-1)), (real(3), real(3))),
    "turned": (lambda np, x: np.sum(np.roll(x, 1, axis=0) * np.flipud(x) + np.rot90(x) ** 2), (real(3, 3),)),
    "triangles": (lambda np, x: np.sum(np.tril(x) ** 2) + np.trace(x @ np.triu(x) * np.diag(x[0])), (real(3, 3),)),
    "picked": (lambda np, x: np.sum(x[np.array([0, 2, 0])] ** 2) + x[1, 0] * x[-1, 1], (real(3, 2),)),
    "einsum": (lambda np, x, y: np.sum(np.einsum("ij,kj->ik", x, y) ** 2), (real(2, 3), real(4, 3))),
    "tensordot": (lambda np, x, y: np.sum(np.tensordot(x, y, axes=1) ** 3), (real(2, 3), real(3, 2))),
    "kron": (lambda np, x, y: np.sum(np.kron(x, y) ** 2 * np.arange(12.0).reshape(4, 3)), (real(2, 3), real(2, 1))),
    "inv": (lambda np, a: np.sum(np.linalg.inv(a) ** 2), (matrix(3, 3),)),
    "det": (lambda np, a: np.linalg.det(a) ** 2 + np.linalg.det(a.T @ a), (matrix(3, 3),)),
    "solve": (lambda np, a, b: np.sum(np.linalg.solve(a, b) ** 2), (matrix(3, 3), real(3, 2))),
    "eigh": (lambda np, a: np.sum(np.linalg.eigh(a + a.T)[0] ** 3), (definite(3, 3),)),
    "eigenvectors": (lambda np, a: np.sum(np.linalg.eigh(a + a.T)[1][0] ** 2 * np.arange(3.0)), (definite(3, 3),)),
    "svd": (lambda np, a: np.sum(np.linalg.svd(a, full_matrices=False)[1] ** 3), (matrix(4, 3),)),
    "norms": (lambda np, x: np.linalg.norm(x) + np.sum(np.linalg.norm(x, axis=1)) ** 2, (real(2, 3),)),
    "sinc": (lambda np, x: np.sum(np.sinc(x) ** 2), (exactly(0.3, -1.2, 2.1),)),
}  # fmt: skip

# Functions that autograd lacks.
MORE: dict[str, tuple[Scalar, tuple[Any, ...]]] = {
    "interp": (lambda np, x, xp, fp: np.sum(np.interp(x, xp, fp) ** 2), (positive(4), increasing(4), real(4))),
    "convolve": (lambda np, a, v: np.sum(np.convolve(a, v, mode="same") ** 2), (real(6), real(3))),
    "qr": (lambda np, a: np.sum(np.linalg.qr(a)[1] ** 3), (matrix(4, 3),)),
    "pinv": (lambda np, a: np.sum(np.linalg.pinv(a) ** 2 * np.arange(12.0).reshape(3, 4)), (matrix(4, 3),)),
    "median": (lambda np, x: np.sum(np.median(x, axis=1) ** 2), (distinct(3, 4),)),
    "cumprod": (lambda np, x: np.sum(np.cumprod(x) ** 2), (exactly(1.0, 0.0, 2.0, 0.5),)),
    "product with zeros": (lambda np, x: np.prod(x), (exactly(1.0, 0.0, 2.0),)),
    "sinc at 0": (lambda np, x: np.sum(np.sinc(x)), (exactly(0.0, 1e-5),)),
    "take along axis": (lambda np, x: np.sum(np.take_along_axis(x, np.array([[1, 0], [2, 2]]), 1) ** 2), (real(2, 3),)),
    "maximum at ties": (lambda np, x: np.sum(np.maximum(x, 1.0)) + np.max(x), (exactly(1.0, 2.0, 2.0),)),
    "pad": (lambda np, x: np.sum(np.pad(x, 1, mode="reflect") ** 2), (real(3, 3),)),
    "cross": (lambda np, x, y: np.sum(np.cross(x, y) ** 3), (real(2, 3), real(2, 3))),
    "matrix power": (lambda np, a: np.sum(np.linalg.matrix_power(a, 5)), (matrix(3, 3),)),
    "repeat": (lambda np, x: np.sum(np.repeat(x, 3, axis=0) ** 2 * np.arange(6.0)[:, None]), (real(2, 2),)),
    "logaddexp at infinity": (lambda np, x: np.sum(np.logaddexp(x, np.array([-np.inf, 1.0]))), (real(2),)),
    "nan": (lambda np, x: np.nansum(np.where(x > 0, x, np.nan) ** 2), (distinct(6),)),
}  # fmt: skip


@contextmanager
def _quietly() -> Iterator[None]:
    """What an oracle warns of is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _agree(name: str, functions: dict[str, tuple[Scalar, tuple[Any, ...]]], other: Callable[..., Any]) -> None:
    f, makers = functions[name]
    args = Case(name, f, makers).arguments()
    for i in range(len(args)):
        ours = grad(lambda *xs: f(np, *xs), argnums=i)(*args)
        theirs = other(f, i, args)
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_autograd_agrees(name: str) -> None:
    """Gradients with respect to each argument."""
    autograd = pytest.importorskip("autograd")
    oracle_numpy = pytest.importorskip("autograd.numpy")

    def oracle(f: Scalar, i: int, args: list[Any]) -> Any:
        with _quietly():
            return autograd.grad(lambda *xs: f(oracle_numpy, *xs), i)(*args)

    _agree(name, FUNCTIONS, oracle)


@pytest.mark.parametrize("name", [*FUNCTIONS, *MORE])
def test_jax_agrees(name: str) -> None:
    """Gradients with respect to each argument."""
    jax = pytest.importorskip("jax")
    oracle_numpy = pytest.importorskip("jax.numpy")
    jax.config.update("jax_enable_x64", True)

    def oracle(f: Scalar, i: int, args: list[Any]) -> Any:
        with _quietly():
            return np.asarray(jax.grad(lambda *xs: f(oracle_numpy, *xs), i)(*map(oracle_numpy.asarray, args)))

    _agree(name, FUNCTIONS | MORE, oracle)


@pytest.mark.parametrize("name", [*FUNCTIONS, *MORE])
def test_finite_differences_agree(name: str) -> None:
    """The functions that the oracles are asked about, where no oracle is installed."""
    f, makers = (FUNCTIONS | MORE)[name]
    if "ties" in name:
        return
    args = Case(name, f, makers).arguments()
    for i, x in enumerate(args):
        along = np.random.RandomState(i).standard_normal(x.shape)

        def at(step: float, i: int = i, x: Any = x, along: Any = along) -> Any:
            return f(np, *args[:i], x + step * along, *args[i + 1 :])

        want = (8 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / 12e-3
        got = np.sum(grad(lambda *xs: f(np, *xs), argnums=i)(*args) * along)
        assert abs(got - want) <= 1e-6 * (1 + abs(want))
