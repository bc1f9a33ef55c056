"""Training is a fold: its laws, its errors, and the ways to state an objective."""

from __future__ import annotations

from itertools import product, repeat
from typing import Any

import numpy as np
import pytest
from laws import assert_close, assert_pure
from toolz import accumulate, compose_left, reduce, take

import purenet as pn
from purenet import tree
from purenet.errors import ArgumentError, DtypeError, NonFiniteError, TreeError
from purenet.records import rebuild

KEY = pn.key(3)
X = pn.random.normal(pn.fold_in(KEY, "x"), (40, 5))
Y = np.sin(X[:, :2])
NET = pn.mlp(KEY, (5, 8, 2), activation=pn.Tanh())
OBJECTIVE = pn.objective(pn.losses.mean_squared_error)


def _batches(**options: Any) -> pn.Batches:
    return pn.Batches(pn.Dataset(X, Y), 8, KEY, **options)


def _run(net: Any, optimizer: Any, steps: int, objective: Any = OBJECTIVE) -> pn.State:
    start = pn.init_state(net, optimizer, key=KEY)
    return reduce(pn.make_step(objective, optimizer), take(steps, _batches()), start)


def test_a_run_learns() -> None:
    """The loss of a small network falls by a factor of 20."""
    end = _run(NET, pn.adam(1e-2), 400)
    assert end.step == 400
    assert OBJECTIVE(end.net, (X, Y)) < OBJECTIVE(NET, (X, Y)) / 20


def test_state_loss_is_the_loss_before_the_step() -> None:
    """`state.loss` belongs to the parameters that the step started from."""
    optimizer = pn.sgd(0.1)
    states = list(accumulate(pn.make_step(OBJECTIVE, optimizer), take(5, _batches()), pn.init_state(NET, optimizer)))
    assert [state.step for state in states] == [0, 1, 2, 3, 4, 5]
    assert np.isnan(states[0].loss)
    for t, batch in enumerate(take(5, _batches())):
        assert states[t + 1].loss == OBJECTIVE(states[t].net, batch)


def test_interrupted_equals_uninterrupted() -> None:
    """A run that goes on from a state in the middle ends on the same bits, dropout and momentum included."""
    net = pn.Sequential((*NET.layers[:2], pn.Dropout(rate=0.3), NET.layers[2]))
    optimizer, batches = pn.adamw(1e-2), _batches()
    step = pn.make_step(OBJECTIVE, optimizer)
    whole = reduce(step, take(23, batches), pn.init_state(net, optimizer, key=KEY))
    half = reduce(step, take(11, batches), pn.init_state(net, optimizer, key=KEY))
    assert pn.same_bits(whole, reduce(step, (batches.at(t) for t in range(11, 23)), half))


def test_a_saved_state_goes_on(tmp_path: Any) -> None:
    """A state on disk is all that a run needs."""
    optimizer, batches = pn.adam(1e-2), _batches()
    step = pn.make_step(OBJECTIVE, optimizer)
    half = reduce(step, take(7, batches), pn.init_state(NET, optimizer, key=KEY))
    pn.save(half, tmp_path / "state.safetensors")
    loaded = pn.load(tmp_path / "state.safetensors")
    assert pn.same_bits(loaded, half)
    assert pn.same_bits(step(loaded, batches.at(7)), step(half, batches.at(7)))


def test_purity() -> None:
    """A step leaves the state and the batch alone and gives the same bits again."""
    for optimizer in (pn.sgd(0.1, momentum=0.9), pn.adam(1e-3), pn.rmsprop(1e-3)):
        step, state = pn.make_step(OBJECTIVE, optimizer), pn.init_state(NET, optimizer, key=KEY)
        end = assert_pure(step, assert_pure(step, state, (X, Y)), (X, Y))
        assert not any(leaf.flags.writeable for leaf in tree.leaves((end.net, end.optimizer)))


def test_composed_and_own_objectives_agree() -> None:
    """The chain rule through `objective`, the tape through a function of one's own, and toolz's compositions."""

    def own(net: Any, batch: Any) -> Any:
        x, y = batch
        return np.mean((pn.forward(net, x) - y) ** 2)

    def keyed(net: Any, batch: Any, key: Any) -> Any:
        assert isinstance(key, type(KEY))
        return own(net, batch)

    composed = compose_left(lambda net, batch: pn.forward(net, batch[0]) - batch[1], np.square, np.mean)
    expected = _run(NET, pn.sgd(0.1), 10)
    for objective in (own, keyed, composed):
        assert_close(_run(NET, pn.sgd(0.1), 10, objective).net, expected.net, rtol=1e-10)


def test_example_weights() -> None:
    """A batch of three passes its weights on to the loss."""
    weights = np.arange(40.0)
    value = OBJECTIVE(NET, (X, Y, weights))
    assert value == pn.losses.mean_squared_error(pn.forward(NET, X), Y, weights)
    assert_close(
        pn.grad(OBJECTIVE)(NET, (X, Y, weights)),
        pn.grad(lambda net: pn.losses.mean_squared_error(pn.forward(net, X), Y, weights))(NET),
        rtol=1e-10,
    )


def test_any_tree_can_be_trained() -> None:
    """Parameters need not be a network: a dict of arrays and a function of it will do."""

    def loss(params: Any, batch: Any) -> Any:
        x, y = batch
        return np.mean((x @ params["w"] + params["b"] - y) ** 2)

    params = {"w": np.zeros((5, 2)), "b": np.zeros(2)}
    end = _run(params, pn.adam(1e-2), 200, loss)
    assert loss(end.net, (X, Y)) < loss(params, (X, Y)) / 2
    assert set(end.net) == {"w", "b"}


def test_float32_stays_float32() -> None:
    """Parameters, moments and loss keep the precision of the network."""
    net = pn.mlp(KEY, (5, 8, 2), dtype=np.float32)
    batch = (X.astype(np.float32), Y.astype(np.float32))
    for optimizer in (
        pn.adamw(1e-3),
        pn.rmsprop(1e-3, momentum=0.9),
        pn.chain(pn.clip_by_global_norm(0.1), pn.sgd(0.1)),
    ):
        end = reduce(pn.make_step(OBJECTIVE, optimizer), repeat(batch, 3), pn.init_state(net, optimizer))
        assert {leaf.dtype for leaf in tree.leaves((end.net, end.optimizer, end.loss))} == {np.dtype(np.float32)}


def _alone(optimizer: Any, leaf: Any, gradient: Any) -> Any:
    updates, _ = optimizer.update([gradient], optimizer.init([leaf]), [leaf], 3)
    return updates[0]


def test_leaves_together_have_the_bits_of_leaves_alone() -> None:
    """Small leaves are packed and large ones cut into blocks, and neither changes a bit."""
    shapes = [(3, 4), (), (5,), (300_000,), (2, 2, 2), (130, 130)]
    net = [pn.random.normal(pn.fold_in(KEY, i), shape) for i, shape in enumerate(shapes)]
    gradient = [pn.random.normal(pn.fold_in(KEY, i + 100), shape) for i, shape in enumerate(shapes)]
    for optimizer in (pn.adam(1e-2), pn.rmsprop(1e-2), pn.adagrad(1e-2), pn.sgd(1e-2, momentum=0.9, nesterov=True)):
        together, _ = optimizer.update(gradient, optimizer.init(net), net, 3)
        assert pn.same_bits(together, [_alone(optimizer, *pair) for pair in zip(net, gradient, strict=True)])
        cuts = [slice(start, start + 50_000) for start in range(0, 300_000, 50_000)]
        pieces = [_alone(optimizer, net[3][cut], gradient[3][cut]) for cut in cuts]
        assert pn.same_bits(together[3], np.concatenate(pieces))


def test_a_step_is_gradient_then_update_then_sum() -> None:
    """The in-place way through a step computes what its parts compute one by one."""
    batch = (X, Y)
    for optimizer in (pn.sgd(0.1), pn.chain(pn.scale(0.5), pn.sgd(0.2)), pn.sgd(0.1, momentum=0.9), pn.adamw(1e-2)):
        state = pn.make_step(OBJECTIVE, optimizer)(pn.init_state(NET, optimizer), batch)
        loss, gradient = pn.value_and_grad(OBJECTIVE)(state.net, batch)
        updates, moments = optimizer.update(gradient, state.optimizer, state.net, state.step)
        after = pn.make_step(OBJECTIVE, optimizer)(state, batch)
        assert after.loss == loss
        assert_close(after.net, pn.tree.map(np.add, state.net, updates), rtol=1e-14, atol=1e-16)
        assert_close(after.optimizer, moments, rtol=1e-14, atol=1e-16)


@pn.struct
class Bounded:
    """A layer that passes its input on, and a bounded cotangent back."""


def _bounded(x: Any) -> tuple[Any, Any]:
    return x.copy(), lambda g: (np.clip(g, -1e-3, 1e-3),)


BOUNDED = pn.custom_vjp(lambda x: x.copy(), _bounded)
pn.forward.register(Bounded)(lambda layer, x: BOUNDED(x))


@pytest.mark.parametrize(
    "net",
    [pn.Sequential((*NET.layers, Bounded())), pn.Sequential((NET, pn.Residual(pn.Sequential((Bounded(),)))))],
    ids=["layer", "nested"],
)
def test_a_pullback_that_is_not_linear_sees_the_true_cotangent(net: Any) -> None:
    """The learning rate is not in what a user's pullback is given, wherever in the network it is."""
    optimizer = pn.sgd(0.01)
    gradient = pn.grad(OBJECTIVE)(net, (X, Y))
    after = pn.make_step(OBJECTIVE, optimizer)(pn.init_state(net, optimizer), (X, Y))
    assert_close(after.net, pn.tree.map(lambda p, g: p - 0.01 * g, net, gradient), rtol=1e-14, atol=1e-16)


def test_a_loss_with_a_pullback_that_is_not_linear() -> None:
    """Nor is it in what the pullback of a user's loss is given."""

    def rule(prediction: Any, target: Any) -> Any:
        return np.mean(prediction - target), lambda g: (np.full_like(prediction, np.sign(g)), None)

    objective, optimizer = pn.objective(pn.custom_vjp(lambda p, t: np.mean(p - t), rule)), pn.sgd(0.01)
    gradient = pn.grad(objective)(NET, (X, Y))
    after = pn.make_step(objective, optimizer)(pn.init_state(NET, optimizer), (X, Y))
    assert_close(after.net, pn.tree.map(lambda p, g: p - 0.01 * g, NET, gradient), rtol=1e-14, atol=1e-16)


def test_half_precision_keeps_small_cotangents() -> None:
    """A learning rate that would let the cotangents of float16 underflow is multiplied in afterwards."""
    layer = pn.Dense(np.zeros((1, 1), np.float16))
    x, optimizer = np.full((2000, 1), 0.5, np.float16), pn.sgd(1e-5)
    after = pn.make_step(OBJECTIVE, optimizer)(pn.init_state(layer, optimizer), (x, np.ones_like(x)))
    assert after.net.weight == np.float16(1e-5)


def test_nobody_can_write_to_a_state() -> None:
    """Neither the arrays of a state nor the memory that they share can be written to, packed leaves or large ones."""
    wide = pn.mlp(KEY, (5, 900, 900, 2))
    for net, optimizer in product((NET, wide), (pn.sgd(0.1), pn.adam(1e-2))):
        end = reduce(pn.make_step(OBJECTIVE, optimizer), repeat((X, Y), 2), pn.init_state(net, optimizer))
        for leaf in tree.leaves((end.net, end.optimizer)):
            array = leaf
            while isinstance(array, np.ndarray):
                assert not array.flags.writeable
                array = array.base


def test_what_a_rule_keeps_is_not_overwritten() -> None:
    """A user's pullback may return arrays that it goes on using; a step works on copies of them."""
    kept = np.ones(3)

    @pn.struct
    class Kept:
        weight: pn.Array

    @pn.forward.register(Kept)
    def _(layer: Kept, x: Any) -> Any:
        return x * layer.weight

    @pn.forward.register_rule(Kept)
    def _(layer: Kept, x: Any) -> Any:
        return x * layer.weight, lambda g: (rebuild(layer, (kept,)), g)

    def loss(prediction: Any, target: Any) -> Any:
        return np.sum(prediction)

    optimizer = pn.sgd(0.5)
    step = pn.make_step(pn.objective(loss), optimizer)
    reduce(step, repeat((np.ones(3), np.ones(3)), 3), pn.init_state(Kept(np.zeros(3)), optimizer))
    assert kept.tolist() == [1, 1, 1]
    assert kept.flags.writeable


def test_gradient_of_the_batch() -> None:
    """An objective can be differentiated with respect to its batch too."""
    d_x, d_y = pn.grad(OBJECTIVE, argnums=1)(NET, (X, Y))
    expected = pn.grad(lambda x, y: np.mean((pn.forward(NET, x) - y) ** 2), argnums=(0, 1))(X, Y)
    assert_close((d_x, d_y), expected, rtol=1e-10)


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    """Training stops at the step that went wrong, not hundreds of steps later."""
    optimizer = pn.sgd(1e3)
    step = pn.make_step(OBJECTIVE, optimizer)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(NonFiniteError, match=r"^loss: the loss is (inf|nan) at step \d+; lower the learning rate"),
    ):
        reduce(step, repeat((X * 10, Y), 1000), pn.init_state(pn.mlp(KEY, (5, 8, 2)), optimizer))


class Frame:
    """A table of another library: no array, but it can be made one."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.values, dtype)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, Frame])
@pytest.mark.parametrize("arithmetic", [lambda f: f, pn.portable])
def test_lists_and_tables_are_batches(convert: Any, arithmetic: Any) -> None:
    """What NumPy can make an array of is taken as one, with the same bits."""
    step, weights = arithmetic(pn.make_step(OBJECTIVE, pn.adam(1e-2))), np.linspace(1.0, 2.0, len(X))
    for parts in ((X, Y), (X, Y, weights)):
        start = _started(pn.adam(1e-2))
        assert pn.same_bits(step(start, tuple(map(convert, parts))), step(start, parts))
    given, arrays = (convert(X), convert(Y)), (X, Y)
    assert pn.same_bits(pn.value_and_grad(OBJECTIVE)(NET, given), pn.value_and_grad(OBJECTIVE)(NET, arrays))
    assert pn.same_bits(pn.forward(NET, convert(X)), pn.forward(NET, X))


def _started(optimizer: Any) -> pn.State:
    return pn.init_state(NET, optimizer)


STATE = _started(pn.adam(1e-2))
_step = pn.make_step(OBJECTIVE, pn.adam(1e-2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pn.make_step(OBJECTIVE, 1e-3), DtypeError, r"^make_step\.optimizer: .*such as pn\.adam\(1e-3\)"),
        (lambda: pn.make_step("mse", pn.sgd(0.1)), DtypeError, r"^make_step\.objective"),
        (lambda: pn.objective("mse"), DtypeError, r"^objective\.loss"),
        (
            lambda: pn.init_state(NET, pn.sgd(0.1), key=0),
            DtypeError,
            r"^init_state\.key: expected a key, got 0; write pn\.key\(0\)",
        ),
        (lambda: pn.init_state({"w": np.ones(2, int)}, pn.sgd(0.1)), DtypeError, r'^\["w"\]: .*int64'),
        (
            lambda: pn.init_state(pn.Sequential((pn.Dropout(0.5),)), pn.sgd(0.1)),
            ArgumentError,
            r"pass key=pn\.key\(0\)",
        ),
        (
            lambda: pn.init_state({"w": [0.5]}, pn.sgd(0.1)),
            DtypeError,
            r'^\["w"\]\[0\]: .*got float 0\.5; make it an array',
        ),
        (
            lambda: pn.make_step(pn.losses.huber, pn.sgd(0.1)),
            DtypeError,
            r"^make_step\.objective: .*pn\.objective\(loss\)",
        ),
        (lambda: _step((X, Y), STATE), DtypeError, r"^step\.state: .*got tuple; a step takes \(state, batch\)"),
        (lambda: _step(NET, (X, Y)), DtypeError, r"^step\.state: expected a pn\.State, .* got Sequential"),
        (lambda: _step(_started(pn.sgd(0.1, 0.9)), (X, Y)), ArgumentError, r"^state\.optimizer: .*another optimizer"),
        (lambda: _step(_started(pn.sgd(0.1)), (X, Y)), ArgumentError, r"^state\.optimizer: .*another optimizer"),
        (
            lambda: pn.make_step(OBJECTIVE, pn.adam(lambda t: None))(STATE, (X, Y)),
            DtypeError,
            r"^schedule: .* at step 0",
        ),
        (lambda: OBJECTIVE(NET, X), TreeError, r"^batch: expected \(x, y\) or \(x, y, weights\), got ndarray"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    """What cannot be trained is refused by name."""
    with pytest.raises(error, match=message):
        call()
