"""Every loss passes the same laws; one row per loss."""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import pytest
from laws import assert_close, assert_pure, finite_difference

import purenet as pn
from purenet.errors import ArgumentError, DataError, DtypeError, ShapeError
from purenet.transforms.linearise import trace

losses = pn.losses
P = pn.random.normal(pn.key(1), (6, 4))
T = P - np.linspace(-2.2, 2.3, 24).reshape(6, 4)  # residuals that keep clear of 0 and of huber's corners
LABELS = np.array([0, 3, 1, 2, 2, 0])
WEIGHTS = np.array([1.0, 2.0, 0.0, 3.0, 1.0, 1.0])

CASES: dict[str, tuple[Any, Any, Any]] = {
    "mean_squared_error": (losses.mean_squared_error, P, T),
    "sum_squared_error": (losses.sum_squared_error, P, T),
    "mean_absolute_error": (losses.mean_absolute_error, P, T),
    "huber": (losses.huber, P, T),
    "huber delta": (partial(losses.huber, delta=0.3), P, T),
    "sigmoid_cross_entropy": (losses.sigmoid_cross_entropy, P, (T > 0).astype(float)),
    "softmax_cross_entropy integer": (losses.softmax_cross_entropy, P, LABELS),
    "softmax_cross_entropy one-hot": (losses.softmax_cross_entropy, P, np.eye(4)[LABELS]),
    "softmax_cross_entropy soft": (losses.softmax_cross_entropy, P, np.abs(T)),
}
SUMS = ("sum_squared_error",)


@pytest.fixture(params=CASES.items(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Any:
    """Each loss in turn: (name, loss, prediction, target)."""
    name, (loss, prediction, target) = request.param
    return name, loss, prediction, target


@pytest.mark.parametrize("weights", [(), (WEIGHTS,)], ids=["unweighted", "weighted"])
def test_gradient(case: Any, weights: Any) -> None:
    """The hand-derived pullback equals the finite difference and the traced gradient."""
    _, loss, prediction, target = case
    value, gradient = pn.value_and_grad(loss)(prediction, target, *weights)
    assert value == loss(prediction, target, *weights)
    assert_close(
        gradient, finite_difference(lambda p: loss(p, target, *weights), (prediction,))[0], rtol=1e-7, atol=1e-9
    )
    args = (prediction, target, *weights)
    traced = trace(loss, args, {}, [i == 0 for i in range(len(args))])[1](np.float64(1))[0]
    assert_close(gradient, traced, rtol=1e-12, atol=1e-14)


def test_gradient_of_targets_and_weights(case: Any) -> None:
    """Targets and weights that are floats have gradients too."""
    _, loss, prediction, target = case
    positions = [1, 2] if target.dtype.kind == "f" else [2]
    args = (prediction, target, WEIGHTS + 0.5)
    for position in positions:
        gradient = pn.grad(loss, argnums=position)(*args)
        if np.isin(target, (0, 1)).all() and position == 1:
            continue  # a finite difference would leave the range of targets
        expected = finite_difference(
            lambda v, position=position: loss(*args[:position], v, *args[position + 1 :]), (args[position],)
        )[0]
        assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


def test_second_order(case: Any) -> None:
    """A gradient of a gradient equals its finite difference."""
    _, loss, prediction, target = case
    direction = np.cos(np.arange(24.0)).reshape(6, 4)

    def projected(p: Any) -> Any:
        return np.sum(pn.grad(loss)(p, target) * direction)

    assert_close(pn.grad(projected)(prediction), finite_difference(projected, (prediction,))[0], rtol=1e-5, atol=1e-8)


def test_an_integer_weight_is_a_repeated_example(case: Any) -> None:
    """Weights count examples; weight 0 is no example."""
    name, loss, prediction, target = case
    counts = WEIGHTS.astype(int)
    repeated = loss(np.repeat(prediction, counts, axis=0), np.repeat(target, counts, axis=0))
    np.testing.assert_allclose(loss(prediction, target, WEIGHTS), repeated, rtol=1e-13)
    scaled = loss(prediction, target, np.full(6, 2.0)) / (2 if name in SUMS else 1)
    np.testing.assert_allclose(scaled, loss(prediction, target), rtol=1e-13)


def test_purity(case: Any) -> None:
    """A loss and its gradient leave their arguments alone and give the same bits again."""
    _, loss, prediction, target = case
    assert_pure(loss, prediction, target, WEIGHTS)
    assert_pure(pn.grad(loss), prediction, target, WEIGHTS)


def test_float32(case: Any) -> None:
    """The loss and the gradient of float32 predictions are float32."""
    _, loss, prediction, target = case
    target = target.astype(np.float32) if target.dtype.kind == "f" else target
    for weights in ((), (WEIGHTS,)):
        value, gradient = pn.value_and_grad(loss)(prediction.astype(np.float32), target, *weights)
        assert value.dtype == gradient.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_stable_at_extreme_logits(dtype: Any) -> None:
    """At logits of +-1e4 both cross entropies are finite and exact, and so are their gradients."""
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    value, gradient = pn.value_and_grad(losses.softmax_cross_entropy)(logits, np.array([0, 0]))
    assert value == 1e4
    np.testing.assert_array_equal(gradient, np.array([[0, 0], [-0.5, 0.5]], dtype))
    value, gradient = pn.value_and_grad(losses.sigmoid_cross_entropy)(logits, np.array([[1.0, 1.0], [0.0, 0.0]], dtype))
    assert value == 5e3
    np.testing.assert_array_equal(gradient, np.array([[0, -0.25], [0, 0.25]], dtype))


def test_integer_and_one_hot_labels_agree() -> None:
    """Both forms of labels are one loss."""
    integer = pn.value_and_grad(losses.softmax_cross_entropy)(P, LABELS)
    one_hot = pn.value_and_grad(losses.softmax_cross_entropy)(P, np.eye(4)[LABELS])
    assert_close(integer, one_hot, rtol=1e-14, atol=1e-15)


def test_huber_joins_its_two_parts() -> None:
    """Half the square inside, linear outside, and one slope where they meet."""
    r = np.array([[-3.0], [-1.0], [0.5], [1.0], [2.0]])
    expected = np.mean([2.5, 0.5, 0.125, 0.5, 1.5])
    np.testing.assert_allclose(losses.huber(r, np.zeros_like(r)), expected)
    np.testing.assert_allclose(pn.grad(losses.huber)(r, np.zeros_like(r)) * 5, [[-1], [-1], [0.5], [1], [1]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: losses.mean_squared_error(np.ones((3, 1)), np.ones(3)),
            ShapeError,
            r"^mean_squared_error: .*\(3, 1\) and \(3,\)",
        ),
        (lambda: losses.mean_squared_error(np.ones((0, 1)), np.ones((0, 1))), DataError, "at least one example"),
        (
            lambda: losses.mean_squared_error(P, T, np.ones(5)),
            ShapeError,
            r"weights: expected one weight for each example",
        ),
        (
            lambda: losses.mean_squared_error(P[:, :1], T[:, 0]),
            ShapeError,
            r"; write target\[:, None\], for they would",
        ),
        (lambda: losses.mean_squared_error([1.0], [2.0]), DtypeError, "expected an array of predictions, got list"),
        (lambda: losses.huber(None, T), DtypeError, r"^huber: expected an array of predictions, got NoneType"),
        (lambda: losses.softmax_cross_entropy([[1.0]], LABELS), DtypeError, r"predictions, got list"),
        (lambda: losses.huber(P, T, delta=0.0), ArgumentError, r"^huber\.delta"),
        (
            lambda: losses.softmax_cross_entropy(P, LABELS + 1),
            DataError,
            r"labels: expected classes from 0 to 3, got 4 in row 1",
        ),
        (lambda: losses.softmax_cross_entropy(P, LABELS - 1), DataError, r"got -1 in row 0"),
        (lambda: losses.softmax_cross_entropy(P, LABELS * 1.0), DtypeError, r"expected integer labels, got float64"),
        (lambda: losses.softmax_cross_entropy(P, LABELS[:3]), ShapeError, r"labels of shape \(batch,\)"),
        (lambda: losses.softmax_cross_entropy(P[0], LABELS), ShapeError, r"logits of shape \(batch, classes\)"),
        (lambda: losses.sigmoid_cross_entropy(P, T * 9), DataError, r"targets: expected targets from 0 to 1"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    """A loss of things that do not fit names what is wrong."""
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", sorted(losses.__all__))
def test_a_loss_is_differentiated_however_its_arguments_are_given(name: str) -> None:
    """By position or by their names, with and without weights."""
    loss = getattr(losses, name)
    second, third = list(signature(loss).parameters)[1:3]
    prediction, target, weights = np.array([[0.5, 2.0]]), np.array([[0.25, 0.75]]), np.array([3.0])
    for given in ({second: target}, {second: target, third: weights}, {second: target, third: None}):
        named = pn.value_and_grad(lambda p, given=given: loss(p, **given))(prediction)
        placed = pn.value_and_grad(loss)(prediction, *given.values())
        assert pn.same_bits(placed, pn.value_and_grad(loss)(prediction, **given))
        np.testing.assert_allclose(placed[1], named[1], rtol=1e-12)
