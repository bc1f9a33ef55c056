"""Optimizers: the laws that every part and recipe obeys, chains, and what wrong arguments are told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from laws import assert_pure, leaf_bytes
from optimizer_networks import Relu, Sequential, containers, network

from purenet import optimizers, schedules, static, struct, tree
from purenet.errors import ArgumentError, DtypeError, PurenetError, ShapeError, StructureError
from purenet.optimizers import (
    adagrad,
    adam,
    adamw,
    add_decayed_weights,
    by_name,
    chain,
    clip,
    clip_by_global_norm,
    masked,
    rmsprop,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_rms,
    scale_by_root_sum_of_squares,
    scale_by_schedule,
    scale_leaves,
    sgd,
    trace,
)
from purenet.optimizers.uniform import Scale


@struct
class SignDescent:
    """A part as a user writes it: a struct with two methods."""

    rate: float = static()

    def init(self, net):
        return None

    def update(self, updates, state, net, step):
        return tree.map_fresh(lambda u: np.sign(u) * np.asarray(-self.rate, np.result_type(u)), updates), state


rates = schedules.cosine(0.1, steps=20)
PARTS = {
    "scale": scale(-0.3),
    "scale_by_schedule": scale_by_schedule(rates),
    "scale_by_learning_rate": scale_by_learning_rate(rates),
    "scale_by_adam": scale_by_adam(),
    "scale_by_rms": scale_by_rms(),
    "scale_by_root_sum_of_squares": scale_by_root_sum_of_squares(initial=0.1),
    "trace": trace(0.9),
    "nesterov": trace(0.9, nesterov=True),
    "clip": clip(0.5),
    "clip_by_global_norm": clip_by_global_norm(0.5),
    "add_decayed_weights": add_decayed_weights(0.1),
    "add_decayed_weights where": add_decayed_weights(0.1, where="*weight*"),
    "masked": masked(chain(scale_by_adam(), scale(0.1)), where=lambda path: "bias" in path),
    "scale_leaves": scale_leaves({"*bias*": 1 / 64, "*weight*": 3.0}),
    "chain": chain(clip_by_global_norm(1.0), trace(0.5), scale(2.0)),
    "chain of nothing": chain(),
    "a user's": SignDescent(0.1),
    "sgd": sgd(0.1),
    "sgd, momentum": sgd(rates, momentum=0.9),
    "sgd, Nesterov": sgd(rates, momentum=0.9, nesterov=True),
    "adam": adam(rates),
    "adamw": adamw(1e-3, weight_decay=0.1, where="*weight*"),
    "rmsprop": rmsprop(1e-3, momentum=0.5),
    "adagrad": adagrad(0.1),
}
every_part = pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
NAMES_LEAVES = {"add_decayed_weights where", "adamw", "masked", "scale_leaves"}
PASSES_ON = {"chain of nothing", "masked", "add_decayed_weights where", "clip_by_global_norm"}


NETS = {"structs": network, "containers": containers}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def run(part, make, steps=4, dtype=np.float64):
    """The updates and states of a few steps from the start, with the parameters held fixed."""
    net = make(dtype)
    state = part.init(net)
    found = []
    for step in range(steps):
        updates, state = part.update(make(dtype, seed=step + 1), state, net, step)
        found.append((updates, state))
    return found


@every_part
@every_net
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_structure_shapes_and_dtypes_are_kept(part, make, dtype):
    """Updates look like the parameters, and the state looks the same at every step; float32 stays float32."""
    net = make(dtype)
    state = part.init(net)
    for updates, after in run(part, make, dtype=dtype):
        assert tree.same_structure(updates, net)
        assert tree.same_structure(after, state)
        for (path, u), (_, p) in zip(tree.items(updates), tree.items(net), strict=True):
            assert (u.dtype, u.shape) == (np.dtype(dtype), p.shape), path
        for (path, s), (_, t) in zip(tree.items(after), tree.items(state), strict=True):
            assert (s.dtype, s.shape) == (t.dtype, t.shape), path
            assert s.dtype == dtype


@every_part
def test_a_state_holds_no_record_of_the_network(part):
    """A record may refuse a moment, or a hole, where a parameter belongs; a state can be saved all the same."""
    for _, state in run(part, network):
        assert not any(name in repr(state) for name in ("Dense", "Relu", "Sequential"))


@every_part
@every_net
def test_a_step_is_a_function_of_its_arguments(part, make):
    """They have the same bytes after a step, even where they are writable; and the same step gives the same bits."""
    net, updates = make(), make(seed=5)
    writable = tree.flatten(updates)[1]([np.array(leaf) for leaf in tree.leaves(updates)])
    state = assert_pure(part.init, net)
    _, state = part.update(make(seed=6), state, net, 0)
    assert_pure(part.update, writable, state, net, 1)


@every_part
@every_net
def test_results_are_read_only(part, make):
    """New arrays cannot be written to, whether they are updates or state."""
    for updates, state in run(part, make):
        assert not any(leaf.flags.writeable for leaf in tree.leaves((updates, state)))


@pytest.mark.parametrize("name", sorted(PARTS.keys() - PASSES_ON))
def test_results_share_no_memory_with_what_was_given(name):
    """Writing to a gradient afterwards does not reach the result."""
    part, net = PARTS[name], network()
    gradient = tree.flatten(net)[1]([np.array(leaf) for leaf in tree.leaves(net)])
    results = part.update(gradient, part.init(net), net, 0)
    for given in tree.leaves(gradient):
        assert not any(np.shares_memory(given, leaf) for leaf in tree.leaves(results))


@every_part
def test_numbers_without_an_array_around_them_work_too(part):
    """NumPy scalars and Python floats are leaves, and have the bits of the same numbers in arrays."""
    make = {float: lambda x: x, np.float64: np.float64, np.ndarray: np.array, "vector": lambda x: np.full(1, x)}
    found = []
    for wrap in make.values():
        net = {"bias": wrap(0.3), "weight": wrap(-1.7)}
        state = part.init(net)
        for step in range(3):
            updates, state = part.update({"bias": wrap(0.01 * step), "weight": wrap(0.7)}, state, net, step)
        found.append([np.asarray(leaf, np.float64).tobytes() for leaf in tree.leaves((updates, state))])
    assert all(leaves == found[0] for leaves in found[1:])


@pytest.mark.parametrize("name", sorted(PARTS.keys() - PASSES_ON - {"a user's"}))
def test_the_layout_of_a_gradient_does_not_matter(name):
    """A transposed view gives the bits of its copy, and results are C-contiguous."""
    part = PARTS[name]
    net = {"weight": np.random.RandomState(0).randn(40, 30), "bias": np.ones(3)}
    view = {"weight": np.random.RandomState(1).randn(30, 40).T, "bias": np.full(3, 0.1)}
    copy = {name: np.array(value, order="C") for name, value in view.items()}
    state = part.init(net)
    from_view, from_copy = part.update(view, state, net, 0), part.update(copy, state, net, 0)
    assert leaf_bytes(from_view) == leaf_bytes(from_copy)
    assert all(leaf.flags.c_contiguous for leaf in tree.leaves(from_view))


@pytest.mark.parametrize("name", sorted(PARTS.keys() - NAMES_LEAVES))
def test_a_network_without_parameters_is_left_alone(name):
    """There is nothing to do, and nothing fails."""
    part, net = PARTS[name], Sequential((Relu(), ()))
    updates, _ = part.update(net, part.init(net), net, 0)
    assert tree.same_structure(updates, net)


def test_a_chain_is_associative():
    """However parts are bracketed, the updates have the same bits; a chain of one part is that part."""
    a, b, c = clip_by_global_norm(1.0), trace(0.9), scale_by_learning_rate(rates)
    reference = [leaf_bytes(updates) for updates, _ in run(chain(a, b, c), network)]
    for bracketed in [chain(chain(a, b), c), chain(a, chain(b, c)), chain(chain(), a, chain(b), c)]:
        assert [leaf_bytes(updates) for updates, _ in run(bracketed, network)] == reference
        assert repr(bracketed) == repr(chain(a, b, c))
    assert [leaf_bytes(u) for u, _ in run(chain(b), network)] == [leaf_bytes(u) for u, _ in run(b, network)]


def test_a_chain_is_its_parts_in_order():
    """Clipping before and after scaling differ, and each is what it says."""
    gradient = {"w": np.array([3.0, 4.0])}
    first = chain(clip_by_global_norm(1.0), scale(10.0))
    last = chain(scale(10.0), clip_by_global_norm(1.0))
    assert first.update(gradient, first.init(gradient), gradient, 0)[0]["w"].tolist() == [6.000000000000001, 8.0]
    assert np.allclose(last.update(gradient, last.init(gradient), gradient, 0)[0]["w"], [0.6, 0.8])


def test_parts_do_not_count_their_steps():
    """The rate is that of the number which the step is given, whatever steps came before."""
    part, gradient = scale_by_learning_rate(rates), {"w": np.ones(1)}
    for step in (7, 0, 19, 7):
        assert part.update(gradient, part.init(gradient), gradient, step)[0]["w"] == -rates(step)


# Errors.


WRONG = {
    "adam.beta1: expected 0 <= beta1 < 1, got 1.5": lambda: adam(0.1, beta1=1.5),
    "adam.beta2: expected 0 <= beta2 < 1, got 1.0": lambda: adam(0.1, beta2=1),
    "adam.epsilon: expected 0 < epsilon, got 0.0": lambda: adam(0.1, epsilon=0.0),
    "adam.learning_rate: expected 0 <= learning_rate, got -0.1": lambda: adam(-0.1),
    "adam.learning_rate: expected a number or a schedule, got str '0.1'": lambda: adam("0.1"),
    "adam.learning_rate: expected 0 <= learning_rate, got nan": lambda: adam(math.nan),
    "adamw.beta1: expected a number, got NoneType": lambda: adamw(0.1, beta1=None),
    "adamw.weight_decay: expected 0 <= weight_decay, got -1.0": lambda: adamw(0.1, weight_decay=-1),
    "adamw.where: expected a pattern of paths": lambda: adamw(0.1, where=3),
    "sgd.momentum: expected 0 <= momentum < 1, got 1.0": lambda: sgd(0.1, momentum=1.0),
    "sgd.nesterov: needs momentum": lambda: sgd(0.1, nesterov=True),
    "sgd.nesterov: expected True or False, got str 'yes'": lambda: sgd(0.1, 0.9, nesterov="yes"),
    "rmsprop.decay: expected 0 <= decay < 1, got -0.1": lambda: rmsprop(0.1, decay=-0.1),
    "rmsprop.momentum: expected 0 <= momentum < 1, got 2.0": lambda: rmsprop(0.1, momentum=2),
    "adagrad.initial: expected 0 <= initial, got -1.0": lambda: adagrad(0.1, initial=-1),
    "scale.factor: expected a finite number, got inf": lambda: scale(math.inf),
    "scale_by_adam.beta1: expected 0 <= beta1 < 1, got 1.5": lambda: scale_by_adam(beta1=1.5),
    "scale_by_schedule.schedule: expected a number or a schedule": lambda: scale_by_schedule(None),
    "scale_by_learning_rate.learning_rate: expected 0 <=": lambda: scale_by_learning_rate(-1),
    "scale_by_rms.epsilon: expected 0 < epsilon": lambda: scale_by_rms(epsilon=-1e-8),
    "scale_by_root_sum_of_squares.initial: expected 0 <= initial": lambda: scale_by_root_sum_of_squares(-1.0),
    "trace.decay: expected 0 <= decay < 1, got 1.0": lambda: trace(1.0),
    "clip.maximum: expected 0 < maximum, got 0.0": lambda: clip(0),
    "clip_by_global_norm.maximum: expected 0 < maximum, got -1.0": lambda: clip_by_global_norm(-1),
    "add_decayed_weights.rate: expected 0 <= rate, got -0.5": lambda: add_decayed_weights(-0.5),
    "masked.part: expected an optimizer part": lambda: masked(0.1, "*"),
    'masked.where: expected a pattern of paths such as "*.bias", got ""': lambda: masked(scale(1.0), ""),
    "masked.where: expected at least one pattern": lambda: masked(scale(1.0), ()),
    'masked.where: expected a pattern of paths such as "*.bias", got int 3': lambda: masked(scale(1.0), ("*", 3)),
    "scale_leaves.factors: expected a dict like": lambda: scale_leaves({}),
    'scale_leaves.factors["*"]: expected a number, got str': lambda: scale_leaves({"*": "2"}),
    "scale_leaves.factors: expected a pattern of paths": lambda: scale_leaves({3: 2.0}),
    "chain.parts[1]: expected an optimizer part, a struct with init and update, got float 0.1": lambda: chain(
        scale(1.0), 0.1
    ),
    "chain.parts[0]: expected an optimizer part, a struct with init and update, got function": lambda: chain(adam),
    "chain.parts[0]: expected an optimizer part, a struct with init and update, got list": lambda: chain([scale(1.0)]),
    "optimizer: expected one of adagrad, adam, adamw, rmsprop, sgd, got 'adma'": lambda: by_name("adma", 0.1),
    "optimizer: expected one of adagrad, adam, adamw, rmsprop, sgd, got ['adam']": lambda: by_name(["adam"], 0.1),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_argument_is_named(message, make):
    """The error says which argument, what was expected and what came."""
    with pytest.raises(PurenetError) as caught:
        make()
    assert isinstance(caught.value, ArgumentError | DtypeError)
    assert str(caught.value).startswith(message)


def test_a_class_instead_of_a_part_is_told_to_be_called():
    """A forgotten call is the likely mistake."""
    with pytest.raises(DtypeError, match=r"chain\.parts\[0\]: .*call it first"):
        chain(Scale)


@pytest.mark.parametrize("part", [trace(0.9), scale_by_adam(), scale_by_rms(), scale_by_root_sum_of_squares()])
def test_parameters_that_are_not_floating_point_are_named(part):
    """Integers have no running mean; the error says how to leave them out, and that way works."""
    net = {"w": np.ones(2), "count": np.arange(3)}
    with pytest.raises(DtypeError, match=r'\["count"\]: .* needs floating-point parameters, got int64\[3\]; .*masked'):
        part.init(net)
    masked(part, '["w"]').init(net)


@pytest.mark.parametrize("part", [adam(0.1), add_decayed_weights(0.1), sgd(0.1, momentum=0.9, nesterov=True)])
def test_an_update_that_does_not_fit_is_named(part):
    """A shape that would broadcast, a wrong dtype and a missing leaf are all refused."""
    net = {"a": np.ones(1), "w": np.ones((3, 3), np.float32)}
    state = part.init(net)
    with pytest.raises(ShapeError, match=r'\["w"\]: .* expected an update float32\[3, 3\], got float32\[3\]'):
        part.update({"a": np.ones(1), "w": np.ones(3, np.float32)}, state, net, 0)
    with pytest.raises(DtypeError, match=r'\["w"\]: .* expected an update float32\[3, 3\], got float64\[3, 3\]'):
        part.update({"a": np.ones(1), "w": np.ones((3, 3))}, state, net, 0)
    with pytest.raises(StructureError, match="expected updates of 2 leaves, got 1"):
        part.update({"a": np.ones(1)}, state, net, 0)


def test_a_state_of_another_chain_is_refused():
    """A chain has as many states as parts."""
    with pytest.raises(ArgumentError, match=r"chain\.state: expected a state of 2 parts, got 1"):
        adam(0.1).update({"w": np.ones(2)}, (None,), {"w": np.ones(2)}, 0)


# How it looks.


def test_optimizers_print_as_their_parts_with_their_numbers():
    """Nothing is hidden in a closure."""
    shown = repr(chain(clip_by_global_norm(1.0), adam(schedules.cosine(1e-3, steps=500))))
    assert shown == (
        "Chain(parts=(ClipByGlobalNorm(maximum=1.0), ScaleByAdam(beta1=0.9, beta2=0.999, epsilon=1e-08), "
        "ScaleByLearningRate(learning_rate=Cosine(initial=0.001, steps=500, final=0.0))))"
    )


@pytest.mark.parametrize("name", optimizers.RECIPES)
def test_every_recipe_is_found_by_its_name(name):
    """The command line uses the names; options reach the recipe."""
    assert repr(by_name(name, 0.1)) == repr(getattr(optimizers, name)(0.1))
    assert repr(by_name("adam", 0.1, beta1=0.5)) == repr(adam(0.1, beta1=0.5))


def test_all_exported_names_exist_and_every_part_is_in_the_table_of_laws():
    """A new part cannot be forgotten here."""
    assert all(hasattr(optimizers, name) for name in optimizers.__all__)
    constructors = {name for name in optimizers.__all__ if name.islower()} - {"by_name", "select"}
    assert constructors <= {name.partition(" ")[0].rstrip(",") for name in PARTS}
