"""What the contracts promise to those who bring parts of their own: nothing aliased, nothing silently wrong."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from laws import assert_close, finite_difference
from toolz import compose_left, juxt

import purenet as pn
from purenet import tree
from purenet.errors import ArgumentError, DataError, DtypeError, ShapeError, StructureError

X = np.array([[1.0, 2.0], [3.0, -1.0]])
Y = np.array([[1.0], [2.0]])
KEY = pn.key(0)
NET = pn.mlp(KEY, (2, 3, 1), activation=pn.Tanh())
OBJECTIVE = pn.objective(pn.losses.mean_squared_error)


def _ruled(pullback: Any) -> Any:
    """A layer of one weight whose pullback rule is the given one."""

    @pn.struct
    class Ruled:
        weight: pn.Array

    @pn.forward.register(Ruled)
    def _(layer: Ruled, x: Any) -> Any:
        return x * layer.weight

    @pn.forward.register_rule(Ruled)
    def _(layer: Ruled, x: Any) -> Any:
        return x * layer.weight, lambda g: pullback(layer, x, g)

    return Ruled


def test_a_stated_derivative_need_not_be_linear() -> None:
    """A pullback that clips gets the gradient itself, not one scaled by the learning rate."""
    clipped = pn.custom_vjp(lambda z: z, lambda z: (z, lambda g: (np.clip(g, -1e-3, 1e-3),)))

    def loss(net: Any, batch: Any) -> Any:
        return np.sum((clipped(pn.forward(net, batch[0])) - batch[1]) ** 2)

    optimizer = pn.sgd(0.1)
    end = pn.make_step(loss, optimizer)(pn.init_state(NET, optimizer), (X, Y))
    gradient = pn.grad(loss)(NET, (X, Y))
    assert_close(end.net, tree.map(lambda p, g: p - 0.1 * g, NET, gradient), rtol=1e-14)


def test_objectives_are_given_their_key_however_they_take_it() -> None:
    """By the name `key`, keyword-only or not, or as a third argument; other options are left alone."""
    seen: list[Any] = []

    def keyword_only(net: Any, batch: Any, *, key: Any = None) -> Any:
        seen.append(key)
        return OBJECTIVE(net, batch)

    def positional(net: Any, batch: Any, randomness: Any) -> Any:
        seen.append(randomness)
        return OBJECTIVE(net, batch)

    def option(net: Any, batch: Any, alpha: float = 0.1) -> Any:
        seen.append(alpha)
        return OBJECTIVE(net, batch)

    for objective in (keyword_only, positional, option):
        pn.make_step(objective, pn.sgd(0.1))(pn.init_state(NET, pn.sgd(0.1), key=KEY), (X, Y))
    assert pn.same_bits(seen, [pn.fold_in(KEY, 0), pn.fold_in(KEY, 0), 0.1])


@pytest.mark.parametrize(
    ("pullback", "error", "message"),
    [
        (lambda layer, x, g: ({"weight": np.sum(g * x)}, g), StructureError, "pullback of Ruled, argument 0"),
        (lambda layer, x, g: (tree.with_leaves(layer, [np.ones(3)]), g), ShapeError, "weight: expected a cotangent of"),
        (lambda layer, x, g: g, StructureError, "expected a tuple of 2 cotangents"),
    ],
)
def test_the_cotangents_of_a_rule_are_checked(pullback: Any, error: type[Exception], message: str) -> None:
    """A pullback of one's own that returns the wrong form is told so by name."""
    layer = _ruled(pullback)(np.ones(()))
    with pytest.raises(error, match=message):
        pn.grad(OBJECTIVE)(layer, (X, X))


def test_the_cotangents_of_a_rule_are_nobody_elses() -> None:
    """Neither the array that a rule keeps nor its writability changes; None is zero; the dtype is the parameter's."""
    kept = np.zeros((2, 2))
    layer = _ruled(lambda layer, x, g: (None, np.multiply(g, layer.weight, out=kept)))(np.ones(()))
    d_layer, d_x = pn.vjp(pn.forward, layer, X)[1](np.ones((2, 2)))
    assert kept.flags.writeable
    assert not np.shares_memory(d_x, kept)
    assert d_layer.weight == 0
    small = _ruled(lambda layer, x, g: (tree.with_leaves(layer, [np.float64(1)]), g))(np.float32(1))
    assert pn.grad(OBJECTIVE)(small, (X, X)).weight.dtype == np.float32


def test_states_own_what_a_part_of_ones_own_remembers() -> None:
    """A part that hands out a writable array cannot change an earlier state by it."""

    @pn.struct
    class Remembering:
        def init(self, net: Any) -> Any:
            return {"seen": [np.zeros(2)]}

        def update(self, updates: Any, state: Any, net: Any, step: int) -> Any:
            return updates, {"seen": [np.array(state["seen"][0])]}

    optimizer = pn.chain(Remembering(), pn.scale(-0.1))
    end = pn.make_step(OBJECTIVE, optimizer)(pn.init_state(NET, optimizer), (X, Y))
    assert not any(leaf.flags.writeable for leaf in tree.leaves(end.optimizer))


def test_containers_in_records_own_what_is_put_into_them() -> None:
    """`tree.at` into a tuple or dict of a record copies what somebody else could write to."""
    value = np.ones(3)
    net = pn.Sequential((pn.Dense(np.ones((3, 3)), np.zeros(3)),))
    new = tree.at({"net": net}, '["net"].layers[0].bias', value)
    value[0] = 7
    assert new["net"].layers[0].bias.tolist() == [1, 1, 1]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_as_frozen_as_what_they_copy(again: Any) -> None:
    """A record that went through copy or pickle has the same bits and read-only arrays."""
    state = pn.init_state(NET, pn.adam(1e-3), key=KEY)
    other = again(state)
    assert pn.same_bits(other, state)
    assert not any(getattr(leaf, "flags", None) and leaf.flags.writeable for leaf in tree.leaves(other.net))


def test_objectives_join_with_functions_of_ones_own() -> None:
    """A regularised objective made by juxt has the gradient of the sum."""
    regularised = compose_left(juxt(OBJECTIVE, lambda net, batch: 1e-3 * np.sum(net.layers[0].weight ** 2)), sum)
    actual = pn.grad(regularised)(NET, (X, Y))
    assert_close(actual, finite_difference(lambda net: regularised(net, (X, Y)), (NET,))[0], rtol=1e-7)


def test_layers_may_hand_on_integers() -> None:
    """What comes before a layer that picks rows has gradient zero, in a step as in a trace."""

    @pn.struct
    class Largest:
        pass

    @pn.struct
    class Rows:
        table: pn.Array

    @pn.forward.register(Largest)
    def _(layer: Largest, x: Any) -> Any:
        return np.argmax(x, axis=-1)

    @pn.forward.register(Rows)
    def _(layer: Rows, x: Any) -> Any:
        return layer.table[x]

    net = pn.Sequential((NET.layers[0], pn.Residual(pn.Tanh()), Largest(), Rows(np.arange(6.0).reshape(3, 2))))
    actual = pn.grad(OBJECTIVE)(net, (X, X))
    assert_close(actual, pn.grad(lambda net: np.mean((pn.forward(net, X) - X) ** 2))(net), rtol=1e-12)
    assert not actual.layers[0].weight.any()
    pn.make_step(OBJECTIVE, pn.sgd(0.1))(pn.init_state(net, pn.sgd(0.1)), (X, X))


@pytest.mark.parametrize("optimizer", [pn.sgd(0.1), pn.adam(0.1), pn.chain(pn.clip_by_global_norm(0.1), pn.sgd(0.1))])
def test_a_training_step_is_differentiable(optimizer: Any) -> None:
    """The loss after a step has a gradient with respect to the parameters before it."""
    step = pn.make_step(OBJECTIVE, optimizer)
    batch = (X + 0.1, Y)

    def after(net: Any) -> Any:
        return OBJECTIVE(step(pn.init_state(net, optimizer), (X, Y)).net, batch)

    assert_close(pn.grad(after)(NET), finite_difference(after, (NET,))[0], rtol=1e-5, atol=1e-8)


def test_dicts_of_every_kind_are_trees() -> None:
    """An OrderedDict and the plain dict that a transformation makes of it go together."""
    params = OrderedDict(w=np.ones(2))
    gradient = pn.grad(lambda p: np.sum(p["w"] ** 2))(params)
    assert tree.map(np.add, params, gradient)["w"].tolist() == [3, 3]


def test_ravel_is_differentiable_both_ways() -> None:
    """A penalty on all parameters as one vector."""
    gradient = pn.grad(lambda net: np.sum(pn.ravel(net)[0] ** 2))(NET)
    assert_close(gradient, tree.map(lambda leaf: 2 * leaf, NET), rtol=1e-15)


def test_small_mistakes_are_named() -> None:
    """Weights that are all zero, lists of labels, integers into dropout, dropout without a key anywhere in a tree."""
    with pytest.raises(DataError, match="weights: expected a weight other than 0"):
        pn.losses.mean_squared_error(X, X, np.zeros(2))
    assert pn.losses.softmax_cross_entropy(X, [0, 1]) == pn.losses.softmax_cross_entropy(X, np.array([0, 1]))
    with pytest.raises(DtypeError, match="expected a floating-point input, got int64"):
        pn.forward(pn.Dropout(0.3), np.ones((2, 2), np.int64), key=KEY)
    with pytest.raises(ArgumentError, match=r"pass key=pn\.key\(0\)"):
        pn.init_state({"body": NET, "head": pn.Residual(pn.Dropout(0.5))}, pn.sgd(0.1))
    foreign, gradient = pn.adam(0.1).init(pn.mlp(KEY, (4, 5, 6))), tree.map(np.ones_like, NET)
    with pytest.raises(StructureError, match="the state belongs to another net"):
        pn.adam(0.1).update(gradient, foreign, NET, 0)
    double = tree.map(lambda leaf: leaf.astype(np.float64), NET)
    single = tree.map(lambda leaf: leaf.astype(np.float32), NET)
    with pytest.raises(DtypeError, match=r"^layers\[0\]\.weight: scale_by_adam expected an update float32\[2, 3\]"):
        pn.adam(0.1).update(double, pn.adam(0.1).init(single), single, 0)
    for wrong in (X.astype(int), X.astype(object)):
        with pytest.raises(DtypeError, match="floating-point"):
            pn.losses.mean_squared_error(wrong, X)
        with pytest.raises(DtypeError, match="floating-point"):
            pn.losses.softmax_cross_entropy(wrong, np.array([0, 1]))
    with pytest.raises(ShapeError, match=r"^layers\[0\]: expected an input with 2 features"):
        pn.per_example_grads(OBJECTIVE)(NET, (np.ones((3, 5)), np.ones((3, 1))))


def test_float16_sums_in_more_precision() -> None:
    """A mean over more elements than float16 counts to."""
    ones = np.ones((70_000, 1), np.float16)
    assert pn.losses.mean_squared_error(ones, 0 * ones) == 1
