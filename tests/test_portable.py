"""Laws of `portable`: it nests with every other transformation, and refuses what is outside the contract."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import pytest
from toolz import compose_left, reduce, take

import purenet as pn
from purenet import tree
from purenet.arithmetic import elementary, exact
from purenet.errors import ArgumentError, ContractError, DtypeError

DRAW = pn.key(2024)


def draw(name: str, *shape: int, dtype: Any = np.float64) -> Any:
    """Normal numbers, the same on every machine."""
    return pn.random.normal(pn.fold_in(DRAW, name), shape, dtype=dtype)


def network(dtype: Any = np.float64) -> Any:
    """A small network with a layer of every kind that has a rule."""
    first, second = pn.split(DRAW, 2)
    return pn.Sequential(
        (
            pn.dense(first, 5, 7, dtype=dtype),
            pn.layer_norm(7, dtype=dtype),
            pn.Residual(pn.Tanh()),
            pn.Dropout(0.25),
            pn.dense(second, 7, 3, dtype=dtype),
        )
    )


def penalised(net: Any, batch: Any) -> Any:
    """A loss as a user writes it, which is traced."""
    x, y = batch
    return np.mean((pn.forward(net, x) - y) ** 2) + 1e-4 * sum(np.sum(leaf**2) for leaf in tree.leaves(net))


BATCH = (draw("x", 6, 5), draw("y", 6, 3))
OBJECTIVE = pn.objective(pn.losses.mean_squared_error)
SCALAR_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "elementary": lambda v: np.sum(np.tanh(v) ** 3 * np.exp(-v) + np.log1p(v * v)),
    "products": lambda v: np.sum(np.reshape(v, (2, 4)) @ np.reshape(v, (4, 2))) + v @ np.sin(v),
    "picking": lambda v: np.sum(np.sort(v)[2:5] * v[[0, 0, 1]]) + np.max(v),
    "statistics": lambda v: (
        np.nanstd(v) + np.nanvar(v[1:]) + np.median(v) + np.extract(v > 0, v).sum() + np.unique(v)[0]
    ),
    "interpolation": lambda v: (
        np.interp(0.3, np.linspace(-1, 1, 8), v) + np.sum(np.gradient(v, 0.3, edge_order=2) ** 2)
    ),
    "composed": compose_left(np.cos, np.cumsum, np.linalg.norm),
    "layers": lambda v: np.mean(pn.forward(pn.Gelu(), np.reshape(v, (2, 4)))),
}


@pytest.mark.parametrize("name", SCALAR_FUNCTIONS)
def test_portable_commutes_with_every_derivative(name: str) -> None:
    """The derivative of a portable function has the bits of the portable derivative of the function."""
    f, v, t = SCALAR_FUNCTIONS[name], draw("v", 8), draw("t", 8)
    p = pn.portable(f)
    assert pn.same_bits(pn.value_and_grad(p)(v), pn.portable(pn.value_and_grad(f))(v))
    assert pn.same_bits(pn.jvp(p, (v,), (t,)), pn.portable(lambda v, t: pn.jvp(f, (v,), (t,)))(v, t))
    assert pn.same_bits(pn.hvp(p, (v,), (t,)), pn.portable(lambda v, t: pn.hvp(f, (v,), (t,)))(v, t))
    assert pn.same_bits(pn.hessian(p)(v), pn.portable(pn.hessian(f))(v))
    assert pn.same_bits(pn.jacobian(p, mode="forward")(v), pn.portable(pn.jacobian(f, mode="forward"))(v))


@pytest.mark.parametrize("name", SCALAR_FUNCTIONS)
def test_three_slices_agree_with_the_native_derivative(name: str) -> None:
    """With full products portable arithmetic differs from NumPy's in rounding only."""
    f, v = SCALAR_FUNCTIONS[name], draw("v", 8)
    np.testing.assert_allclose(pn.portable(pn.grad(f), slices=3)(v), pn.grad(f)(v), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(pn.portable(pn.hessian(f), slices=3)(v), pn.hessian(f)(v), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("loss", [OBJECTIVE, penalised], ids=["rules", "traced"])
def test_gradients_of_networks_commute_and_agree(loss: Any) -> None:
    """By hand-derived rules or by tracing: inside or outside, the same bits, near the native ones."""
    net = network()
    inside = pn.portable(pn.value_and_grad(loss))(net, BATCH)
    assert pn.same_bits(inside, pn.value_and_grad(pn.portable(loss))(net, BATCH))
    native = pn.value_and_grad(loss)(net, BATCH)
    for got, expected in zip(tree.leaves(inside), tree.leaves(native), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)
    full = pn.portable(pn.value_and_grad(loss), slices=3)(net, BATCH)
    for got, expected in zip(tree.leaves(full), tree.leaves(native), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)


def test_every_operation_follows_the_contract() -> None:
    """A product is the exact sliced one, a tanh the elementary one, whichever way they are called."""
    a, b = draw("a", 3, 4), draw("b", 4, 2)
    assert pn.same_bits(pn.portable(lambda a, b: a @ b)(a, b), exact.matmul(a, b))
    assert pn.same_bits(pn.portable(lambda a: a @ b, slices=2)(a), exact.matmul(a, b, slices=2))
    assert pn.same_bits(pn.portable(lambda b: a @ b)(b), exact.matmul(a, b))
    assert pn.same_bits(pn.portable(lambda a, b: a.dot(b), slices=3)(a, b), exact.matmul(a, b, slices=3))
    assert pn.same_bits(pn.portable(np.tanh)(a), elementary.tanh(a))
    assert pn.same_bits(pn.portable(np.exp)(0.3), elementary.exp(np.float64(0.3)))


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("np.linalg.svd", np.linalg.svd),
        ("np.linalg.solve", lambda x: np.linalg.solve(x, x)),
        ("np.fft.fft", np.fft.fft),
        ("np.add", lambda x: np.add(np.ones((2, 2)), x, out=np.empty((2, 2)))),
        ("plain array", np.asarray),
        ("plain array", lambda x: np.array([x, x])),
    ],
    ids=["svd", "solve", "fft", "out", "asarray", "array"],
)
def test_what_is_outside_the_contract_is_refused_by_name(name: str, f: Any) -> None:
    """Nothing falls back to NumPy's own arithmetic silently, also under differentiation."""
    x = np.eye(2) + 0.5
    with pytest.raises(ContractError, match=name.replace(".", r"\.")):
        pn.portable(f)(x)


def test_what_is_derived_stays_under_the_contract() -> None:
    """Masks, integers and their sums are values of the contract, too; they pick, branch and count."""

    def f(x: Any, labels: Any, table: Any) -> Any:
        positive = x > 0
        kept = np.where(positive, x, 0.0)
        share = np.std(labels) + np.mean(positive) + len(x)
        total = kept[labels].sum() if positive.any() else 0.0
        return share * total * np.sum(labels) + x[positive].sum() + table[labels].sum()

    x, labels = draw("x", 4, 3), np.array([0, 2, 1, 3])
    table = np.arange(4.0)
    np.testing.assert_allclose(pn.portable(f)(x, labels, table), f(x, labels, table), rtol=1e-13)
    with pytest.raises(ContractError, match="pass a plain array that is to be indexed in"):
        pn.portable(lambda labels: table[labels])(labels)
    with pytest.raises(ContractError, match="pinv"):
        pn.portable(lambda x: np.linalg.pinv(1.0 * (x > 0)))(x)


WITH_CONSTANTS = {
    "the logarithm of a base": lambda x, c: np.sum(c ** (x / 9)),
    "the sum of the weights of a mean": lambda x, c: np.average(x, weights=c),
    "the sum of the weights of squares": lambda x, c: pn.losses.mean_squared_error(x, c - 1, weights=c),
    "the sum of the weights of slopes": lambda x, c: pn.losses.huber(x[:, None], c[:, None] - 1, weights=c),
}


@pytest.mark.parametrize("name", WITH_CONSTANTS)
def test_what_is_computed_from_constants_on_the_way_follows_the_contract(name: str) -> None:
    """An array that the function closes over gives the bits that it gives as an argument."""
    f, x, constant = WITH_CONSTANTS[name], draw("x", 999), np.exp(5 * draw("weights", 999))
    closed = pn.portable(pn.value_and_grad(lambda x: f(x, constant)))(x)
    assert pn.same_bits(closed, pn.portable(pn.value_and_grad(f))(x, constant))


def test_a_function_may_work_in_place_on_what_it_made_but_not_on_its_arguments() -> None:
    """As plain NumPy code does on read-only arrays."""

    def accumulate(x: Any) -> Any:
        total = x * 0
        for row in range(3):
            total[row] = x[row] * 2
        total += x
        total[0, 1] -= 1
        total **= 2
        return total

    x = draw("x", 3, 3)
    before = x.copy()
    assert pn.same_bits(pn.portable(accumulate)(x), accumulate(x))
    writable = x.copy()
    with pytest.raises(ValueError, match="read-only"):
        pn.portable(lambda x: x.__iadd__(1))(writable)
    assert pn.same_bits(writable, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_those_of_numpy_2(dtype: Any) -> None:
    """Python numbers follow the arrays; arguments that are Python floats stay weak."""
    x = draw("x", 2, 3).astype(dtype)
    for f in (
        lambda x, r: x * r,
        lambda x, r: np.sum(x) * 2.5 + r,
        lambda x, r: x @ x.T / 3,
        lambda x, r: np.mean(x, axis=0) ** 2 * r**2,
        lambda x, r: np.exp(x[0, 0]) * 0.5 + 1,
    ):
        assert pn.portable(f)(x, 0.5).dtype == dtype


def test_a_step_in_portable_arithmetic_is_the_fold_of_its_parts() -> None:
    """`portable(make_step(...))` takes states to states: loss and gradient are portable, the update is IEEE 754's."""
    net, optimizer = network(), pn.chain(pn.clip_by_global_norm(0.5), pn.adam(1e-2))
    start = pn.init_state(net, optimizer, key=DRAW)
    step = pn.portable(pn.make_step(OBJECTIVE, optimizer))
    state = step(start, BATCH)
    loss, gradient = pn.portable(pn.value_and_grad(OBJECTIVE))(net, BATCH, key=pn.fold_in(DRAW, 0))
    updates, after = optimizer.update(gradient, start.optimizer, net, 0)
    assert pn.same_bits(state.loss, loss)
    assert pn.same_bits(state.net, tree.map(np.add, net, updates))
    assert pn.same_bits(state.optimizer, after)
    assert state.step == 1


def test_a_step_may_be_made_of_parts_of_ones_own() -> None:
    """A traced loss, a layer and an optimizer part of one's own: all of them follow the contract."""

    @pn.struct
    class Warp:
        strength: pn.Array

    @pn.forward.register(Warp)
    def _(layer: Any, x: Any, *, key: Any = None) -> Any:
        return np.sinh(x * layer.strength)

    @pn.struct
    class Normalise:
        def init(self, net: Any) -> None:
            return None

        def update(self, updates: Any, state: None, net: Any, step: int) -> tuple[Any, None]:
            return tree.map(lambda u: u / (1e-3 + np.linalg.norm(u) * np.exp(np.mean(u))), updates), None

    @pn.struct
    class Escape:
        def init(self, net: Any) -> None:
            return None

        def update(self, updates: Any, state: None, net: Any, step: int) -> tuple[Any, None]:
            return tree.map(np.linalg.pinv, updates), None

    net = pn.Sequential((pn.dense(DRAW, 5, 3), Warp(np.array(0.5))))
    optimizer = pn.chain(Normalise(), pn.scale(-0.1))
    step = pn.portable(pn.make_step(penalised, optimizer))
    state = reduce(step, repeat(BATCH, 3), pn.init_state(net, optimizer))
    native = reduce(pn.make_step(penalised, optimizer), repeat(BATCH, 3), pn.init_state(net, optimizer))
    np.testing.assert_allclose(state.net.layers[0].weight, native.net.layers[0].weight, rtol=1e-4)
    assert all(isinstance(leaf, np.ndarray | np.generic) and not leaf.flags.writeable for leaf in tree.leaves(state))
    net = pn.dense(DRAW, 5, 3)
    with pytest.raises(ContractError, match="pinv"):
        pn.portable(pn.make_step(OBJECTIVE, Escape()))(pn.init_state(net, Escape()), BATCH)


def test_numbers_computed_by_parts_and_schedules_of_ones_own_follow_the_contract() -> None:
    """The step that they are given is a portable value, so that no power is the C library's."""

    @pn.struct
    class Decayed:
        def init(self, net: Any) -> None:
            return None

        def update(self, updates: Any, state: None, net: Any, step: Any) -> tuple[Any, None]:
            noise = pn.random.normal(pn.fold_in(DRAW, step), (3,)) * {0: 1e-3, 1: 2e-3}[step]
            return tree.map(lambda u: u * (1 - 0.9 ** (step + 1)) + noise, updates), None

    net, x = pn.Dense(draw("w", 5, 3)), BATCH
    optimizer = pn.chain(Decayed(), pn.scale_by_learning_rate(lambda t: -0.1 * 0.97**t))
    state = reduce(pn.portable(pn.make_step(OBJECTIVE, optimizer)), repeat(x, 2), pn.init_state(net, optimizer))
    gradient = pn.portable(pn.grad(OBJECTIVE))
    for step in (0, 1):
        rate = 0.1 * float(elementary.power(np.float64(0.97), np.float64(step)))
        factor = 1 - elementary.power(np.float64(0.9), np.float64(step + 1))
        noise = pn.random.normal(pn.fold_in(DRAW, step), (3,)) * {0: 1e-3, 1: 2e-3}[step]
        net = tree.map(lambda w, g, f=factor, r=rate, n=noise: w + (g * f + n) * r, net, gradient(net, x))
    assert pn.same_bits(state.net, net)


def test_what_loops_around_a_step_changes_no_bit() -> None:
    """A portable loop over steps is the loop over portable steps."""
    net = pn.mlp(DRAW, (5, 4, 3))
    for optimizer in (pn.sgd(0.1), pn.sgd(0.1, momentum=0.5)):
        step, start = pn.make_step(OBJECTIVE, optimizer), pn.init_state(net, optimizer)
        outside = reduce(pn.portable(step), repeat(BATCH, 3), start)
        inside = pn.portable(lambda state, batch, step=step: reduce(step, repeat(batch, 3), state))(start, BATCH)
        assert pn.same_bits(outside, inside)


def test_a_portable_step_can_be_differentiated() -> None:
    """The gradient of what two steps lead to: by the portable steps, near that by the native ones."""
    net, optimizer = pn.mlp(DRAW, (5, 4, 3), activation=pn.Tanh()), pn.adam(0.05)

    def reached(net: Any, make: Callable[[Any], Any]) -> Any:
        step = make(pn.make_step(OBJECTIVE, optimizer))
        state = pn.State(0, net, optimizer.init(start), None, float("nan"))
        return sum(np.sum(leaf**2) for leaf in tree.leaves(reduce(step, repeat(BATCH, 2), state).net))

    start = net
    portable = pn.grad(lambda net: reached(net, partial(pn.portable, slices=3)))(net)
    native = pn.grad(lambda net: reached(net, lambda step: step))(net)
    around = pn.portable(pn.grad(lambda net: reached(net, lambda step: step)), slices=3)(net)
    for a, b, c in zip(tree.leaves(portable), tree.leaves(native), tree.leaves(around), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(c, b, rtol=1e-9, atol=1e-12)


def test_cotangents_and_tangents_follow_the_contract_too() -> None:
    """Also those that begin as plain numbers: of a closure as of an argument, the same bits."""
    x, b = draw("many", 300, 40), draw("b", 40)
    within = pn.portable(pn.hessian(lambda b: np.mean((x @ b) ** 2)))(b)
    assert pn.same_bits(within, pn.portable(lambda x, b: pn.hessian(lambda b: np.mean((x @ b) ** 2))(b))(x, b))
    layer = pn.Dense(draw("w", 40, 3), draw("c", 3))
    f = pn.objective(lambda prediction, target: np.mean(prediction * 1.0))
    gradient = pn.portable(pn.grad(f))(layer, (x, x))
    np.testing.assert_array_equal(gradient.bias, exact_sums(np.full((300, 3), 1 / 900)))
    pull = pn.portable(lambda b: pn.vjp(lambda b: x @ b, b)[1])(b)
    assert type(pull(np.ones(300))[0]) is np.ndarray


def exact_sums(rows: Any) -> Any:
    """Sums over the first axis in the order of the contract."""
    return pn.portable(lambda rows: np.sum(rows, axis=0))(rows)


def test_what_leaves_the_contract_is_refused() -> None:
    """Python's floats, uninitialised elements, objects, subclasses and casts that processors do differently."""
    x = draw("x", 4)
    refused: tuple[Callable[[Any], Any], ...] = (
        lambda x: float(x[0]),
        lambda x: x[0].item(),
        lambda x: x.tolist(),
        lambda x: np.divide(x, x, out=x * 0, where=x > 0),
        lambda x: (x > 0).__iadd__(0.5),
        lambda x: np.add(x, x, out=(x > 0) * 1),
        lambda x: x.sort(),
        lambda x: x * np.longdouble(1),
        lambda x: np.modf(x, out=(x * 1, x * 1)),
    )
    for f in refused:
        with pytest.raises(TypeError), np.errstate(all="ignore"):
            pn.portable(f)(x)
    for given in (np.ma.masked_array([1.0, 2.0], [0, 1]), np.array([1.0, None], object)):
        with pytest.raises(ContractError, match="contract"):
            pn.portable(np.sum)(given)


def test_norms_of_integers_do_not_wrap_round() -> None:
    """They are those of the numbers."""
    x = np.array([300, -300], np.int16)
    for f in (np.linalg.norm, partial(np.linalg.norm, ord=1), partial(np.linalg.norm, ord=np.inf), np.nanmax):
        assert pn.portable(f)(x) == f(x)


def test_a_prediction_has_the_same_bits_alone_and_in_any_batch() -> None:
    """Row i of what a network gives depends on row i of its input alone."""
    net, x = network(), draw("rows", 37, 5)
    predict = pn.portable(pn.forward)
    together = predict(net, x)
    for rows in (slice(0, 1), slice(3, 4), slice(5, 22), slice(0, 37, 4)):
        assert pn.same_bits(predict(net, x[rows]), np.ascontiguousarray(together[rows]))


def test_training_needs_no_luck_with_the_layout_of_the_data() -> None:
    """C-ordered, Fortran-ordered, strided and misaligned batches give one state."""
    net, optimizer = network(np.float32), pn.sgd(1e-2, momentum=0.9)
    step = pn.portable(pn.make_step(OBJECTIVE, optimizer))
    x, y = (part.astype(np.float32) for part in BATCH)
    wide = np.zeros((6, 10), np.float32)
    wide[:, ::2] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(np.float32).reshape(x.shape)
    misaligned[...] = x
    digests = {
        pn.digest(reduce(step, repeat((given, y), 3), pn.init_state(net, optimizer, key=DRAW)))
        for given in (x, np.asfortranarray(x), wide[:, ::2], misaligned, x.astype(">f4"))
    }
    assert len(digests) == 1


def test_slices_nest_and_the_innermost_transformation_decides() -> None:
    """A portable function called by another one uses its own number of slices, and hands back to the outer one."""
    a, b = draw("a", 3, 4), draw("b", 4, 3)
    inner = pn.portable(lambda a, b: a @ b, slices=3)
    both = pn.portable(lambda a, b: inner(a, b) @ a)(a, b)
    assert pn.same_bits(both, exact.matmul(exact.matmul(a, b, slices=3), a))


def test_a_traced_value_from_outside_keeps_its_derivative() -> None:
    """A closure over a traced value: what is computed from it inside is differentiated like everything else."""
    x, w = draw("x", 3), draw("w", 3)

    def f(w: Any) -> Any:
        return pn.portable(lambda x: np.sum(np.tanh(x * w)))(x)

    np.testing.assert_allclose(pn.grad(f)(w), pn.grad(lambda w: np.sum(np.tanh(x * w)))(w), rtol=1e-13)
    assert type(pn.grad(f)(w)) is np.ndarray


def test_complex_numbers_and_conversions_that_processors_differ_in_are_refused() -> None:
    """A complex or extended number never enters, and NaN does not become an integer."""
    for f, x in (
        (np.abs, np.ones(2, complex)),
        (np.abs, np.ones(2, np.longdouble)),
        (lambda x: x.astype(complex), np.ones(2)),
        (lambda x: x * 1j, np.ones(2)),
        (lambda x: (x / 0).astype(np.int64), np.zeros(2)),
    ):
        with pytest.raises((TypeError, ArgumentError)), np.errstate(all="ignore"):
            pn.portable(f)(x)


def test_lists_and_scalars_mix_with_portable_values() -> None:
    """As with arrays."""
    x = draw("x", 2, 2)
    functions = (
        lambda x: [[1.0, 2.0], [3.0, 4.0]] @ x,
        lambda x: [1.0, 2.0] * x,
        lambda x: x - [1.0, 2.0],
        lambda x: 2 / x,
        lambda x: x.conj().T,
        lambda x: np.float64(3) * x,
        lambda x: np.array([3.0, 1.0]) + x,
        lambda x: -x % 1.5,
        lambda x: divmod(x, 0.4)[1],
        lambda x: abs(x) // 0.3,
        lambda x: 2**x,
    )
    for f in functions:
        np.testing.assert_allclose(pn.portable(f, slices=3)(x), f(x), rtol=1e-14)


def test_nan_has_one_pattern_of_bits() -> None:
    """Whatever sign and payload a processor gives it."""
    odd = np.array([0x7FF8000000000123, 0xFFF8000000000000], np.uint64).view(np.float64)
    with np.errstate(invalid="ignore"):
        out = pn.portable(lambda x: (x + 1, x * 0, np.sum(x), x - np.inf))(odd)
    assert {bits for leaf in tree.leaves(out) for bits in np.atleast_1d(leaf).view(np.uint64).tolist()} == {
        int(np.array(np.nan).view(np.uint64))
    }


def test_bad_arguments_are_named() -> None:
    """What is no function, and slices that do not exist."""
    with pytest.raises(DtypeError, match=r"portable\.f"):
        pn.portable(3)  # type: ignore[arg-type]
    for slices in (0, 4, 1.5, True, "2"):
        with pytest.raises(ArgumentError, match="slices"):
            pn.portable(np.sum, slices=slices)  # type: ignore[arg-type]


def test_calls_are_pure_and_repeat_their_bits() -> None:
    """The same call gives the same bits, and the arguments keep theirs."""
    net = network()
    before = pn.digest((net, BATCH))
    f = pn.portable(pn.value_and_grad(penalised))
    assert pn.same_bits(f(net, BATCH), f(net, BATCH))
    assert pn.digest((net, BATCH)) == before


def test_per_example_gradients_add_up_to_the_gradient() -> None:
    """Transformations built on the others follow the contract as well."""
    net = pn.mlp(DRAW, (5, 4, 3))
    each = pn.portable(partial(pn.per_example_grads(OBJECTIVE)))(net, BATCH)
    whole = pn.grad(OBJECTIVE)(net, BATCH)
    for parts, total in zip(tree.leaves(each), tree.leaves(whole), strict=True):
        np.testing.assert_allclose(np.mean(parts, axis=0), total, rtol=1e-4, atol=1e-6)


def test_random_draws_inside_are_those_outside() -> None:
    """Keys pass through: dropout draws the same elements in both arithmetics."""
    layer, x, key = pn.Dropout(0.5), draw("x", 4, 4), pn.key(3)
    assert pn.same_bits(pn.portable(pn.forward)(layer, x, key=key), pn.forward(layer, x, key=key))
    batches = pn.Batches(pn.Dataset(*BATCH), size=2, key=key)
    step = pn.portable(pn.make_step(OBJECTIVE, pn.sgd(0.1)))
    start = pn.init_state(network(), pn.sgd(0.1), key=key)
    assert pn.same_bits(reduce(step, take(4, batches), start), reduce(step, take(4, batches), start))
