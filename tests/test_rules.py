"""Every derivative rule obeys the laws of derivatives, on every row of one table."""

from __future__ import annotations

import re
import textwrap
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from case_makers import Case
from coverage_page import PAGE, kinds, kinds_on, page, public_functions
from rule_cases import CASES

import purenet as pn
from purenet import tree
from purenet.errors import DifferentiationError, MissingRuleError
from purenet.transforms import tracer
from purenet.transforms.forward import jvp
from purenet.transforms.reverse import grad, vjp
from purenet.transforms.rule import Elementwise, Primitive, Rule, ZeroDerivative, constant
from purenet.transforms.rules import RULES, picking

STEP = 2e-3


def labelled(cases: Sequence[Case]) -> Any:
    """The rows of a table, for `parametrize`."""
    return pytest.mark.parametrize("case", cases, ids=[case.label for case in cases])


def directions(like: Any, seed: int = 0) -> Any:
    """Random numbers in the form of a tree of arrays."""
    random = np.random.RandomState(seed)
    return tree.map(lambda leaf: np.asarray(random.standard_normal(np.shape(leaf)), dtype=leaf.dtype)[()], like)


def inner(a: Any, b: Any) -> Any:
    """The sum of products of all leaves of two trees."""
    return sum([np.sum(x * y) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True)])


def slope(f: Callable[..., Any], args: Sequence[Any], along: Sequence[Any]) -> float:
    """The derivative of a scalar function along a direction, by central differences of the sixth order."""

    def at(multiple: int) -> Any:
        return f(*[x + multiple * STEP * t for x, t in zip(args, along, strict=True)])

    first, second, third = (at(k) - at(-k) for k in (1, 2, 3))
    return float((45 * first - 9 * second + third) / (60 * STEP))


def pulled(f: Callable[..., Any], args: Sequence[Any], cotangent: Any, along: Sequence[Any]) -> Any:
    """The inner product of a pullback's result with a direction."""
    return inner(vjp(f, *args)[1](cotangent), tuple(along))


def close(got: Any, want: Any, tolerance: float, scale: float = 1.0) -> None:
    assert abs(got - want) <= tolerance * max(abs(want), scale), f"got {got}, expected {want}"


def check_first_order(f: Callable[..., Any], args: Sequence[Any], tolerance: float = 1e-8) -> None:
    """Both modes against finite differences and against each other."""
    value, pullback = vjp(f, *args)
    along, cotangent = directions(list(args), 1), directions(value, 2)
    want = slope(lambda *xs: inner(f(*xs), cotangent), args, along)
    cotangents = pullback(cotangent)
    for ct, x in zip(cotangents, args, strict=True):
        assert np.shape(ct) == np.shape(x)
        assert ct.dtype == x.dtype
    backwards = inner(cotangents, tuple(along))
    close(backwards, want, tolerance)
    pushed_value, tangent = jvp(f, tuple(args), tuple(along))
    assert tree.same_structure(pushed_value, value)
    close(inner(tangent, cotangent), backwards, 1e-12, scale=_size(tangent, cotangent))


def _size(a: Any, b: Any) -> float:
    return float(sum([np.sum(np.abs(x * y)) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True)])) + 1


def check_second_order(f: Callable[..., Any], args: Sequence[Any], tolerance: float = 1e-7) -> None:
    """Reverse over reverse, forward over reverse and reverse over forward against differences of the first order."""
    value = f(*args)
    along, other, cotangent = directions(list(args), 1), directions(list(args), 3), directions(value, 2)

    def first(*xs: Any) -> Any:
        return pulled(f, xs, cotangent, along)

    def first_forward(*xs: Any) -> Any:
        return inner(jvp(f, xs, tuple(along))[1], cotangent)

    want = slope(first, args, other)
    one = np.float64(1)
    reverse_reverse = inner(vjp(first, *args)[1](one), tuple(other))
    reverse_forward = inner(vjp(first_forward, *args)[1](one), tuple(other))
    _, forward_reverse = jvp(first, tuple(args), tuple(other))
    for got in (reverse_reverse, reverse_forward, forward_reverse):
        close(got, want, tolerance)


def check_value(case: Case) -> None:
    """A traced call returns what NumPy returns: to 1e-15, and in the same form."""
    args = case.arguments()
    before = [x.tobytes() for x in args]
    want, got = case.function(*args), vjp(case.function, *args)[0]
    assert type(got) is type(want) or (np.ndim(got) == 0 and np.ndim(want) == 0)
    assert tree.same_structure(got, want)
    for a, b in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert np.shape(a) == np.shape(b)
        assert a.dtype == b.dtype
        assert np.max(np.abs(a - b), initial=0) <= 1e-15 * np.max(np.abs(b), initial=0)
    assert [x.tobytes() for x in args] == before


def check_one_at_a_time(case: Case) -> None:
    """An argument's cotangent does not depend on whether the other arguments are differentiated."""
    args = case.arguments() if case.alone else case.arguments()[:0]
    value, pullback = vjp(case.function, *case.arguments())
    cotangent = directions(value, 2)
    for i, together in enumerate(pullback(cotangent)[: len(args)]):
        alone = vjp(lambda x, i=i: case.function(*args[:i], x, *args[i + 1 :]), args[i])[1](cotangent)[0]
        assert np.array_equal(alone, together)


def check_single_precision(case: Case) -> None:
    """float32 in, float32 out: what NumPy returns, and cotangents and tangents near those of float64."""
    args = case.arguments(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = case.function(*args)
    value, pullback = vjp(case.function, *args)
    assert [x.dtype for x in tree.leaves(value)] == [x.dtype for x in tree.leaves(want)]
    exact_value, exact_pullback = vjp(case.function, *[x.astype(np.float64) for x in args])
    cotangent = directions(exact_value, 2)
    cotangents = pullback(tree.map(lambda ct, v: ct.astype(v.dtype), cotangent, value))
    for ct, exact, x in zip(cotangents, exact_pullback(cotangent), args, strict=True):
        assert ct.dtype == np.float32
        assert ct.shape == x.shape
        assert np.max(np.abs(ct - exact), initial=0) <= 2e-3 * (1 + np.max(np.abs(exact), initial=0))
    along = directions(args, 1)
    _, tangent = jvp(case.function, tuple(args), tuple(along))
    assert [x.dtype for x in tree.leaves(tangent)] == [x.dtype for x in tree.leaves(value)]


@labelled(CASES)
def test_a_rule_obeys_the_laws(case: Case) -> None:
    """Value, first and second order in both modes, one argument at a time, and single precision."""
    check_value(case)
    check_first_order(case.function, case.arguments())
    check_second_order(case.function, case.arguments())
    check_one_at_a_time(case)
    check_single_precision(case)


@pytest.mark.longer
@labelled(CASES)
def test_every_entry_of_the_jacobian(case: Case) -> None:
    """Each element of the result by each element of the arguments, in both modes."""
    args = case.arguments()
    value, pullback = vjp(case.function, *args)
    units = [_unit(args, i, j) for i, x in enumerate(args) for j in range(np.size(x))]
    columns = [jvp(case.function, tuple(args), tuple(along))[1] for along in units]
    outputs = tree.leaves(value)
    for i, out in enumerate(outputs):
        for j in range(np.size(out)):
            unflatten = tree.flatten(value)[1]
            cotangent = unflatten(_unit(outputs, i, j))
            cotangents = pullback(cotangent)
            for along, column in zip(units, columns, strict=True):
                want = slope(lambda *xs, c=cotangent: inner(case.function(*xs), c), args, along)
                close(inner(cotangents, tuple(along)), want, 1e-8)
                close(inner(column, cotangent), want, 1e-8)


def _unit(like: list[Any], i: int, j: int) -> list[Any]:
    """Zeros in the form of some arrays, but for a 1."""
    zeros = [np.zeros(np.shape(x), x.dtype) for x in like]
    zeros[i].flat[j] = 1
    return [x[()] for x in zeros]


def test_every_rule_has_a_row() -> None:
    """Each NumPy function with a rule begins the label of some row, under one of its names."""
    tested = {case.label.split()[0] for case in CASES}
    names: dict[Any, list[str]] = {}
    for name, function in public_functions():
        if function in RULES and not isinstance(RULES[function], ZeroDerivative):
            names.setdefault(function, []).append(name)
    assert [aliases for aliases in names.values() if tested.isdisjoint(aliases)] == []


# The checks themselves.


def _with_rule(monkeypatch: pytest.MonkeyPatch, function: Any, rule: Rule) -> None:
    monkeypatch.setattr(tracer, "RULES", {**RULES, function: rule})


@pytest.mark.parametrize(
    "rule",
    [
        Elementwise(lambda out, x: lambda t: t * (2.001 * x)),
        Elementwise(lambda out, x: lambda t: -t * (2 * x)),
        Primitive(lambda out, x: lambda g: g * (2 * x), forward=(lambda out, x: lambda t: t * (2.001 * x),)),
        Primitive(lambda out, x: lambda g: g * (2.001 * x), forward=(lambda out, x: lambda t: t * (2 * x),)),
        Primitive(lambda out, x: lambda g: (g * (2 * x)).astype(np.float32)),
        Primitive(lambda out, x: lambda g: np.sum(g * (2 * x), axis=0)),
    ],
    ids=["factor", "sign", "forward alone", "reverse alone", "dtype", "shape"],
)
def test_the_checks_reject_a_wrong_rule(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is off by a thousandth, in one direction, or in form, does not pass."""
    _with_rule(monkeypatch, np.square, rule)
    with pytest.raises((AssertionError, ValueError)):
        check_first_order(np.square, [np.array([[1.0, 2.0], [3.0, -4.0]])])


def test_the_checks_reject_a_wrong_second_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that hides part of its derivative from differentiation is right to the first order only."""
    _with_rule(monkeypatch, np.square, Elementwise(lambda out, x: lambda t: t * (2 * constant(x))))
    check_first_order(np.square, [np.array([1.0, 2.0])])
    with pytest.raises(AssertionError):
        check_second_order(np.square, [np.array([1.0, 2.0])])


# Conventions where a function has no derivative, and places where formulas could fail.

HALF = float(np.float16(0.3))
_SPECIAL: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "abs at 0": (np.abs, 0.0, 0.0),
    "sign": (lambda x: np.sign(x) * x, 3.0, 1.0),
    "maximum at a tie": (lambda x: np.maximum(x, [1.0, 2.0, 3.0]), [1.0, 3.0, 0.0], [0.5, 1.0, 0.0]),
    "minimum at a tie": (lambda x: np.minimum(x, 1.0), [1.0, 0.0, 2.0], [0.5, 1.0, 0.0]),
    "maximum with itself": (lambda x: np.maximum(x, x), 1.5, 1.0),
    "maximum of infinity": (lambda x: np.maximum(x, 0), [np.inf, -np.inf], [1.0, 0.0]),
    "fmax beside NaN": (lambda x: np.fmax(x, np.nan), 1.0, 1.0),
    "fmin of NaN": (lambda x: np.fmin(x, 2.0), np.nan, 0.0),
    "max with ties": (np.max, [3.0, 1.0, 3.0], [0.5, 0.0, 0.5]),
    "min with ties": (np.min, [1.0, 1.0, 3.0, 1.0], [1 / 3, 1 / 3, 0.0, 1 / 3]),
    "clip at its bounds": (lambda x: np.clip(x, -1, 1), [-1.0, 1.0, 1.1, 0.0], [1.0, 1.0, 0.0, 1.0]),
    "hypot at 0": (lambda x: np.hypot(x, 0.0), 0.0, 0.0),
    "arctan2 at 0": (lambda x: np.arctan2(x, 0.0), 0.0, 0.0),
    "sinc at 0": (np.sinc, 0.0, 0.0),
    "norm at 0": (np.linalg.norm, [0.0, 0.0], [0.0, 0.0]),
    "matrix norm at 0": (lambda x: np.linalg.norm(x, axis=(0, 1)), [[0.0, 0.0]], [[0.0, 0.0]]),
    "3-norm at 0": (lambda x: np.linalg.norm(x, 3), [0.0, 0.0], [0.0, 0.0]),
    "std of equal numbers": (np.std, [2.0, 2.0], [0.0, 0.0]),
    "x**0 at 0": (lambda x: x**0, 0.0, 0.0),
    "x**0.0 of an array": (lambda x: x ** np.array([0.0, 1.0, 2.0]), [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
    "x**0 with unsigned exponents": (lambda x: x ** np.zeros(2, np.uint8), [1e2, 3.0], [0.0, 0.0]),
    "x to a float16": (lambda x: np.float_power(x, np.float16(0.3)), 16.0, HALF * 16.0 ** (HALF - 1)),
    "x in the exponent of a small integer": (lambda x: np.uint8(7) ** x, 2.0, 49 * np.log(7.0)),
    "0**x": (lambda x: 0.0**x, 2.0, 0.0),
    "0**x of an array": (lambda x: np.zeros(2) ** x, [2.0, 1.0], [0.0, 0.0]),
    "logaddexp of minus infinities": (lambda x: np.logaddexp(x, -np.inf), -np.inf, 0.5),
    "logaddexp beside minus infinity": (lambda x: np.logaddexp(x, -np.inf), 1.0, 1.0),
    "logaddexp2 of infinity": (lambda x: np.logaddexp2(x, [1.0, np.inf]), [np.inf, 1.0], [1.0, 0.0]),
    "tanh of large numbers": (np.tanh, [-1e4, 1e4], [0.0, 0.0]),
    "arctan2 of large numbers": (lambda x: np.arctan2(x, 3e200), 4e200, 0.12e-200),
    "arcsinh of large numbers": (np.arcsinh, 1e200, 1e-200),
    "prod with one zero": (np.prod, [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    "prod with two zeros": (np.prod, [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]),
    "prod of nothing": (lambda x: np.prod(x, axis=0), np.zeros((0, 2)), np.zeros((0, 2))),
    "sum of nothing": (np.sum, np.zeros((2, 0)), np.zeros((2, 0))),
    "where beside NaN": (lambda x: np.where(x > 0, x, np.nan_to_num(np.nan)), [1.0, -1.0], [1.0, 0.0]),
    "det of zeros": (np.linalg.det, np.zeros((3, 3)), np.zeros((3, 3))),
    "det of rank 2": (np.linalg.det, np.diag([1.0, 2.0, 0.0]), np.diag([0.0, 0.0, 2.0])),
    "eigenvalues that are equal": (lambda x: np.sum(np.linalg.eigh(x)[0]), np.eye(2), np.eye(2)),
    "singular values that are equal": (lambda x: np.sum(np.linalg.svd(x)[1]), np.eye(2), np.eye(2)),
    "sort with ties": (lambda x: np.sort(x) * [1.0, 2.0, 3.0], [1.0, 0.0, 1.0], [2.0, 1.0, 3.0]),
    "interp at a kink": (lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 1.0, 3.0]), [1.0, -1.0, 5.0], [2.0, 0.0, 0.0]),
    "floor": (lambda x: np.floor(x) + x, 1.5, 1.0),
    "item picked twice": (lambda x: x[[0, 0, 1]], [1.0, 2.0], [2.0, 1.0]),
    "unused elements": (lambda x: x[:1], [1.0, 2.0], [1.0, 0.0]),
}


@pytest.mark.parametrize("name", _SPECIAL)
def test_special_points(name: str) -> None:
    """The documented derivative, or the true one, without a warning; and forward mode agrees."""
    f, x, want = _SPECIAL[name]
    x = np.array(x)[()]
    value, pullback = vjp(f, x)
    ones = tree.map(np.ones_like, value)
    got = pullback(ones)[0]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)
    along = directions(x)
    _, tangent = jvp(f, (x,), (along,))
    np.testing.assert_allclose(inner(tangent, ones), inner(got, along), rtol=1e-10, atol=1e-12)


def test_infinite_slope_is_infinite() -> None:
    """`sqrt` at 0 has the derivative that it has, with NumPy's warning."""
    with np.errstate(divide="ignore"):
        assert vjp(np.sqrt, 0.0)[1](np.float64(1))[0] == np.inf


def test_third_derivative_of_sinc_and_prod() -> None:
    """Rules whose formulas branch at 0 stay right in derivatives of any order there."""
    third = grad(grad(grad(np.sinc)))
    assert abs(third(0.0)) < 1e-12
    assert abs(grad(third)(0.0) - np.pi**4 / 5) < 1e-9
    mixed = grad(lambda x: grad(lambda x: grad(np.prod)(x)[0])(x)[1])(np.zeros(3))
    assert np.array_equal(mixed, [0.0, 0.0, 1.0])


# What has no rule, or cannot be differentiated, says so.

_REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "initial by position": (lambda x: np.sum(x, None, None, None, False, x[0, 0]), "argument 5 has no derivative when"),
    "no rule": (np.linalg.eigvals, r"np\.linalg\.eigvals has no derivative rule.*pn\.custom_vjp\(np\.linalg\.eigvals"),
    "fft": (np.fft.fft, r"np\.fft\.fft has no derivative rule"),
    "lstsq": (lambda x: np.linalg.lstsq(x, x, rcond=None), r"np\.linalg\.lstsq has no derivative rule"),
    "percentile": (lambda x: np.percentile(x, 3), r"np\.percentile has no derivative rule"),
    "at": (lambda x: np.add.at(x, 0, 1.0), r"np\.add\.at has no derivative rule"),
    "reduceat": (lambda x: np.add.reduceat(x, [0, 1]), r"np\.add\.reduceat has no derivative rule"),
    "reduce": (np.hypot.reduce, r"np\.hypot\.reduce has no derivative rule"),
    "out": (lambda x: np.exp(x, out=np.zeros((2, 2))), r"np\.exp with out=.*write y = f\(x\)"),
    "out of a function": (lambda x: np.sum(x, out=np.zeros(())), r"np\.sum with out="),
    "out of a method": (lambda x: x.sum(out=np.zeros(())), r"np\.sum with out="),
    "where of a ufunc": (lambda x: np.exp(x, where=x > 0), r"np\.exp with where=.*np\.where"),
    "in place": (lambda x: exec("x += 1", {"x": x}), r"in-place operator \+=.*x = x \+ y"),
    "in place on an array": (lambda x: exec("y *= x", {"x": x, "y": np.ones((2, 2))}), r"in-place operator"),
    "assignment": (lambda x: exec("x[0] = 1", {"x": x}), r"assignment to elements.*np\.where"),
    "sort in place": (lambda x: x.sort(), r"np\.sort\(x\)"),
    "fill": (lambda x: x.fill(0), r"works in place"),
    "float": (lambda x: float(x[0, 0]), r"float\(\)"),
    "item": (lambda x: x[0, 0].item(), r"item\(\)"),
    "array": (lambda x: np.array([x, x]), r"np\.stack"),
    "complex": (lambda x: x + 1j, r"complex128.*real floating-point"),
    "complex product": (lambda x: np.matmul(x, 1j * np.eye(2)), r"complex128"),
    "integers": (lambda x: np.sum(x, dtype=np.int64), r"int64"),
    "svd full": (lambda x: np.linalg.svd(x[:1]), r"full_matrices=False"),
    "svd hermitian": (lambda x: np.linalg.svd(x, hermitian=True), r"hermitian"),
    "qr wide": (lambda x: np.linalg.qr(x[:1]), r"fewer rows than columns"),
    "qr complete": (lambda x: np.linalg.qr(x[:, :1], "complete"), r"mode='reduced'"),
    "norm": (lambda x: np.linalg.norm(x, 3), r"ord=3"),
    "norm name": (lambda x: np.linalg.norm(x[0], "nuc"), r"norm of matrices"),
    "pad": (lambda x: np.pad(x, 1, "linear_ramp"), r"linear_ramp"),
    "pad traced": (lambda x: np.pad(x, 1, constant_values=x[0, 0]), r"constant_values"),
    "interp period": (lambda x: np.interp(x[0], x[0], x[0], period=x[0, 0]), r"period"),
    "traced keyword": (lambda x: np.mean(x, where=x), r"where= traced"),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_refusals_say_what_to_do(name: str) -> None:
    """Nothing is silently treated as constant: the error names the call, and the way out."""
    f, message = _REFUSED[name]
    with pytest.raises(DifferentiationError, match=re.compile(message, re.S)):
        vjp(f, np.array([[1.0, 2.0], [3.0, 4.5]]))


def test_a_function_without_a_rule_shows_lines_that_work() -> None:
    """The rule that the message shows, filled in, is a rule."""
    with pytest.raises(MissingRuleError) as caught:
        grad(lambda x: np.sum(np.i0(x)))(np.ones(2))
    lines = str(caught.value).split("\n\n")[1:3]
    program = "\n".join(textwrap.dedent(part) for part in lines).replace("cotangent * ...", "cotangent * 3")
    names: dict[str, Any] = {"np": np, "pn": pn}
    exec(program, names)
    assert np.array_equal(grad(lambda x: np.sum(names["my_i0"](x)))(np.ones(2)), [3.0, 3.0])


# Cost.


def test_picking_every_element_costs_as_much_as_the_array_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cotangents of single elements are added up at once, not each in an array of its own."""
    made: list[int] = []
    scatter = picking.scatter

    def counted(shape: Any, dtype: Any, indices: Any, *values: Any) -> Any:
        made.append(len(values))
        return scatter(shape, dtype, indices, *values)

    monkeypatch.setattr(picking, "scatter", counted)
    gradient = grad(lambda x: sum(x[i] * x[i - 1] for i in range(500)))(np.ones(500))
    assert np.array_equal(gradient, np.full(500, 2.0))
    assert made == [1000]


def test_a_tape_keeps_what_maps_need_and_no_more() -> None:
    """Sums, shapes and additions keep no array; a product keeps its factors."""
    x = np.ones((1000, 100))

    def kept(f: Callable[[Any], Any]) -> int:
        tracemalloc.start()
        try:
            result = vjp(f, x)
            return tracemalloc.get_traced_memory()[0] if result else 0
        finally:
            tracemalloc.stop()

    assert kept(lambda x: np.sum(np.reshape(x + 1 - 2.0, (100, -1)).T)) < 0.1 * x.nbytes
    assert kept(lambda x: np.mean(np.tanh(x + 1))) < 1.1 * x.nbytes
    assert kept(lambda x: np.sum(np.maximum(x + 1, 0) + 1)) < 0.3 * x.nbytes


# The page in docs.


def test_the_coverage_page_is_up_to_date() -> None:
    """It says what the rules do; under the NumPy that it was written with, to the letter."""
    text = PAGE.read_text(encoding="utf-8")
    written, true = kinds_on(text), kinds()
    assert {name: kind for name, kind in true.items() if written.get(name, kind) != kind} == {}
    if f"NumPy {np.__version__};" in text:
        assert text == page(), "run python tests/coverage_page.py"
        assert written == true
    assert len(written.keys() & true.keys()) > 250
