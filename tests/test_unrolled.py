"""A step that is written out takes the steps of the general one, bit for bit, and leaves to it what it cannot do."""

from __future__ import annotations

import functools
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice, pairwise, repeat
from typing import Any

import attrs
import numpy as np
import pytest
from documents import blocks
from repository import ROOT
from toolz import reduce

import purenet as pn
from purenet import tree
from purenet.errors import DataError, NonFiniteError, ShapeError
from purenet.loss_rules import rule_of
from purenet.optimizers import add_decayed_weights, chain, clip_by_global_norm, scale, scale_by_adam, trace
from purenet.optimizers.leafwise import BLOCK
from purenet.unrolled.source import step_source

KEY = pn.key(7)
ROWS = 6


@pn.struct
class Doubled:
    """A layer of a user's own."""

    factor: pn.Array


@pn.forward.register
def _(layer: Doubled, x: Any) -> Any:
    return 2 * x * layer.factor


@pn.struct
class Named:
    """A network of a user's own, which is no `Sequential`."""

    parts: dict[str, Any]


@pn.forward.register
def _(layer: Named, x: Any) -> Any:
    return pn.forward(layer.parts["head"], x)


def dense(name: str, n_in: int, n_out: int, dtype: Any = np.float64, bias: bool = True) -> pn.Dense:
    """A layer with small random weights, so that no optimizer gets far."""
    key = pn.fold_in(KEY, name)
    weight = (pn.random.normal(key, (n_in, n_out)) / (10 + n_in + n_out)).astype(dtype)
    return pn.Dense(weight, pn.random.normal(pn.fold_in(key, 1), (n_out,)).astype(dtype) if bias else None)


def of_layers(*layers: Any) -> pn.Sequential:
    """A network."""
    return pn.Sequential(layers)


NETS: dict[str, Callable[[Any], Any]] = {
    "two layers": lambda t: of_layers(dense("a", 3, 5, t), pn.Relu(), dense("b", 5, 2, t)),
    "one layer": lambda t: dense("a", 3, 2, t),
    "no bias": lambda t: of_layers(dense("a", 3, 5, t, bias=False), pn.Relu(), dense("b", 5, 2, t, bias=False)),
    "activation last": lambda t: of_layers(dense("a", 3, 2, t), pn.Tanh()),
    "activation first": lambda t: of_layers(pn.Relu(), dense("a", 3, 2, t)),
    "every activation": lambda t: of_layers(
        dense("a", 3, 5, t), pn.LeakyRelu(), pn.Sigmoid(), pn.Softplus(), pn.Gelu(), pn.Silu(), pn.Elu(),
        dense("b", 5, 2, t),
    ),
    "normalised": lambda t: of_layers(
        dense("a", 3, 5, t), pn.LayerNorm(np.ones(5, t), np.zeros(5, t)), dense("b", 5, 2, t)
    ),
    "residual": lambda t: of_layers(pn.Residual(of_layers(dense("a", 3, 3, t), pn.Tanh())), dense("b", 3, 2, t)),
    "nested": lambda t: of_layers(of_layers(dense("a", 3, 5, t), pn.Relu()), of_layers(dense("b", 5, 2, t))),
    "dropout": lambda t: of_layers(
        dense("a", 3, 5, t), pn.Dropout(0.5), of_layers(pn.Dropout(0.2)), dense("b", 5, 2, t)
    ),
    "large": lambda t: of_layers(dense("a", 3, 6000, t), pn.Relu(), dense("b", 6000, 2, t)),
    "in blocks": lambda t: of_layers(dense("a", 3, 48_000, t), pn.Relu(), dense("b", 48_000, 2, t)),
}  # fmt: skip
OPTIMIZERS = {
    "sgd": pn.sgd(1e-2),
    "a schedule": pn.sgd(pn.schedules.cosine(1e-2, 20)),
    "momentum": pn.sgd(1e-2, momentum=0.9),
    "adam": pn.adam(1e-2),
    "rmsprop": pn.rmsprop(1e-3),
    "adagrad": pn.adagrad(1e-2),
    "adamw": pn.adamw(1e-2, where="*weight"),
    "a part alone": scale(-1e-2),
    "adam alone": scale_by_adam(),
    "scaled twice": chain(scale(0.5), scale_by_adam(), scale(-1e-2), scale(0.5)),
    "factors only": chain(scale(0.5), scale(-1e-2)),
    "clipped": chain(clip_by_global_norm(1e-3), scale(-1.0)),
    "adam with momentum": chain(scale_by_adam(), trace(0.5), scale(-1e-2)),
    "rmsprop with momentum": pn.rmsprop(1e-3, momentum=0.9),
    "clipped later": chain(scale(-1e-2), clip_by_global_norm(1e-3), trace(0.5)),
    "decayed": chain(add_decayed_weights(1e-3), scale(-1e-2)),
}


def batch(dtype: Any = np.float64, rows: int = ROWS, name: str = "batch") -> tuple[Any, Any]:
    """Inputs and targets."""
    key = pn.fold_in(KEY, name)
    x, y = pn.random.normal(key, (rows, 3)), pn.random.normal(pn.fold_in(key, 1), (rows, 2))
    return x.astype(dtype), y.astype(dtype)


def general(step: Any, state: pn.State, data: Any) -> pn.State:
    """The step that asks every question."""
    return step.general(state, data)


def check_alike(step: Any, start: pn.State, batches: list[Any]) -> pn.State:
    """Both ways have the same bits after every step; return the last state of the written-out one."""
    quick = slow = start
    for data in batches:
        quick, slow = step(quick, data), general(step, slow, data)
        assert pn.same_bits(quick, slow)
        for leaf in tree.leaves((quick.net, quick.optimizer)):
            assert pn.records.own(leaf) is leaf, "somebody could write to it"
            assert leaf.flags.c_contiguous
    return quick


def runs(step: Any) -> list[Any]:
    """What a step function has written out."""
    plan = getattr(step, "plan", None)
    return [] if plan is None else [run for run in plan._runs.values() if callable(run)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("net", [name for name in NETS if name != "in blocks"])
def test_both_ways_have_the_same_bits(net: str, optimizer: str, dtype: Any) -> None:
    """Whatever the layers and the parts of the optimizer, and the states are as safe as any."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), OPTIMIZERS[optimizer])
    start = pn.init_state(NETS[net](dtype), OPTIMIZERS[optimizer], key=KEY)
    check_alike(step, start, [batch(dtype)] * 7)
    assert len(runs(step)) == 1


def test_an_optimizer_of_no_parts() -> None:
    """The gradient itself is the update."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), chain())
    start = pn.init_state(NETS["one layer"](np.float64), chain())
    check_alike(step, start, [batch()] * 6)
    assert len(runs(step)) == 1


def test_large_leaves_go_in_blocks() -> None:
    """Where a vector is larger than a block."""
    for name in ("adam", "scaled twice"):
        step = pn.make_step(pn.objective(pn.losses.mean_squared_error), OPTIMIZERS[name])
        start = pn.init_state(NETS["in blocks"](np.float32), OPTIMIZERS[name])
        assert max(leaf.size for leaf in tree.leaves(start.net)) > BLOCK
        check_alike(step, start, [batch(np.float32)] * 6)
        assert len(runs(step)) == 1


LOSSES: dict[str, tuple[Any, Any]] = {
    "mean_squared_error": (pn.losses.mean_squared_error, batch()[1]),
    "sum_squared_error": (pn.losses.sum_squared_error, batch()[1]),
    "mean_absolute_error": (pn.losses.mean_absolute_error, batch()[1]),
    "huber": (pn.losses.huber, batch()[1]),
    "sigmoid_cross_entropy": (pn.losses.sigmoid_cross_entropy, (batch()[1] > 0).astype(np.float64)),
    "softmax_cross_entropy": (pn.losses.softmax_cross_entropy, np.array([0, 1, 1, 0, 1, 0])),
    "probabilities": (pn.losses.softmax_cross_entropy, np.full((ROWS, 2), 0.5)),
    "float32 targets": (pn.losses.mean_squared_error, batch(np.float32)[1]),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_of_the_library(loss: str) -> None:
    """With targets of any dtype."""
    function, targets = LOSSES[loss]
    step = pn.make_step(pn.objective(function), pn.adam(1e-2))
    start = pn.init_state(NETS["two layers"](np.float64), pn.adam(1e-2))
    check_alike(step, start, [(batch()[0], targets)] * 7)
    assert len(runs(step)) == 1


WIDER: dict[str, tuple[Any, Any]] = {
    "sigmoid_cross_entropy": (pn.losses.sigmoid_cross_entropy, (batch()[1] > 0).astype(np.int64)),
    "softmax_cross_entropy": (pn.losses.softmax_cross_entropy, np.eye(2, dtype=np.int64)[[0, 1, 1, 0, 1, 0]]),
    "mean_absolute_error": (pn.losses.mean_absolute_error, batch()[1]),
    "huber": (pn.losses.huber, batch()[1]),
    "mean_squared_error": (pn.losses.mean_squared_error, batch()[1]),
}


@pytest.mark.parametrize("loss", WIDER)
def test_a_loss_in_more_precision_than_the_network(loss: str) -> None:
    """Integer and float64 targets make float64 of a float32 loss, and of the factor that comes first."""
    function, targets = WIDER[loss]
    step = pn.make_step(pn.objective(function), pn.sgd(0.3))
    start = pn.init_state(NETS["two layers"](np.float32), pn.sgd(0.3))
    check_alike(step, start, [(batch(np.float32)[0], targets)] * 8)


def test_batches_of_several_sizes() -> None:
    """Each form is written out by itself, and by turns they go on from each other's states."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.adam(1e-2))
    start = pn.init_state(NETS["two layers"](np.float64), pn.adam(1e-2))
    check_alike(step, start, list(islice(cycle([batch(), batch(), batch(rows=2, name="rest")]), 20)))
    assert len(runs(step)) == 2


def test_there_is_a_limit_to_the_forms() -> None:
    """Batches of ever new sizes do not fill the memory."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(1e-2))
    start = pn.init_state(NETS["one layer"](np.float64), pn.sgd(1e-2))
    check_alike(step, start, [batch(rows=rows) for rows in range(1, 40) for _ in range(5)])
    assert len(runs(step)) == len(step.plan._runs) == 16


@pytest.mark.parametrize(
    "case",
    ["a layer of one's own", "a network of one's own", "a loss of one's own", "an objective of one's own", "weights",
     "lists", "mixed dtypes", "half precision"],
)  # fmt: skip
def test_what_is_left_to_the_general_step(case: str) -> None:
    """Everything that the user brought, and rare forms, which work as ever."""
    net, loss, data = NETS["two layers"](np.float64), pn.losses.mean_squared_error, batch()
    objective: Any = pn.objective(loss)
    if case == "a layer of one's own":
        net = of_layers(dense("a", 3, 2), Doubled(np.array([1.0, 2.0])))
    elif case == "a network of one's own":
        net = Named({"head": dense("a", 3, 2)})
    elif case == "a loss of one's own":
        objective = pn.objective(lambda prediction, target: np.mean((prediction - target) ** 4))
    elif case == "an objective of one's own":
        objective = lambda net, batch: np.mean((pn.forward(net, batch[0]) - batch[1]) ** 2)  # noqa: E731
    elif case == "weights":
        data = (*data, np.ones(ROWS))
    elif case == "lists":
        data = list(data)
    elif case == "mixed dtypes":
        data = batch(np.float32)
    else:
        net, data = NETS["two layers"](np.float16), batch(np.float16)
    step = pn.make_step(objective, pn.sgd(1e-3))
    check_alike(step, pn.init_state(net, pn.sgd(1e-3)), [data] * 7)
    assert not runs(step)


def warm(optimizer: Any = OPTIMIZERS["adam"]) -> tuple[Any, pn.State]:
    """A step function that has written its step out, and the state it made last."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), optimizer)
    state = reduce(step, repeat(batch(), 6), pn.init_state(NETS["two layers"](np.float64), optimizer, key=KEY))
    assert runs(step)
    return step, state


def test_a_loss_that_is_not_finite_is_refused_as_ever() -> None:
    """The error names the step, and the state before it is as it was."""
    step, state = warm()
    before = pn.digest(state)
    x, y = batch()
    with pytest.raises(NonFiniteError, match="at step 6"):
        step(state, (x, np.full_like(y, np.nan)))
    assert pn.digest(state) == before


def test_a_batch_that_does_not_fit_is_refused_as_ever() -> None:
    """By the error that names the layer and the shapes."""
    step, state = warm()
    x, y = batch()
    for _ in range(6):
        with pytest.raises(ShapeError, match="features"):
            step(state, (x[:, :2], y))
        with pytest.raises(ShapeError, match="one shape"):
            step(state, (x, y[:, :1]))


def test_a_changed_state_is_asked_again() -> None:
    """A state that somebody made from one of the step's is not taken for one of its own."""
    step, state = warm()
    wider = of_layers(dense("a", 3, 4), pn.Tanh(), dense("c", 4, 2))
    for other in (
        attrs.evolve(state, net=NETS["two layers"](np.float64)),
        pn.init_state(wider, OPTIMIZERS["adam"]),
        pn.init_state(NETS["two layers"](np.float32), OPTIMIZERS["adam"]),
        pickle.loads(pickle.dumps(state)),
    ):
        data = batch(tree.leaves(other.net)[0].dtype)
        check_alike(step, other, [data] * 7)
    check_alike(step, state, [batch()] * 3)


def unpickled(value: Any) -> Any:
    """A value from elsewhere: its dtypes are equal to NumPy's own, and other objects."""
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "adagrad", "adamw"])
def test_layers_and_batches_from_elsewhere(optimizer: str) -> None:
    """Unpickled layers beside new ones, in a new state and in a warm one, and unpickled batches."""
    part = OPTIMIZERS[optimizer]
    head = pn.LayerNorm(np.ones(1), np.full(1, 0.5))
    net = of_layers(head, pn.Dense(np.array([[1.0, 2.0]]), np.array([3.0, 4.0])))
    data = (batch()[0][:, :1].copy(), batch()[1])
    for other in (of_layers(unpickled(head), net.layers[1]), of_layers(head, unpickled(net.layers[1])), unpickled(net)):
        step = pn.make_step(pn.objective(pn.losses.mean_squared_error), part)
        state = check_alike(step, pn.init_state(net, part), [data] * 6)
        wanted = reduce(pn.make_step(step.objective, part), [data] * 6, pn.init_state(net, part))
        assert pn.same_bits(check_alike(step, pn.init_state(other, part), [unpickled(data)] * 6), wanted)
        check_alike(step, attrs.evolve(state, net=other), [data] * 6)
        assert len(runs(step)) == 1


def test_two_networks_by_turns() -> None:
    """A step function that goes from one network to another and back keeps both plans."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.adam(1e-2))
    one, other = (pn.init_state(NETS[name](np.float64), pn.adam(1e-2)) for name in ("two layers", "one layer"))
    for _ in range(6):
        one, other = step(one, batch()), step(other, batch())
    for state in (one, other):
        assert any(callable(run) for run in state.plan._runs.values())


def test_a_new_registration_counts_from_the_next_step_on() -> None:
    """Also for a step that is warm, and for the network that holds the layers."""

    @pn.struct
    class Shifted:
        offset: float = pn.static(default=1.0)

    pn.forward.register(Shifted)(lambda layer, x: x + layer.offset)
    step, state = warm(pn.sgd(1e-2))
    entry, kernel = (getattr(pn.forward, name)[pn.Relu] for name in ("_entries", "_kernels"))
    try:
        pn.forward.register(pn.Relu)(lambda layer, x: 2 * x)
        after = step(state, batch())
        assert pn.same_bits(after, general(step, state, batch()))
        doubled = np.mean((pn.forward(state.net, batch()[0]) - batch()[1]) ** 2)
        assert after.loss == pytest.approx(doubled, rel=1e-12)
        check_alike(step, after, [batch()] * 6)
    finally:
        pn.forward._entries[pn.Relu] = entry
        pn.forward._kernels[pn.Relu] = kernel
        pn.forward._own.add(pn.Relu)
        pn.forward.version += 1
    check_alike(step, state, [batch()] * 6)


def test_a_function_that_wraps_a_loss_is_derived_by_itself() -> None:
    """`functools.wraps` copies what a loss carries to a function that computes something else."""

    @functools.wraps(pn.losses.mean_squared_error)
    def doubled(prediction: Any, target: Any, weights: Any = None) -> Any:
        return 2 * pn.losses.mean_squared_error(prediction, target, weights)

    assert pn.value_and_grad(doubled)(np.ones(3), np.zeros(3))[0] == 2.0
    sharper = functools.update_wrapper(functools.partial(pn.losses.huber, delta=0.1), pn.losses.huber)
    for loss, plain in ((doubled, lambda p, t: 2 * np.mean((p - t) ** 2)), (sharper, sharper.func)):
        options = {"delta": 0.1} if loss is sharper else {}
        step = pn.make_step(pn.objective(loss), pn.sgd(1e-2))
        state = check_alike(step, pn.init_state(NETS["two layers"](np.float64), pn.sgd(1e-2)), [batch()] * 6)
        before = reduce(step, [batch()] * 5, pn.init_state(NETS["two layers"](np.float64), pn.sgd(1e-2)))
        expected = plain(pn.forward(before.net, batch()[0]), batch()[1], **options)
        assert state.loss == pytest.approx(expected, rel=1e-12)


def test_a_schedule_may_return_a_number_of_numpy() -> None:
    """It is a float, so the step stays written out."""

    @pn.struct
    class Rate:
        def __call__(self, step: int) -> float:
            return np.float64(1e-2) / (1 + step)

    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(Rate()))
    state = check_alike(step, pn.init_state(NETS["two layers"](np.float32), step.optimizer), [batch(np.float32)] * 6)
    [run] = runs(step)
    assert run(step, state, batch(np.float32)) is not None


def test_states_do_not_keep_the_step_function_or_the_batch() -> None:
    """A state remembers the plan, which holds neither."""
    x, y = np.ones((64, 100)), np.ones((64, 2))
    net = of_layers(dense("wide", 100, 8), pn.Relu(), dense("b", 8, 2))
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(1e-3)))
    state = reduce(step, [(x, y)] * 7, pn.init_state(net, pn.sgd(1e-3)))
    assert runs(step)
    batch_is_alive = weakref.ref(x)
    del step, x
    assert batch_is_alive() is None
    assert state.step == 7


def test_states_go_from_one_step_function_to_another() -> None:
    """Another optimizer, another loss: each goes on from the state, not from what the other remembers."""
    step, state = warm()
    for optimizer in (pn.adam(1e-3), pn.sgd(1e-3)):
        again = attrs.evolve(state, optimizer=optimizer.init(state.net))
        other = pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer)
        check_alike(other, again, [batch()] * 6)
    moments = pn.make_step(pn.objective(pn.losses.sum_squared_error), pn.adam(1e-3))
    check_alike(moments, state, [batch()] * 6)
    check_alike(step, moments(state, batch()), [batch()] * 6)


def test_a_warm_step_is_differentiated_as_a_cold_one() -> None:
    """In a transformation every step is the general one."""
    step, state = warm(OPTIMIZERS["momentum"])
    cold = pn.make_step(pn.objective(pn.losses.mean_squared_error), OPTIMIZERS["momentum"])

    def after(function: Any) -> Any:
        def loss(net: Any, x: Any) -> Any:
            end = reduce(function, repeat((x, batch()[1]), 3), attrs.evolve(state, net=net))
            return sum(np.sum(leaf**2) for leaf in tree.leaves(end.net))

        return pn.grad(loss, argnums=(0, 1))(state.net, batch()[0])

    def of_data(function: Any) -> Any:
        return pn.grad(lambda x: function(state, (x, batch()[1])).loss)(batch()[0])

    assert pn.same_bits(after(step), after(cold))
    assert pn.same_bits(of_data(step), of_data(cold))


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "a schedule", "momentum", "adam", "rmsprop", "scaled twice", "clipped"])
@pytest.mark.parametrize("net", NETS)
def test_a_portable_step_is_written_out_too(net: str, optimizer: str, slices: int) -> None:
    """With the products and sums of the contract; no number takes the place of the gradient."""
    if net == "in blocks" and (slices, optimizer) != (1, "adam"):
        return
    dtype = np.float32 if net in ("large", "in blocks") else np.float64
    native = pn.make_step(pn.objective(pn.losses.mean_squared_error), OPTIMIZERS[optimizer])
    step = pn.portable(native, slices)
    start = pn.init_state(NETS[net](dtype), OPTIMIZERS[optimizer], key=KEY)
    end = check_alike(step, start, [batch(dtype)] * 6)
    assert len(runs(step)) == 1
    if slices == 1:
        assert not pn.same_bits(reduce(native, [batch(dtype)] * 6, start).net, end.net)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5])
def test_portable_steps_of_few_rows_are_as_safe_as_any(rows: int, dtype: Any) -> None:
    """Nobody could write to a parameter, whatever the sum over the rows is a view of."""
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), OPTIMIZERS["sgd"]))
    check_alike(step, pn.init_state(NETS["two layers"](dtype), OPTIMIZERS["sgd"]), [batch(dtype, rows)] * 6)
    assert len(runs(step)) == 1


@pytest.mark.parametrize("widths", [(0, 2), (3, 0, 2)], ids=str)
def test_portable_steps_without_features(widths: tuple[int, ...]) -> None:
    """Whether none come in, or none are left inside."""
    layers = [pn.Dense(np.zeros(shape), np.ones(shape[1])) for shape in pairwise(widths)]
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), OPTIMIZERS["sgd"]))
    check_alike(
        step, pn.init_state(of_layers(*layers), OPTIMIZERS["sgd"]), [(batch()[0][:, : widths[0]], batch()[1])] * 6
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_in_portable_arithmetic(loss: str, dtype: Any) -> None:
    """With targets of any dtype, in more precision than the network or in less."""
    function, targets = LOSSES[loss]
    step = pn.portable(pn.make_step(pn.objective(function), pn.sgd(0.03)))
    start = pn.init_state(NETS["two layers"](dtype), pn.sgd(0.03))
    check_alike(step, start, [(batch(dtype)[0], targets)] * 7)
    assert len(runs(step)) == 1


def test_a_portable_step_of_layers_of_ones_own_is_the_general_one() -> None:
    """They are carried out operation by operation."""
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(1e-2)))
    net = of_layers(dense("a", 3, 2), Doubled(np.array(2.0)))
    check_alike(step, pn.init_state(net, pn.sgd(1e-2)), [batch()] * 6)
    assert not runs(step)


@pytest.mark.parametrize("is_portable", [False, True], ids=["native", "portable"])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "i8", "u8", ">i8"])
def test_labels_of_any_dtype(dtype: str, is_portable: bool) -> None:
    """They are looked at in every step; a wrong one is told of in the words of the loss."""
    classes = 200
    step = pn.make_step(pn.objective(pn.losses.softmax_cross_entropy), pn.sgd(0.3))
    step = pn.portable(step) if is_portable else step
    x, labels = batch()[0], np.array([0, 1, 100, 127, 5, 5], dtype)
    start = pn.init_state(dense("wide", 3, classes), pn.sgd(0.3))
    state = check_alike(step, start, [(x, labels)] * 6)
    assert len(runs(step)) == 1
    for wrong in (-1, -100, 200, 255, 2**40, 5 << 56):
        info = np.iinfo(dtype)
        if not info.min <= wrong <= info.max:
            continue
        bad = labels.copy()
        bad[3] = wrong
        with pytest.raises(DataError, match=f"expected classes from 0 to 199, got {wrong} in row 3"):
            step(state, (x, bad))
        with pytest.raises(DataError, match=f"expected classes from 0 to 199, got {wrong} in row 3"):
            general(step, state, (x, bad))
    check_alike(step, state, [(x, labels)] * 2)


def test_a_portable_step_keeps_the_slices_of_a_batch_and_sees_it_change() -> None:
    """A large batch that comes again is cut once; one that was written to is cut again, down to the sign of a zero."""
    draw = np.random.RandomState(0).standard_normal
    x, y = draw((64, 100)), draw((64, 2))
    net = of_layers(dense("wide", 100, 8), pn.Relu(), dense("b", 8, 2))
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(1e-3)))
    state = check_alike(step, pn.init_state(net, pn.sgd(1e-3)), [(x, y)] * 7)
    assert runs(step)
    first = of_layers(pn.Relu(), dense("wide", 100, 2))
    again = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(1e-3)))
    assert pn.same_bits(
        reduce(again, [(x, y)] * 8, pn.init_state(first, pn.sgd(1e-3))),
        reduce(partial(general, again), [(x.copy(), y)] * 8, pn.init_state(first, pn.sgd(1e-3))),
    )
    for value in (0.0, -0.0, 3.5):
        x[5, 7] = value
        alone = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(1e-3)))
        after = step(state, (x, y))
        assert pn.same_bits(after, general(alone, state, (x.copy(), y)))


def test_a_portable_step_whose_parameters_overflow_is_the_general_one() -> None:
    """NaN has one pattern of bits, which the general step sees to."""
    part = chain(scale(1e200), scale(1e200))
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), part))
    x, y = batch()
    quiet = check_alike(step, pn.init_state(NETS["no bias"](np.float64), part), [(0 * x, 0 * y)] * 5)
    assert runs(step)
    with np.errstate(all="ignore"):
        assert pn.same_bits(step(quiet, (x, y)), general(step, quiet, (x, y)))
        assert not np.isfinite(tree.leaves(step(quiet, (x, y)).net)[0]).all()


def test_nobody_can_write_to_what_became_nan() -> None:
    """Parameters and what the optimizer remembers of them."""
    part = chain(scale(1e305), scale(1e305), scale(0.0), trace(0.5))
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), part))
    with np.errstate(all="ignore"):
        end = check_alike(step, pn.init_state(NETS["one layer"](np.float64), part), [batch()])
    assert all(np.isnan(leaf).any() for leaf in (end.net.weight, end.optimizer[3][0]))


def test_one_step_function_in_many_threads() -> None:
    """Threads that warm it up together get what one gets."""
    data = [batch(rows=rows) for rows in (3, 4, 5)]

    def run(step: Any) -> Any:
        return pn.digest(reduce(step, cycle_of(data, 40), pn.init_state(NETS["two layers"](np.float64), pn.adam(1e-2))))

    def cycle_of(items: list[Any], count: int) -> Any:
        return islice(cycle(items), count)

    make = lambda: pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.adam(1e-2))  # noqa: E731
    alone, shared = run(make()), make()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, [shared] * 8)) == {alone}


def test_the_text_is_what_the_documentation_shows() -> None:
    """docs/performance.md shows the step of two layers with mean squared error and SGD, line by line."""
    optimizer = pn.sgd(1e-2)
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), optimizer)
    state = step(pn.init_state(NETS["two layers"](np.float64), optimizer), batch())
    choose_loss: Any = rule_of(pn.losses.mean_squared_error)
    source = step_source(step, choose_loss.choose, state, *batch())
    assert source is not None
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    [shown] = [block.text for block in blocks(page) if block.comment == "the step, written out"]
    assert shown == source.text() + "\n"
