"""The gradient checker accepts right derivatives of any size, rejects wrong ones, and says where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from laws import assert_pure

import purenet as pn
from purenet.errors import ArgumentError, DtypeError, GradientError

BOTH = ("reverse", "forward")


@pn.struct
class Line:
    slope: pn.Array
    offset: pn.Array
    degree: int = pn.static(default=1)


def draw(name: str, shape: tuple[int, ...]) -> Any:
    return pn.random.normal(pn.fold_in(pn.key(7), name), shape)


def scaled_rule(f: Callable[..., Any], factor: Any) -> Any:
    """A function whose pullback is wrong by a factor."""

    def rule(*args: Any) -> tuple[Any, Callable[[Any], Any]]:
        value, pullback = pn.vjp(f, *args)
        return value, lambda g: tuple(pn.tree.map(lambda ct: ct * factor, ct) for ct in pullback(g))

    return pn.custom_vjp(f, rule)


RIGHT = {
    "scalar": (lambda x: x**3, (2.0,)),
    "line": (
        lambda line, x: np.tanh(x @ line.slope + line.offset),
        (Line(draw("w", (3, 2)), draw("b", (2,))), np.eye(3)),
    ),
    "dict": (
        lambda p: {"y": p["a"][0] * np.sin(p["b"]), "z": p["a"][1]},
        ({"a": (2.0, np.ones(2)), "b": draw("x", (2,))},),
    ),
    "no leaves beside": (lambda x, nothing: x * x, (draw("x", (3,)), None)),
    "integer constants": (lambda x, n: x ** n["power"], (np.array([1.5, 2.0]), {"power": np.array([2, 3])})),
    "strings": (lambda x, name: x * len(name), (np.array([1.5, 2.0]), "abc")),
    "large": (lambda x: np.sum(x * np.sin(x)), (draw("large", (40, 5)),)),
    "large result": (lambda x: x[:, None] * np.exp(x), (draw("wide", (12,)),)),
    "empty": (lambda x, y: np.sum(x) + y, (np.zeros((0, 3)), 2.0)),
    "zero derivative": (lambda x: 0 * x + 1e9, (draw("x", (3,)),)),
    "constant": (lambda x: np.ones(2), (draw("x", (3,)),)),
    "kinks elsewhere": (lambda x: np.abs(x) + np.maximum(x, 0.1), (np.array([1e-3, -1e-3, 0.099, 0.101, 5.0]),)),
    "domain": (lambda x: np.log(x) + np.sqrt(x), (np.array([1e-9, 1e-4, 1.0, 1e9]),)),
    "stop_gradient is linear where it is not": (lambda x: pn.stop_gradient(2.0) * x, (3.0,)),
}


@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_right_derivatives_pass_to_second_order(case: Any) -> None:
    """Plain arrays, records, containers, constants of any type, zero-size arrays, kinks and bounds that are near."""
    f, args = case
    pn.check_grads(f, args, order=2)


SCALES = [10.0**k for k in range(-8, 9, 2)]
SHAPES: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cubic": lambda u: u**3 - u,
    "exp": np.exp,
    "offset": lambda u: 1 + np.tanh(u),
}


@pytest.mark.parametrize("inner", SCALES)
@pytest.mark.parametrize("name", SHAPES)
def test_scales_from_1e_minus_8_to_1e8(name: str, inner: float) -> None:
    """A change of units of argument and result changes no verdict: right passes, wrong by 0.1 % is rejected."""
    f = SHAPES[name]
    for outer in SCALES:
        point = np.array([0.3, -0.7, 1.1]) / inner

        def scaled(x: Any, outer: float = outer) -> Any:
            return outer * f(inner * x)

        pn.check_grads(scaled, (point,), order=2)
        for mode in BOTH:
            with pytest.raises(GradientError, match=r"relative error of (9\.9|1\.0)e-0[34]"):
                pn.check_grads(scaled_rule(scaled, 1.001), (point,), modes=(mode,))


@pytest.mark.parametrize(("frequency", "step"), [(1e2, None), (1e5, None), (1e8, 1e-9)])
def test_arguments_much_larger_than_the_scale_of_the_function(frequency: float, step: float | None) -> None:
    """sin(frequency * x) at x = 1 is told from one that is wrong by 0.1 %; in the extreme with a smaller first step."""

    def fast(x: Any) -> Any:
        return np.sin(frequency * x)

    pn.check_grads(fast, (1.0,), step=step)
    with pytest.raises(GradientError):
        pn.check_grads(scaled_rule(fast, 1.001), (1.0,), step=step)


@pytest.mark.parametrize("factor", [1.001, 0.999, 0.0, -1.0, 1e200, np.nan])
@pytest.mark.parametrize("mode", BOTH)
def test_wrong_derivatives_are_rejected(factor: float, mode: str) -> None:
    """Wrong by 0.1 %, absent, of the wrong sign, huge and not a number, in either mode."""
    wrong = scaled_rule(lambda x: np.sin(x) * np.ones((2, 3)), factor)
    with pytest.raises(GradientError, match=f"{mode} mode"):
        pn.check_grads(wrong, (draw("x", (3,)),), modes=(mode,))


def test_float32_is_told_apart_by_a_tenth_of_a_percent_too() -> None:
    """Right float32 derivatives pass, and keep their dtype; wrong by 0.1 % are rejected."""
    x = draw("x", (5, 4)).astype(np.float32)
    w = draw("w", (4, 3)).astype(np.float32)

    def f(x: Any, w: Any) -> Any:
        return np.tanh(x @ w) * np.float32(3)

    pn.check_grads(f, (x, w), order=2)
    for mode in BOTH:
        with pytest.raises(GradientError):
            pn.check_grads(scaled_rule(f, np.float32(1.001)), (x, w), modes=(mode,))


@pytest.mark.parametrize("modes", [("reverse",), ("forward",), BOTH])
def test_the_error_names_leaf_element_numbers_order_and_mode(modes: tuple[str, ...]) -> None:
    """One wrong element of a leaf of a record in a list is found and named."""
    mask = np.ones((3, 4))
    mask[2, 1] = 1.01

    def f(net: Any) -> Any:
        return {"loss": np.sum(net[1].slope ** 2) + net[0]}

    def rule(net: Any) -> Any:
        return f(net), lambda g: ([g["loss"], Line(2 * net[1].slope * mask * g["loss"], np.zeros(4))],)

    net = [1.0, Line(np.full((3, 4), 0.5), np.zeros(4))]
    with pytest.raises(GradientError) as caught:
        pn.check_grads(pn.custom_vjp(f, rule), (net,), modes=modes)
    assert caught.value.path == "args[0][1].slope[2, 1]"
    expected = (
        f'the derivative of result["loss"] with respect to it is 1.01, in {modes[0]} mode, and 1 by finite '
        "differences: a relative error of 9.9e-03, where 1.0e-06 is allowed"
    )
    assert caught.value.problem == expected


def test_one_wrong_element_of_a_large_leaf_is_narrowed_down() -> None:
    """A leaf too large to check element by element is searched by halving."""
    mask = np.ones(500)
    mask[333] = 3.0
    f = pn.custom_vjp(lambda x: np.sum(np.sin(x)), lambda x: (np.sum(np.sin(x)), lambda g: (g * np.cos(x) * mask,)))
    with pytest.raises(GradientError, match=r"^args\[0\]\[333\]: ") as caught:
        pn.check_grads(f, (np.linspace(0.1, 1, 500),))
    assert "a relative error of 6.7e-01" in str(caught.value)


@pytest.mark.parametrize("modes", [("reverse",), ("forward",), BOTH])
def test_a_wrong_second_derivative_is_rejected_where_the_first_is_right(modes: tuple[str, ...]) -> None:
    """A pullback that is right in value but hides how it depends on its argument passes order 1 and fails order 2."""

    def rule(x: Any) -> Any:
        return np.sin(x), lambda g: (g * np.cos(pn.stop_gradient(x)),)

    f = pn.custom_vjp(np.sin, rule)
    x = np.array([0.4, 0.9])
    pn.check_grads(f, (x,), modes=modes)
    with pytest.raises(GradientError, match=rf"derivative of (gradient\[0\]|tangent).*{modes[0]} over .*order 2"):
        pn.check_grads(f, (x,), order=2, modes=modes)


def test_third_order() -> None:
    """Each order is checked through the one below it."""

    def bend(x: Any) -> Any:
        return x**2 * (x + 0 * pn.stop_gradient(x))

    pn.check_grads(lambda x: np.sin(x) * x**2, (np.array([0.4, 0.9]),), order=3)

    def rule(x: Any) -> Any:  # gradient and its derivative are right, the third is not
        return bend(x), lambda g: (g * (3 * x**2 + (x - pn.stop_gradient(x)) ** 2),)

    pn.check_grads(pn.custom_vjp(bend, rule), (0.5,), order=2, modes=("reverse",))
    with pytest.raises(GradientError, match="order 3"):
        pn.check_grads(pn.custom_vjp(bend, rule), (0.5,), order=3, modes=("reverse",))


def test_a_rule_that_changes_the_value_is_rejected() -> None:
    """A hand-derived rule must return what its function returns."""
    f = pn.custom_vjp(lambda x: x * x, lambda x: (x * x + 1e-3, lambda g: (2 * x * g,)))
    for mode in BOTH:
        with pytest.raises(GradientError, match="must return what its function returns"):
            pn.check_grads(f, (np.ones(2),), modes=(mode,))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ct: ct[None], "shape"),
        (lambda ct: (ct,), "differ"),
    ],
)
def test_a_gradient_of_another_form_is_rejected(spoil: Any, message: str) -> None:
    """A pullback returns a cotangent in the structure and shape of its argument."""
    f = pn.custom_vjp(lambda x: x * x, lambda x: (x * x, lambda g: (spoil(2 * x * g),)))
    with pytest.raises((GradientError, pn.errors.TreeError), match=message):
        pn.check_grads(f, (np.ones(2),))


def test_a_pullback_that_spoils_itself_is_rejected() -> None:
    """A pullback that works in place on what it keeps is right only once."""
    from purenet.transforms.linearise import with_rule

    def rule(x: Any) -> Any:
        kept = np.cos(x)

        def pullback(g: Any) -> tuple[Any]:
            kept.__imul__(g)
            return (kept.copy(),)

        return np.sin(x), pullback

    f = with_rule(rule)(lambda x: np.sin(x))
    with pytest.raises(GradientError):
        pn.check_grads(f, (np.array([0.3, 0.4]),), modes=("reverse",))


def test_what_is_not_differentiable_here_is_said() -> None:
    """A kink at the point itself, a value that is not finite, and a point at the edge of the domain raise."""
    slope_one_at_zero = pn.custom_vjp(np.abs, lambda x: (np.abs(x), lambda g: (g,)))
    with pytest.raises(GradientError):
        pn.check_grads(slope_one_at_zero, (0.0,))
    with np.errstate(all="ignore"), pytest.raises(GradientError, match="not finite"):
        pn.check_grads(lambda x: 1 / x, (np.zeros(2),))
    with pytest.raises(GradientError, match=r"^args\[0\]: there are no finite differences"):
        pn.check_grads(lambda x: np.sqrt(x) ** 3, (0.0,))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": 0}, ArgumentError, "order"),
        ({"order": 1.5}, ArgumentError, "order"),
        ({"modes": ("backward",)}, ArgumentError, "modes"),
        ({"modes": "reverse"}, ArgumentError, "modes"),
        ({"modes": ()}, ArgumentError, "modes"),
        ({"tolerance": -1.0}, ArgumentError, "tolerance"),
        ({"step": 0.0}, ArgumentError, "step"),
        ({"args": np.ones(2)}, DtypeError, r"write \(x,\)"),
        ({"args": (np.arange(2), None)}, DtypeError, "floating-point"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each names the option and what it may be."""
    args = options.pop("args", (1.0,))
    with pytest.raises(error, match=message):
        pn.check_grads(lambda x: x * 2, args, **options)


def test_checking_is_pure() -> None:
    """The checker returns None, and changes neither its arguments nor NumPy's state."""
    f, args = RIGHT["line"]
    assert assert_pure(pn.check_grads, f, args) is None
    wrong = scaled_rule(f, 1.001)
    messages = set()
    for _ in range(2):
        with pytest.raises(GradientError) as caught:
            pn.check_grads(wrong, args)
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.log(np.exp(x)) - x,
        lambda x: np.linalg.inv(x) @ x,
        lambda x: np.sin(x) ** 2 + np.cos(x) ** 2,
        lambda x: np.sum(pn.forward(pn.layer_norm(3), x), axis=-1),
    ],
)
def test_derivatives_that_cancel_to_zero_are_accepted(f: Any) -> None:
    """What is left of terms that cancel is rounding, on both sides of the comparison."""
    for seed in range(5):
        pn.check_grads(f, (np.random.RandomState(seed).randn(3, 3) + 2 * np.eye(3),))
