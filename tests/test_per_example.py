"""Per-example gradients are the gradients of the examples, however they are computed."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from laws import assert_close, assert_pure

import purenet as pn
from purenet import per_example, tree
from purenet.errors import ShapeError, TreeError

KEY = pn.key(5)
X = pn.random.normal(pn.fold_in(KEY, "x"), (6, 4))
NORM = pn.LayerNorm(pn.random.normal(pn.fold_in(KEY, 1), (4,)), pn.random.normal(pn.fold_in(KEY, 2), (4,)))
NET = pn.Sequential(
    (
        NORM,
        pn.Residual(pn.Sequential((pn.dense(KEY, 4, 4), pn.Tanh()))),
        pn.Flatten(),
        pn.dense(pn.fold_in(KEY, 3), 4, 3, bias=False),
        pn.Gelu(),
        pn.dense(pn.fold_in(KEY, 4), 3, 3),
    )
)
TARGETS: dict[str, tuple[Any, Any]] = {
    "mean_squared_error": (pn.losses.mean_squared_error, np.ones((6, 3))),
    "sum_squared_error": (pn.losses.sum_squared_error, np.ones((6, 3))),
    "huber": (partial(pn.losses.huber, delta=0.5), np.ones((6, 3))),
    "sigmoid_cross_entropy": (pn.losses.sigmoid_cross_entropy, np.eye(3)[[0, 1, 2, 0, 1, 2]]),
    "softmax_cross_entropy": (pn.losses.softmax_cross_entropy, np.array([0, 1, 2, 0, 1, 2])),
}


def _one_by_one(f: Any, net: Any, batch: Any) -> Any:
    rows = [pn.grad(f)(net, tree.map(lambda leaf, i=i: leaf[i : i + 1], batch)) for i in range(6)]
    return tree.map(lambda *leaves: np.stack(leaves), *[dict(enumerate(tree.leaves(row))) for row in rows])


@pytest.mark.parametrize(("loss", "target"), TARGETS.values(), ids=TARGETS.keys())
def test_all_at_once_equals_one_by_one(loss: Any, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """purenet's layers and losses are vectorised, and give what a loop over the examples gives."""
    objective = pn.objective(loss)
    expected = _one_by_one(objective, NET, (X, target))
    monkeypatch.setattr(per_example, "grad", None)  # the loop would fail
    actual = assert_pure(pn.per_example_grads(objective), NET, (X, target))
    assert_close(dict(enumerate(tree.leaves(actual))), expected, rtol=1e-11, atol=1e-13)
    assert actual.layers[0].weight.shape == (6, 4)


def test_any_function_works() -> None:
    """A function of one's own, or a batch with weights, is taken example by example."""

    def loss(net: Any, batch: Any) -> Any:
        x, y = batch
        return np.mean(np.abs(pn.forward(net, x) - y) ** 3)

    batch = (X, np.ones((6, 3)))
    actual = pn.per_example_grads(loss)(NET, batch)
    assert_close(dict(enumerate(tree.leaves(actual))), _one_by_one(loss, NET, batch), rtol=1e-11)
    objective = pn.objective(pn.losses.sum_squared_error)
    weighted = pn.per_example_grads(objective)(NET, (*batch, np.arange(1.0, 7.0)))
    plain = pn.per_example_grads(objective)(NET, batch)
    np.testing.assert_allclose(weighted.layers[5].bias, plain.layers[5].bias * np.arange(1.0, 7.0)[:, None], rtol=1e-12)


def test_the_mean_of_them_is_the_gradient_of_the_mean() -> None:
    """The gradient of a mean loss over the batch is the mean of the gradients of its examples."""
    objective, batch = pn.objective(pn.losses.mean_squared_error), (X, np.ones((6, 3)))
    mean = [leaf.mean(axis=0) for leaf in tree.leaves(pn.per_example_grads(objective)(NET, batch))]
    assert_close(mean, tree.leaves(pn.grad(objective)(NET, batch)), rtol=1e-11, atol=1e-14)


def test_errors() -> None:
    """An empty batch, or arrays of different lengths, are named."""
    gradients = pn.per_example_grads(pn.objective(pn.losses.mean_squared_error))
    with pytest.raises(TreeError, match=r"^batch: expected a batch of at least one example"):
        gradients(NET, (X[:0], np.ones((0, 3))))
    with pytest.raises(ShapeError, match=r"^batch\[1\]: expected 6 examples as in the first array, got \(5,\)"):
        gradients(NET, (X, np.ones((5, 3))))
