"""Laws of the transformations: what derivatives are, how they nest, and what is refused."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
from laws import assert_close, assert_pure, finite_difference, leaf_bytes
from toolz import compose, compose_left, curry, juxt, pipe

import purenet as pn
from purenet import tree
from purenet.errors import ArgumentError, DifferentiationError, DtypeError, MissingRuleError, ShapeError, StructureError
from purenet.transforms.linearise import Deferred, with_rule


@pn.struct
class Layer:
    weight: pn.Array
    bias: pn.Array
    name: str = pn.static(default="layer")


@pn.struct
class Network:
    layers: tuple[Layer, ...]


class Pair(NamedTuple):
    left: Any
    right: Any


def draw(name: str, *shape: int) -> Any:
    return pn.random.normal(pn.fold_in(pn.key(3), name), shape)


def layer(name: str, n_in: int, n_out: int) -> Layer:
    return Layer(draw(name, n_in, n_out), draw(name + "b", n_out), name)


def predict(net: Network, x: Any) -> Any:
    for each in net.layers:
        x = np.tanh(x @ each.weight + each.bias)
    return x


NET = Network((layer("first", 3, 4), layer("second", 4, 2)))
X, Y = draw("x", 5, 3), draw("y", 5, 2)


def loss(net: Network, x: Any, y: Any) -> Any:
    return np.mean((predict(net, x) - y) ** 2)


def inner(a: Any, b: Any) -> Any:
    """The inner product of two trees."""
    return sum(np.sum(x * y) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


TREES: dict[str, tuple[Callable[..., Any], Any]] = {
    "array": (lambda x: np.sum(np.sin(x) * x), draw("a", 3, 2)),
    "number": (lambda x: np.sin(x) * x, 0.5),
    "0-d array": (lambda x: np.sin(x) * x, np.array(0.5)),
    "record": (lambda net: loss(net, X, Y), NET),
    "named tuple": (lambda p: np.sum(p.left * np.exp(p.right)), Pair(draw("l", 3), 0.25)),
    "dict": (lambda p: np.sum(p["w"][0] ** 3) * p["b"], {"w": [draw("w", 2)], "b": 2.0}),
    "empty containers": (lambda p: p[0] ** 2, (3.0, None, [], {}, ())),
    "no elements": (lambda p: np.sum(p[0]) + p[1] ** 2, (np.zeros((0, 3)), 3.0)),
    "unused leaf": (lambda p: np.sum(p[0] ** 2), (draw("u", 2), draw("v", 3))),
    "a leaf twice": (lambda p: np.sum(p[0] * p[0] * p[1]), (draw("u", 2), draw("v", 2))),
}


@pytest.mark.parametrize("case", TREES.values(), ids=TREES)
def test_every_transformation_agrees_with_finite_differences_over_trees(case: Any) -> None:
    """grad, value_and_grad, vjp, jvp and both jacobians are one derivative, in the structure of the argument."""
    f, x = case
    (expected,) = finite_difference(f, (x,))
    close = partial(assert_close, rtol=1e-8, atol=1e-9)
    gradient = pn.grad(f)(x)
    tree.check_same_structure(gradient, x)
    close(gradient, expected)
    value, again = pn.value_and_grad(f)(x)
    assert value == f(x)
    assert leaf_bytes(again) == leaf_bytes(gradient)
    _, pullback = pn.vjp(f, x)
    assert leaf_bytes(pullback(1.0)[0]) == leaf_bytes(gradient)
    for mode in ("reverse", "forward"):
        close(pn.jacobian(f, mode=mode)(x), expected)
    direction = tree.map(lambda leaf: np.cos(np.asarray(leaf))[()], x)
    value, tangent = pn.jvp(f, (x,), (direction,))
    assert value == f(x)
    np.testing.assert_allclose(tangent, inner(gradient, direction), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", TREES.values(), ids=TREES)
def test_arguments_keep_their_bytes_and_results_are_read_only(case: Any) -> None:
    """Transformations are pure; every array that they return is read-only and of the dtype of its argument."""
    f, x = case
    for transformed in (pn.grad(f), pn.jacobian(f), pn.jacobian(f, mode="forward"), lambda x: pn.hvp(f, (x,), (x,))):
        for leaf, result in zip(tree.leaves(x), tree.leaves(assert_pure(transformed, x)), strict=True):
            assert result.dtype == np.asarray(leaf).dtype
            assert not isinstance(result, np.ndarray) or not result.flags.writeable
    pullback = pn.vjp(f, x)[1]
    assert_pure(pullback, 2.0)


def test_a_cotangent_and_a_tangent_that_pass_through_are_not_shared() -> None:
    """The result of the identity is not the caller's own writable array, nor is that made read-only."""
    x, t = np.ones(3), np.ones(3)
    (pulled,) = pn.vjp(lambda x: x, x)[1](t)
    _, pushed = pn.jvp(lambda x: x, (x,), (t,))
    assert t.flags.writeable
    t[0] = 5.0
    assert pulled[0] == pushed[0] == 1.0


def test_vjp_is_the_transpose_of_jvp() -> None:
    """<w, J v> = <J^T w, v> for a function between trees; the pullback can be called again and again."""

    def f(net: Network, x: Any) -> Any:
        return {"out": predict(net, x), "more": Pair(x[0] * 2, net.layers[0].bias)}

    value, pullback = pn.vjp(f, NET, X)
    v = (tree.map(np.sin, NET), np.cos(X))
    w = tree.map(np.cos, value)
    _, tangent = pn.jvp(f, (NET, X), v)
    tree.check_same_structure(value, tangent)
    pulled = pullback(w)
    np.testing.assert_allclose(inner(w, tangent), inner(pulled, v), rtol=1e-12)
    pullback(tree.map(lambda a: 3 * a, w))
    assert leaf_bytes(pullback(w)) == leaf_bytes(pulled)


def test_the_jacobian_has_a_tree_of_the_argument_for_each_leaf_of_the_result() -> None:
    """Leaves of shape out.shape + leaf.shape, as in JAX; several argnums give tuples; both modes agree."""

    def f(p: dict[str, Any], x: Any) -> Any:
        return [x @ p["w"] * p["s"], np.sum(x)]

    p, x = {"w": draw("w", 3, 2), "s": 2.0}, draw("x", 4, 3)
    j = pn.jacobian(f)(p, x)
    assert [leaf.shape for leaf in tree.leaves(j)] == [(4, 2), (4, 2, 3, 2), (), (3, 2)]
    assert [type(part) for part in j] == [dict, dict]
    np.testing.assert_allclose(j[0]["w"], np.einsum("ik,jl->ijkl", x, 2 * np.eye(2)), rtol=1e-14)
    assert_close(pn.jacobian(f, mode="forward")(p, x), j, rtol=1e-14)
    both = pn.jacobian(f, argnums=(1, 0))(p, x)
    assert isinstance(both[0], tuple)
    assert leaf_bytes(both[0][1]) == leaf_bytes(j[0])
    assert both[0][0].shape == (4, 2, 4, 3)
    assert pn.jacobian(lambda x: x[:0])(x).shape == (0, 3, 4, 3)
    assert pn.jacobian(lambda x: np.ones(2) + 0 * np.sum(x), mode="forward")(np.zeros((0, 3))).shape == (2, 0, 3)


def test_the_hessian_of_a_network_is_the_jacobian_of_its_gradient() -> None:
    """In every mixture of modes, symmetric, and what hvp multiplies by."""
    h = pn.hessian(loss)(NET, X, Y)
    for mode in ("reverse", "forward"):
        assert_close(pn.jacobian(pn.grad(loss), mode=mode)(NET, X, Y), h, rtol=1e-10, atol=1e-13)
        by_jacobians = pn.jacobian(pn.jacobian(loss, mode="forward"), mode=mode)(NET, X, Y)
        assert_close(by_jacobians, h, rtol=1e-10, atol=1e-13)
    flat, unravel = pn.ravel(NET)
    matrix = pn.hessian(lambda v: loss(unravel(v), X, Y))(flat)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
    assert h.layers[0].weight.layers[1].bias.shape == (3, 4, 2)
    direction = tree.map(np.cos, NET)
    product = pn.hvp(loss, (NET, X, Y), (direction, None, None))
    tree.check_same_structure(product, NET)
    np.testing.assert_allclose(pn.ravel(product)[0], matrix @ pn.ravel(direction)[0], rtol=1e-10, atol=1e-13)


def test_hvp_is_the_derivative_of_the_gradient_along_all_tangents() -> None:
    """As jvp(grad(f), primals, tangents)[1]: a tree like the first primal, with the mixed derivatives included."""

    def f(x: Any, y: Any) -> Any:
        return np.sum(x**2 * y**3)

    x, y, dx, dy = (draw(name, 3) for name in ("x", "y", "dx", "dy"))
    np.testing.assert_allclose(pn.hvp(f, (x, y), (dx, dy)), 2 * y**3 * dx + 6 * x * y**2 * dy, rtol=1e-13)
    np.testing.assert_allclose(pn.hvp(f, (x, y), (dx, None)), 2 * y**3 * dx, rtol=1e-13)


def forward_derivative(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: pn.jvp(f, (x,), (1.0,))[1]


DERIVATIVES = (pn.grad, forward_derivative)


@pytest.mark.parametrize("modes", list(product(DERIVATIVES, repeat=3)))
def test_third_derivatives_in_every_mixture_of_modes(modes: tuple[Any, ...]) -> None:
    """d^3/dx^3 of x^4 sin x at 0.7."""
    x, d = 0.7, lambda x: x**4 * np.sin(x)
    for mode in modes:
        d = mode(d)
    expected = 24 * x * np.sin(x) + 36 * x**2 * np.cos(x) - 12 * x**3 * np.sin(x) - x**4 * np.cos(x)
    np.testing.assert_allclose(d(x), expected, rtol=1e-12)


@pytest.mark.parametrize(("outer", "inner"), list(product(DERIVATIVES, repeat=2)))
def test_second_derivatives_through_solve(outer: Any, inner: Any) -> None:
    """For x(t) = (A + t B)^-1 b: x' = -M x and x'' = 2 M M x, with M = (A + t B)^-1 B."""
    a, b, c = draw("A", 3, 3) + 4 * np.eye(3), draw("B", 3, 3), draw("c", 3)

    def f(t: Any) -> Any:
        return np.sum(np.linalg.solve(a + t * b, c))

    t = 0.3
    m = np.linalg.solve(a + t * b, b)
    x = np.linalg.solve(a + t * b, c)
    np.testing.assert_allclose(inner(f)(t), np.sum(-m @ x), rtol=1e-12)
    np.testing.assert_allclose(outer(inner(f))(t), np.sum(2 * m @ m @ x), rtol=1e-11)


@pytest.mark.parametrize(("outer", "inner"), list(product(DERIVATIVES, repeat=2)))
def test_perturbations_are_not_confused(outer: Any, inner: Any) -> None:
    """An inner derivative treats the captured variable of the outer one as a constant, and the outer one does not."""
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0) == 1.0
    assert outer(lambda x: x * inner(lambda y: x * y)(1.0))(3.0) == 6.0
    assert outer(lambda x: inner(lambda y: x * y * y)(x))(5.0) == 20.0
    assert outer(lambda x: inner(lambda y: x)(1.0) + x)(2.0) == 1.0
    np.testing.assert_allclose(outer(lambda x: inner(lambda y: np.sin(x * y))(x * x))(0.6), _mixed(0.6), rtol=1e-13)


def _mixed(x: float) -> float:
    """d/dx of x * cos(x**3)."""
    return float(np.cos(x**3) - 3 * x**3 * np.sin(x**3))


def test_a_pullback_can_be_differentiated() -> None:
    """A pullback is an ordinary linear function: of its cotangent, and of what its function captured."""
    _, pullback = pn.vjp(np.sin, np.array([0.3, 0.4]))
    g = pn.grad(lambda ct: np.sum(pullback(ct)[0] ** 2))(np.ones(2))
    np.testing.assert_allclose(g, 2 * np.cos([0.3, 0.4]) ** 2, rtol=1e-14)

    def through(a: Any) -> Any:
        _, pullback = pn.vjp(lambda x: a * x**2, 3.0)
        return pullback(a)[0]

    assert pn.grad(through)(2.0) == 24.0


def test_derivatives_of_results_that_do_not_depend_on_the_argument_are_zero() -> None:
    """Constants, unused arguments, comparisons and integer parts of a result have zero derivatives in their form."""
    x = np.ones((2, 3), np.float32)
    assert leaf_bytes(pn.grad(lambda x, y: np.sum(y), argnums=0)(x, x)) == leaf_bytes(np.zeros_like(x))
    assert pn.grad(lambda x: 2.0)(5.0) == 0.0
    value, tangent = pn.jvp(lambda x: (x * 2, x > 0, np.argmax(x), 3.0), (x,), (x,))
    assert_close(tangent, (x * 2, np.zeros((2, 3), bool), 0, 0.0))
    value, pullback = pn.vjp(lambda x: (x * 2, np.argmax(x)), x)
    assert_close(pullback((x, 1))[0], 2 * x)
    assert value[1] == 0


def test_derivatives_keep_float32() -> None:
    """In both modes and to second order nothing is promoted."""
    x = np.linspace(0.5, 1, 4, dtype=np.float32)

    def f(x: Any) -> Any:
        return np.sum(np.tanh(x) * 2.0 * x ** np.uint8(3)) + np.sum(np.std(x, keepdims=True))

    results = (pn.grad(f)(x), *pn.jvp(f, (x,), (x,)), pn.hvp(f, (x,), (x,)), pn.hessian(f)(x), pn.jacobian(np.sin)(x))
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


def test_a_tangent_may_have_another_byte_order() -> None:
    """As functions of an argument from a file have."""
    x = np.linspace(0.5, 1, 4)
    swapped = x.astype(x.dtype.newbyteorder())
    for primal, tangent in ((swapped, x), (x, swapped), (swapped, swapped)):
        np.testing.assert_array_equal(pn.jvp(np.sin, (primal,), (tangent,))[1], np.cos(x) * x)


def test_argnums_and_constants() -> None:
    """A position, a negative one, several; every other argument and all keywords are constants of any type."""

    def f(x: Any, names: Any, y: Any, *, scale: float = 1.0) -> Any:
        return np.sum(x * len(names) * y**2) * scale

    x, y, names = np.ones(2), 3.0, ["a", "b"]
    assert pn.grad(f, argnums=2)(x, names, y, scale=10.0) == 240.0
    assert pn.grad(f, argnums=-1)(x, names, y) == 24.0
    both = pn.grad(f, argnums=(2, 0))(x, names, y)
    assert_close(both, (24.0, np.full(2, 18.0)))
    assert_close(pn.grad(f, argnums=[0])(x, names, y), (np.full(2, 18.0),))
    assert pn.grad(f).__name__ == "f"
    for transform in (pn.grad, pn.jacobian, pn.hessian, pn.value_and_grad):
        for argnums in (3, -4, (0, 3)):
            with pytest.raises(ArgumentError, match=r"argnums: there is no argument -?[34] in a call with 3 arguments"):
                transform(f, argnums=argnums)(x, names, y)


def test_has_aux_passes_the_second_half_through() -> None:
    """Without a derivative of its own, without traces of this transformation, and with those of one around it."""

    def f(x: Any) -> Any:
        return np.sum(x**2), {"double": 2 * x, "name": "f"}

    x = np.array([1.0, 2.0])
    (value, aux), gradient = pn.value_and_grad(f, has_aux=True)(x)
    assert (value, aux["name"]) == (5.0, "f")
    assert_close((aux["double"], gradient), (2 * x, 2 * x))
    assert_close(pn.grad(f, has_aux=True)(x)[1]["double"], 2 * x)
    assert_close(pn.vjp(f, x, has_aux=True)[2]["double"], 2 * x)
    assert_close(pn.jvp(f, (x,), (x,), has_aux=True)[2]["double"], 2 * x)
    for inner in (
        lambda x: pn.value_and_grad(f, has_aux=True)(x)[0][1]["double"],
        lambda x: pn.vjp(f, x, has_aux=True)[2]["double"],
        lambda x: pn.jvp(f, (x,), (x,), has_aux=True)[2]["double"],
    ):
        assert_close(pn.grad(lambda x, inner=inner: np.sum(inner(x)))(x), np.full(2, 2.0))
        assert_close(pn.jvp(inner, (x,), (np.ones(2),))[1], np.full(2, 2.0))
    with pytest.raises(ArgumentError, match=r"\(value, aux\)"):
        pn.grad(lambda x: x, has_aux=True)(1.0)
    with pytest.raises(ArgumentError, match=r"\(value, aux\)"):
        pn.jvp(lambda x: x, (1.0,), (1.0,), has_aux=True)


def test_records_made_inside_a_function_carry_traced_values() -> None:
    """A constructor called in the function neither copies nor refuses what is traced."""

    def f(x: Any) -> Any:
        return predict(Network((Layer(np.reshape(x, (2, 2)), x[:2]),)), np.ones((1, 2)))[0, 0]

    x = draw("record", 4)
    for derivative in (pn.grad(f)(x), pn.jacobian(f, mode="forward")(x)):
        assert_close(derivative, finite_difference(f, (x,))[0])


# Statements of one's own.


Compositions = dict[str, tuple[Callable[..., Any], Callable[..., Any], int]]


def compositions(calls: list[str]) -> Compositions:
    """Each way to compose: the composition, the same written out, and how often hand-derived pullbacks are called.

    The functions that are composed have such pullbacks, which write into `calls`.
    """

    def hand_derived(name: str, f: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
        def recording(*args: Any, **kwargs: Any) -> Any:
            value, pullback = rule(*args, **kwargs)
            return value, lambda cotangent: calls.append(name) or pullback(cotangent)

        return with_rule(recording)(lambda *args, **kwargs: f(*args, **kwargs))

    double = hand_derived("double", lambda x: 2 * x, lambda x: (2 * x, lambda g: (2 * g,)))
    wave = hand_derived("wave", np.sin, lambda x: (np.sin(x), lambda g: (Deferred(lambda: g * np.cos(x)),)))
    total = hand_derived("total", np.sum, lambda x: (np.sum(x), lambda g: (np.full(x.shape, g),)))
    sign = hand_derived("sign", np.sign, lambda x: (np.sign(x), lambda g: (None,)))
    times = hand_derived(
        "times",
        lambda a, x, power=1: a * x**power,
        lambda a, x, power=1: (a * x**power, lambda g: (np.sum(g * x**power), g * a * power * x ** (power - 1))),
    )
    return {
        "compose": (compose(total, wave, double), lambda x: np.sum(np.sin(2 * x)), 3),
        "compose_left": (compose_left(double, wave, wave, total), lambda x: np.sum(np.sin(np.sin(2 * x))), 4),
        "nested": (compose_left(compose(wave, double), total), lambda x: np.sum(np.sin(2 * x)), 3),
        "juxt": (
            compose_left(juxt(double, wave), lambda p: np.sum(p[0] * p[1])),
            lambda x: np.sum(2 * x * np.sin(x)),
            2,
        ),
        "partial": (compose_left(partial(times, 3.0, power=2), total), lambda x: np.sum(3 * x**2), 2),
        "curry": (compose_left(curry(times)(3.0, power=2), total), lambda x: np.sum(3 * x**2), 2),
        "pipe": (lambda x: pipe(x, double, wave, total), lambda x: np.sum(np.sin(2 * x)), 0),  # mere calls
        "a plain function": (compose_left(double, lambda x: x * x, total), lambda x: np.sum(4 * x * x), 2),
        "integers on the way": (
            compose_left(lambda x: (x, np.argmax(x)), lambda p: p[0][0] * p[1], wave, total),
            lambda x: np.sum(np.sin(x[0] * np.argmax(x))),
            2,
        ),
        "a zero on the way": (compose_left(double, sign, total), lambda x: np.sum(np.sign(x)), 2),
    }


@pytest.mark.parametrize("name", compositions([]))
def test_toolz_compositions_use_the_hand_derived_pullbacks(name: str) -> None:
    """The gradient equals the traced one to 1e-12, in one call of each pullback; other modes and orders agree."""
    x, calls = draw("composed", 4, 3), []
    composition, written, expected_calls = compositions(calls)[name]
    value, gradient = pn.value_and_grad(composition)(x)
    assert len(calls) == expected_calls
    assert value == composition(x)
    assert_close(gradient, pn.grad(written)(x), rtol=1e-12, atol=1e-12)
    v = np.cos(x)
    assert_close(pn.jvp(composition, (x,), (v,))[1], np.sum(gradient * v), rtol=1e-10, atol=1e-12)
    assert_close(pn.hvp(composition, (x,), (v,)), pn.hvp(written, (x,), (v,)), rtol=1e-10, atol=1e-12)
    assert_close(pn.hessian(composition)(x), pn.hessian(written)(x), rtol=1e-10, atol=1e-12)


def test_pipe_given_to_a_transformation_is_a_composition() -> None:
    """`grad(pipe)(x, f, g, h)` is the gradient of h(g(f(x))), by the pullbacks of f, g and h."""
    x, calls = draw("composed", 4, 3), []
    composition = compositions(calls)["compose"][0]
    gradient = pn.grad(pipe)(x, composition.first, *composition.funcs)
    assert calls == ["total", "wave", "double"]
    assert leaf_bytes(gradient) == leaf_bytes(pn.grad(composition)(x))
    with pytest.raises(DtypeError, match="argument 1"):
        pn.grad(pipe, argnums=1)(x, np.sum)


def test_a_rule_may_know_arguments_that_a_call_leaves_to_their_defaults() -> None:
    """A pullback of (x, y=None) returns two cotangents; a call with one argument gets one."""
    f = with_rule(lambda x, y=None: (2 * x, lambda g: (2 * g, None)))(lambda x, y=None: 2 * x)
    assert pn.vjp(f, 3.0)[1](1.0) == (2.0,)
    assert pn.grad(compose_left(f, f))(3.0) == 4.0
    assert pn.grad(juxt_sum(f, f))(3.0) == 4.0
    pn.check_grads(f, (3.0,))


def juxt_sum(*functions: Any) -> Any:
    return compose_left(juxt(*functions), sum)


def test_deferred_cotangents_are_computed_before_anyone_sees_them() -> None:
    """grad, vjp and jacobian return arrays, and nobody computes a deferred cotangent that is not wanted."""
    forced: list[str] = []

    def rule(x: Any, y: Any) -> Any:
        def part(name: str, value: Any) -> Deferred:
            return Deferred(lambda: forced.append(name) or Deferred(lambda: value))

        return np.sum(x * y), lambda g: (part("x", g * y), part("y", g * x))

    f = with_rule(rule)(lambda x, y: np.sum(x * y))
    x, y = np.ones(2), np.full(2, 3.0)
    assert_close(pn.grad(f)(x, y), y)
    assert forced == ["x"]
    assert_close(pn.vjp(f, x, y)[1](1.0), (y, x))
    assert_close(pn.jacobian(f, argnums=(0, 1))(x, y), (y, x))
    assert_close(pn.grad(compose_left(partial(f, x), lambda s: s * s))(y), 2 * 6.0 * x)
    assert_close(pn.grad(lambda y: pn.custom_vjp(f, rule)(x, y))(y), x)


def halved_rule(x: Any, t: Any) -> Any:
    """The true value of x * t[0] + t[1], with half of the true derivative."""
    return x * t[0] + t[1], lambda g: (g * t[0] / 2, (np.sum(g * x) / 2, np.sum(g) / 2))


@pytest.mark.parametrize("derivative", [pn.grad, lambda f: pn.jacobian(f, mode="forward"), pn.jacobian])
def test_custom_vjp_states_the_derivative_in_both_modes(derivative: Any) -> None:
    """Forward mode is the transpose of the stated pullback; called plainly the function itself runs."""
    halved = pn.custom_vjp(lambda x, t: x * t[0] + t[1], halved_rule)
    x, t = draw("x", 3), (2.0, 5.0)
    assert_close(halved(x, t), x * 2 + 5)
    assert_close(derivative(lambda x: np.sum(halved(x, t)))(x), np.full(3, 1.0))
    assert_close(derivative(lambda t: np.sum(halved(x, t)))(t), (np.sum(x) / 2, 1.5))
    assert_close(derivative(lambda x: np.sum(halved(x, (x[0], 1.0)) ** 2))(x)[1:], (x * x[0] + 1)[1:] * x[0])


def test_custom_vjp_to_second_order_differentiates_its_pullback() -> None:
    """The derivative of a stated derivative, in every mixture of modes, and through partial constants and None."""
    halved = pn.custom_vjp(lambda x: x**3, lambda x: (x**3, lambda g: (g * x**2,)))
    for outer, inner in product(DERIVATIVES, repeat=2):
        assert outer(inner(halved))(3.0) == 6.0
    by_none = pn.custom_vjp(lambda x, n: x**n, lambda x, n: (x**n, lambda g: (g * n * x ** (n - 1), None)))
    for derivative in DERIVATIVES:
        assert derivative(lambda x: by_none(x, 3))(2.0) == 12.0
        assert derivative(lambda n: by_none(2.0, n))(3.0) == 0.0
    several = pn.custom_vjp(lambda x: (x, 2 * x, 7), lambda x: ((x, 2 * x, 7), lambda g: (g[0] + 2 * g[1],)))
    for derivative in DERIVATIVES:
        assert derivative(lambda x: several(x)[1] * several(x)[0])(3.0) == 12.0
        assert derivative(lambda x: several(x)[0] * several(x)[2])(3.0) == 7.0


@pytest.mark.parametrize(
    ("pullback", "error", "message"),
    [
        (lambda g: g, StructureError, "pullback of custom.*: expected a tuple of 2 cotangents.*got ndarray"),
        (lambda g: (g,), StructureError, "expected a tuple of 2 cotangents.*got 1 values"),
        (lambda g: (g, g), StructureError, "argument 1: the trees differ: the first has tuple of 2"),
        (lambda g: (g, (1.0, g)), ShapeError, r"argument 1\[1\]: expected a cotangent of shape \(\), got \(3,\)"),
    ],
)
def test_custom_vjp_refuses_a_pullback_of_the_wrong_form(pullback: Any, error: type[Exception], message: str) -> None:
    """The error names the function, the argument and the path, in both modes."""

    def custom(x: Any, t: Any) -> Any:
        return x * t[0]

    f = pn.custom_vjp(custom, lambda x, t: (x * t[0], pullback))
    x, t = np.ones(3), (2.0, 5.0)
    with pytest.raises(error, match=message):
        pn.vjp(f, x, t)[1](np.ones(3))
    with pytest.raises(error, match=message.replace("got ndarray", "got Traced")):
        pn.jvp(f, (x, t), (x, t))
    with pytest.raises(DifferentiationError, match=r"custom_vjp\.rule: expected a function"):
        pn.custom_vjp(custom, 3)
    for returned in (x, (x, x), (x, pullback, x)):
        f = pn.custom_vjp(custom, lambda x, t, returned=returned: returned)
        for differentiate in (lambda f=f: pn.vjp(f, x, t), lambda f=f: pn.vjp(lambda *args: f(*args), x, t)):
            with pytest.raises(
                StructureError, match=r"^rule of custom.*: expected the rule to return \(value, pullback"
            ):
                differentiate()


def test_custom_vjp_refuses_what_it_cannot_see() -> None:
    """A traced value that reaches the rule by keyword or through a closure would count as constant: it raises."""
    f = pn.custom_vjp(lambda x, y: x * y, lambda x, y: (x * y, lambda g: (g * y, g * x)))
    for derivative in DERIVATIVES:
        with pytest.raises(DifferentiationError, match="by position"):
            derivative(lambda x: f(x, y=x))(2.0)
        with pytest.raises(DifferentiationError, match="not among its arguments"):
            derivative(lambda x: pn.custom_vjp(np.sin, lambda y: (y * x, lambda g: (g,)))(x))(2.0)


def test_stop_gradient_makes_a_constant_in_every_mode() -> None:
    """It returns the same tree, whose leaves have no derivative."""
    assert pn.stop_gradient({"a": (1.0, None)}) == {"a": (1.0, None)}
    for d in DERIVATIVES:
        assert d(lambda x: x * pn.stop_gradient(x))(3.0) == 3.0
        assert d(d(lambda x: x**2 * pn.stop_gradient(x)))(3.0) == 6.0
        assert d(lambda x, d=d: x * d(lambda y: y * pn.stop_gradient(x))(x))(3.0) == 3.0


# What goes wrong.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: pn.grad(f)(np.arange(3)), DtypeError, "^argument 0: expected floating-point.*array of int"),
        (lambda f: pn.grad(f)(3), DtypeError, "argument 0: expected floating-point.*int 3"),
        (lambda f: pn.grad(f)({"a": [1.0, np.ones(2, bool)]}), DtypeError, r'argument 0\["a"\]\[1\]: .*array of bool'),
        (lambda f: pn.vjp(f, 1.0, (2.0, "name")), DtypeError, r"argument 1\[1\]: .*str 'name'"),
        (lambda f: pn.vjp(f, np.ones(2) + 1j), DtypeError, "argument 0: .*array of complex128"),
        (lambda f: pn.jvp(f, (1,), (1.0,)), DtypeError, "argument 0: .*int 1"),
        (lambda f: pn.jacobian(f)(np.arange(2)), DtypeError, "argument 0"),
        (lambda f: pn.jacobian(lambda x: (x, x > 0))(1.0), DtypeError, r"^\[1\]: .*return floating.*array of bool"),
        (lambda f: pn.jacobian(f, mode="sideways"), ArgumentError, 'mode: expected "reverse" or "forward"'),
        (lambda f: pn.jvp(f, 1.0, 1.0), DtypeError, r"primals: expected a tuple.*write \(x,\)"),
        (lambda f: pn.jvp(f, (1.0,), ()), ArgumentError, "tangents: expected 1 tangents.*got 0"),
        (lambda f: pn.jvp(f, ((1.0, 2.0),), ((1.0,),)), StructureError, "tangent 0: .*tuple of 2.*got tuple of 1"),
        (lambda f: pn.jvp(f, (NET,), (tree.at(NET, "layers", None),)), StructureError, r"tangent 0\.layers: .*None"),
        (lambda f: pn.jvp(f, ([np.ones(2)],), ([np.ones(3)],)), ShapeError, r"tangent 0\[0\]: .*\(2,\), got \(3,\)"),
        (lambda f: pn.jvp(f, (np.ones(2),), (np.ones(2, "f4"),)), DtypeError, "tangent 0: .*64.*got float32.*asarray"),
        (lambda f: pn.vjp(lambda x: (x, x), np.ones(2))[1](np.ones(2)), StructureError, "tuple of 2"),
        (lambda f: pn.vjp(lambda x: [x], np.ones(2))[1]([np.ones(3)]), ShapeError, r"\[0\]: .*\(2,\), got \(3,\)"),
        (lambda f: pn.grad(lambda x: x)(np.ones(2)), ShapeError, r"scalar.*\(2,\).*np\.sum or np\.mean.*pn\.jacobian"),
        (lambda f: pn.grad(lambda x: (x, x))(1.0), ShapeError, "return a scalar.*tuple"),
        (lambda f: pn.grad(lambda x: None)(1.0), ShapeError, "return a scalar.*None"),
        (lambda f: pn.grad(lambda x: x > 0)(1.0), DtypeError, "floating-point scalar"),
    ],
)
def test_arguments_and_results_of_the_wrong_form_are_refused(call: Any, error: type[Exception], message: str) -> None:
    """The error names the place as a tree path, what was expected, what came, and where it helps the fix."""
    with pytest.raises(error, match=f"(?s){message}"):
        call(lambda *args: np.sum(args[0]))


def _assign(x: Any) -> Any:
    x[0] = 1.0
    return x


def _add_in_place(x: Any) -> Any:
    x += 1.0
    return x


def _write_into(array: Any) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        array[:] = x
        return np.sum(x)

    return f


REFUSED = [
    (lambda x: float(np.sum(x)), r"float\(\).*cannot be differentiated; .*final result"),
    (lambda x: x[0].item(), r"\.item\(\)"),
    (lambda x: [1, 2][x[0]], r"int\(\)"),
    (_assign, "assignment to elements.*np.where"),
    (_add_in_place, r"in-place operator \+=.*write x = x \+ y"),
    (lambda x: np.array([x[0], x[1]]), "np.array.*np.stack"),
    (lambda x: np.asarray(x), "np.asarray.*np.stack"),
    (_write_into(np.zeros(2)), "assignment into an array.*np.where"),
    (lambda x: np.exp(x, out=np.zeros(2)), "out=.*write y = f"),
    (lambda x: np.sum(x, out=np.zeros(())), "out=.*write y = f"),
    (lambda x: np.add(np.zeros(2), 1.0, out=np.zeros(2)) + x.sum(out=np.zeros(())), "out=.*write y = f"),
    (lambda x: np.zeros(2).__iadd__(x), "in-place operator"),
]


@pytest.mark.parametrize(("f", "message"), REFUSED)
def test_what_cannot_be_differentiated_says_what_to_write_instead(f: Any, message: str) -> None:
    """Conversions, assignments and out= raise inside a trace of either mode."""
    x = np.array([0.5, 1.5])
    for transform in (lambda: pn.vjp(f, x), lambda: pn.jvp(f, (x,), (x,))):
        with pytest.raises(DifferentiationError, match=f"(?s){message}"):
            transform()


def test_assignment_to_an_element_of_a_plain_array_raises() -> None:
    """NumPy puts an error of its own before ours."""

    def f(x: Any) -> Any:
        buffer = np.zeros(2)
        buffer[0] = x[0]
        return np.sum(buffer)

    with pytest.raises((ValueError, TypeError)) as caught:
        pn.grad(f)(np.ones(2))
    assert isinstance(caught.value.__cause__ or caught.value, DifferentiationError)


def test_a_function_without_a_rule_is_named_with_the_lines_that_give_it_one() -> None:
    """Nothing is silently a constant."""
    for transform in (lambda f: pn.grad(f)(1.0), lambda f: pn.jvp(f, (1.0,), (1.0,))):
        with pytest.raises(MissingRuleError, match=r"(?s)np\.frexp has no derivative rule.*pn\.custom_vjp\(np\.frexp"):
            transform(lambda x: np.frexp(x)[0])


def test_an_exception_in_the_function_leaves_nothing_behind() -> None:
    """It comes through as it is, later calls work, and the trace is gone."""
    kept: list[Any] = []

    def fails(x: Any) -> Any:
        kept.append(np.sin(x))
        raise KeyError("mine")

    for transform in (lambda: pn.grad(fails)(1.0), lambda: pn.jvp(fails, (1.0,), (1.0,))):
        with pytest.raises(KeyError, match="mine"):
            transform()
        with pytest.raises(DifferentiationError, match="after the function that it belongs to had returned"):
            kept[-1] * 2.0
        assert pn.grad(lambda x: x * x)(3.0) == 6.0
        assert pn.jvp(lambda x: x * x, (3.0,), (1.0,)) == (9.0, 6.0)


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_a_traced_value_that_is_smuggled_out_raises_when_it_is_used(derivative: Any) -> None:
    """It shows its value, and refuses arithmetic by itself or in a later trace."""
    kept: list[Any] = []
    derivative(lambda x: kept.append(x) or x * x)(3.0)
    assert "3.0" in repr(kept[0])
    message = "after the function that it belongs to had returned.*has_aux"
    for use in (lambda: kept[0] + 1.0, lambda: np.sin(kept[0]), lambda: pn.grad(lambda x: x * kept[0])(1.0) + kept[0]):
        with pytest.raises(DifferentiationError, match=message):
            use()


# Size and concurrency.


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_depth_needs_no_recursion(derivative: Any) -> None:
    """A chain of 100,000 operations, one on the result of the other."""

    def chain(x: Any) -> Any:
        for _ in range(50_000):
            x = x * 1.00001 - 0.0
        return x

    np.testing.assert_allclose(derivative(chain)(2.0), 1.00001**50_000, rtol=1e-9)


def test_threads_do_not_meet() -> None:
    """Eight threads that differentiate at once, nested and in both modes, give the bits of one."""

    def work(seed: int) -> list[Any]:
        x = X * (1 + seed)
        direction = tree.map(np.cos, NET)
        return [
            leaf_bytes(
                (
                    pn.grad(loss)(NET, x, Y),
                    pn.hvp(loss, (NET, x, Y), (direction, None, None)),
                    pn.grad(lambda a: a * pn.jvp(lambda b: np.sin(a * b), (a,), (1.0,))[1])(0.1 * seed),
                )
            )
            for _ in range(5)
        ]

    alone = [work(seed) for seed in range(8)]
    together: list[Any] = [None] * 8
    barrier = threading.Barrier(8)

    def run(seed: int) -> None:
        barrier.wait()
        together[seed] = work(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_a_trace_keeps_little_more_than_the_arrays_it_must() -> None:
    """A chain of 50 tanh layers needs the output of each; 1.5 times that is allowed, and it goes with the pullback."""
    x, weight, depth = np.full((256, 64), 0.1), np.eye(64) * 1.1, 50

    def chain(x: Any, weight: Any) -> Any:
        for _ in range(depth):
            x = np.tanh(x @ weight + 0.01)
        return np.sum(x)

    pn.vjp(chain, x, weight)
    gc.collect()
    tracemalloc.start()
    try:
        _, pullback = pn.vjp(chain, x, weight)
        kept, peak = tracemalloc.get_traced_memory()
        pullback(1.0)
        _, peak_back = tracemalloc.get_traced_memory()
        del pullback
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    must = depth * x.nbytes
    assert kept < 1.5 * must
    assert peak < 1.5 * must
    assert peak_back < 1.5 * must
    assert left < 0.05 * must
