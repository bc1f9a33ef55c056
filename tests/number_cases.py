"""Rows about elementwise functions, operators and reductions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from case_makers import (
    Case,
    Maker,
    above_one,
    distinct,
    dividend,
    divisor,
    exactly,
    increasing,
    inside,
    newer,
    positive,
    real,
    scalar,
)

from purenet.arithmetic import native

MASK = np.array([[True, False, True], [True, True, False]])


def _unary() -> Iterator[Case]:
    """Elementwise functions of one argument, on a matrix and on a scalar."""
    domains: dict[Callable[..., Maker], str] = {
        real: "negative positive exp exp2 expm1 sin cos sinh cosh tanh arctan arcsinh square sinc deg2rad rad2deg "
        "radians degrees conjugate real_if_close nan_to_num real",
        distinct: "absolute fabs reciprocal cbrt",
        positive: "sqrt log log2 log10 log1p",
        inside: "tan arcsin arccos arctanh",
        above_one: "arccosh",
    }
    for maker, names in domains.items():
        for name in names.split():
            function = getattr(np, name)
            yield Case(f"np.{name}", function, (maker(2, 3),))
            yield Case(f"np.{name} of a scalar", function, (maker(),))
    for name in ("relu", "sigmoid", "softplus", "erf", "softmax", "log_sum_exp"):
        yield Case(f"native.{name}", getattr(native, name), (distinct(2, 3),))


def _binary() -> Iterator[Case]:
    """Elementwise functions of two arguments: broadcast either way, with scalars, numbers and lists beside them."""
    domains: dict[Callable[..., Maker], str] = {
        real: "add subtract multiply logaddexp logaddexp2 hypot maximum minimum fmax fmin",
        distinct: "copysign arctan2",
        positive: "divide power float_power",
        dividend: "fmod remainder",
    }
    numbers = [1.5, 0.7, 2.5]
    for maker, names in domains.items():
        for name in names.split():
            f, other = getattr(np, name), divisor if maker is dividend else maker
            yield Case(f"np.{name}", f, (maker(2, 3), other(2, 3)))
            yield Case(f"np.{name} row", f, (maker(2, 3), other(3)))
            yield Case(f"np.{name} column", f, (maker(2, 1), other(4, 1, 3)))
            yield Case(f"np.{name} scalar", f, (maker(), other(2, 3)))
            yield Case(f"np.{name} empty", f, (maker(0, 3), other(3)))
            yield Case(f"np.{name} number on the right", lambda x, f=f: f(x, 1.25), (maker(2, 3),))
            yield Case(f"np.{name} number on the left", lambda x, f=f: f(1.25, x), (maker(2, 3),))
            yield Case(f"np.{name} list on the right", lambda x, f=f: f(x, numbers), (maker(2, 3),))
            yield Case(f"np.{name} list on the left", lambda x, f=f: f(numbers, x), (maker(2, 3),))
            yield Case(f"np.{name} outer", lambda x, y, f=f: f.outer(x, y), (maker(2), other(3)))
            yield Case(f"np.{name} of itself", lambda x, f=f: f(x * x + 2, x), (maker(3),))


def _operators() -> Iterator[Case]:
    one: dict[str, Callable[[Any], Any]] = {
        "-x": lambda x: -x, "+x": lambda x: +x, "abs(x)": abs, "x**2": lambda x: x**2, "x**3": lambda x: x**3,
        "x**0.5": lambda x: x**0.5, "x**-2": lambda x: x**-2, "x**0": lambda x: x**0, "x**1": lambda x: x**1,
        "2**x": lambda x: 2**x, "2.0-x": lambda x: 2.0 - x, "1/x": lambda x: 1 / x, "x%1": lambda x: (x + 2) % 2.2,
        "divmod(x, y)": lambda x: divmod(x + 2, 2.2), "x@list": lambda x: x @ [1.0, 2.0, 3.0], "modf": np.modf,
        "list@x": lambda x: [1.0, 2.0] @ x, "x*list": lambda x: x * [1.0, 2.0, 3.0],
        "list-x": lambda x: [1.0, 2.0, 3.0] - x,
        "x+int array": lambda x: x + np.arange(3), "x*float32": lambda x: x * np.float32(2), "x.T": lambda x: x.T,
        "for row in x": lambda x: [row * row for row in x], "x.flat": lambda x: np.stack(list(x.flat)),
        "len(x)": lambda x: x * len(x), "fmod negative": lambda x: np.fmod(-x - 2, 2.2), "mod by": lambda x: -0.3 % x,
    }  # fmt: skip
    for label, function in one.items():
        yield Case(f"operator {label}", function, (positive(2, 3),))
    methods = {
        "reshape": ((3, 2),), "transpose": ((1, 0),), "flatten": (), "ravel": (), "sum": (0,), "mean": (1,),
        "std": (1,), "var": (0,), "max": (0,), "min": (1,), "prod": (1,), "cumsum": (0,), "cumprod": (1,), "trace": (),
        "dot": ([1, 2, 3],), "clip": (-0.5, 0.5), "take": ([1, 0], 1), "repeat": (2, 0), "swapaxes": (0, 1),
        "squeeze": (), "diagonal": (),
        "round": (1,), "conj": (), "copy": (), "compress": ([True, False], 0), "astype": ("float64",),
    }  # fmt: skip
    for name, args in methods.items():
        yield Case(f"method {name}", lambda x, name=name, args=args: getattr(x, name)(*args), (distinct(2, 3),))
    yield Case("np.matmul operator", lambda x, y: x @ y, (real(2, 3), real(3, 2)))
    yield Case("operator ** both", lambda x, y: x**y, (positive(2, 3), real(3)))


_ELEMENTWISE = (
    Case("np.power with zero base", lambda x: x ** np.array([2.0, 3.0, 1.0]), (exactly(0.0, 0.0, 0.0),)),
    Case("np.power with negative base", lambda x: x ** np.array([2.0, -1.0, 3.0]), (exactly(-1.5, -2.0, -0.5),)),
    Case("np.power with exponent zero", lambda x, y: x ** (y * 0), (positive(3), real(3))),
    Case("np.sinc about 0", np.sinc, (exactly(0.0, 1e-9, -1e-3, 0.05, 0.49, 0.51, 1.0, -2.0),)),
    Case("np.logaddexp with minus infinity", lambda x: np.logaddexp(x, [-np.inf, 0.0]), (real(2),)),
    Case("np.clip", lambda x: np.clip(x, -0.5, 0.5), (distinct(2, 3),)),
    Case("np.clip traced limits", np.clip, (distinct(2, 3), scalar(-0.513), exactly(0.517, 0.333, 0.222))),
    Case("np.clip keywords", lambda x, low: np.clip(x, a_min=low, a_max=None), (distinct(2, 3), scalar(-0.51))),
    Case("np.clip above alone", lambda x, high: np.clip(x, None, high), (distinct(2, 3), scalar(0.333))),
    Case("np.clip of a constant", lambda low: np.clip([0.1, 0.9], low, 5), (exactly(0.5, 0.5),)),
    Case("np.where", lambda x, y: np.where(MASK, x, y), (real(2, 3), real(2, 3))),
    Case("np.where broadcast", lambda x, y: np.where(x > 0, x, y), (distinct(2, 3), real(2, 1))),
    Case("np.where numbers", lambda x: np.where(MASK, 0.0, np.where([True, False, True], x, 1)), (real(3),)),
    Case("np.ldexp", lambda x: np.ldexp(x, np.array([1, -2, 3])), (real(2, 3),)),
    Case("np.heaviside", lambda x, h: np.heaviside(np.array([-1.0, 0.0, 1.0]), h) * x, (real(3), real(3))),
    Case("np.divmod", lambda x, y: np.divmod(x, y), (dividend(2, 3), divisor(3))),
    Case("np.modf", np.modf, (distinct(3),)),
    Case(
        "np.nan_to_num of NaN",
        lambda x: np.nan_to_num(np.where(MASK, x, [np.nan, np.inf, -np.inf]), nan=2, posinf=1, neginf=0),
        (real(3),),
    ),
    Case("native.log_sum_exp pair", lambda x: native.log_sum_exp(x * 30), (real(4, 2),)),
)


def _reductions() -> Iterator[Case]:
    """Every reduction over every kind of axis."""
    everywhere = "sum mean prod max min var std ptp median nansum nanmean nanprod nanmax nanmin nanvar nanstd amax amin"
    for name in everywhere.split():
        f = getattr(np, name)
        shape = (2, 3, 2)
        yield Case(f"np.{name}", f, (distinct(2, 3),))
        if name not in ("std", "nanstd"):
            yield Case(f"np.{name} scalar", f, (distinct(),))
        yield Case(f"np.{name} axis", lambda x, f=f: f(x, axis=1), (distinct(*shape),))
        yield Case(f"np.{name} negative axis", lambda x, f=f: f(x, axis=-1), (distinct(*shape),))
        yield Case(f"np.{name} axes", lambda x, f=f: f(x, axis=(0, -1)), (distinct(*shape),))
        yield Case(f"np.{name} axes reversed", lambda x, f=f: f(x, axis=(2, 0)), (distinct(*shape),))
        yield Case(f"np.{name} first axes", lambda x, f=f: f(x, axis=(0, 1)), (distinct(*shape),))
        yield Case(f"np.{name} keepdims", lambda x, f=f: f(x, 1, keepdims=True), (distinct(*shape),))
        yield Case(f"np.{name} all, keepdims", lambda x, f=f: f(x, keepdims=True), (distinct(2, 3),))
        yield Case(f"np.{name} by keyword", lambda x, f=f: f(a=x, axis=0), (distinct(2, 3),))
        if name not in ("ptp", "median") and not name.startswith("nan"):
            yield Case(f"np.{name} empty", lambda x, f=f: f(x, axis=0), (real(4, 0),))
            if name in ("sum", "mean", "prod", "var", "std"):
                yield Case(f"np.{name} where", lambda x, f=f: f(x, axis=1, where=MASK), (distinct(2, 3),))
                yield Case(f"np.{name} where, all", lambda x, f=f: f(x, where=MASK[0]), (distinct(2, 3),))
                yield Case(f"np.{name} dtype", lambda x, f=f: f(x, dtype=np.float64), (distinct(2, 3),))
    for name, start in (("sum", 0.0), ("prod", 1.0), ("max", -9.0), ("min", 9.0)):
        f = getattr(np, name)
        yield Case(f"np.{name} initial", lambda x, f=f, s=start: f(x, axis=0, initial=s + 0.01), (distinct(2, 3),))
        makers = (distinct(2, 3), scalar(0.05))
        yield Case(f"np.{name} traced initial", lambda x, i, f=f: f(x, 0, initial=i), makers, alone=False)
        yield Case(
            f"np.{name} where, initial", lambda x, f=f, s=start: f(x, axis=1, where=MASK, initial=s), (distinct(2, 3),)
        )
    for name in ("var", "std", "nanvar", "nanstd"):
        f = getattr(np, name)
        yield Case(f"np.{name} ddof", lambda x, f=f: f(x, axis=1, ddof=1, keepdims=True), (real(2, 3),))
    for name in ("nansum", "nanmean", "nanprod", "nanmax", "nanmin", "nanvar", "nanstd", "nancumsum", "nancumprod"):
        f = getattr(np, name)
        yield Case(f"np.{name} of NaN", lambda x, f=f: f(np.where(MASK, x, np.nan), axis=1), (distinct(2, 3),))
    for name in ("cumsum", "cumprod", "nancumsum", "nancumprod"):
        f = getattr(np, name)
        for axis in (None, 0, 1, -1):
            yield Case(f"np.{name} axis {axis}", lambda x, f=f, axis=axis: f(x, axis=axis), (distinct(2, 3, 2),))
    for ufunc in (np.add, np.multiply, np.maximum, np.minimum):
        name = f"np.{ufunc.__name__}"
        yield Case(f"{name} reduce", ufunc.reduce, (distinct(3, 2),))
        yield Case(f"{name} reduce axis", lambda x, u=ufunc: u.reduce(x, axis=-1, keepdims=True), (distinct(3, 2),))
        yield Case(f"{name} reduce all", lambda x, u=ufunc: u.reduce(x, axis=None, initial=0.1), (distinct(3, 2),))
        yield Case(f"{name} accumulate", ufunc.accumulate, (distinct(3, 2),))
        yield Case(f"{name} accumulate axis", lambda x, u=ufunc: u.accumulate(x, axis=1), (distinct(2, 4),))
    zeros = exactly([0.0, 2.0, 3.0], [0.0, 0.0, -1.0], [1.5, 0.5, 2.0])
    yield Case("np.prod with zeros", lambda x: np.prod(x, axis=1), (zeros,))
    yield Case("np.prod with zeros, all but one", lambda x: np.prod(x[:2], axis=(0, 1), keepdims=True), (zeros,))
    yield Case("np.prod with zeros, initial", lambda x: np.prod(x, axis=0, initial=2.0), (zeros,))
    yield Case("np.prod with zeros, where", lambda x: np.prod(x, axis=1, where=MASK[0]), (zeros,))
    yield Case("np.cumprod with zeros", lambda x: np.cumprod(x, axis=1), (zeros,))
    yield Case("np.cumprod with zeros, flat", np.cumprod, (zeros,))
    yield Case("np.average", np.average, (real(2, 3),))
    yield Case("np.average weights", lambda x, w: np.average(x, axis=1, weights=w), (real(2, 3), positive(3)))
    yield Case("np.average all", lambda x, w: np.average(x, None, w, True), (real(2, 3), positive(2, 3)))
    both = (real(2, 3), positive(2, 3))
    yield Case("np.average keepdims", lambda x, w: np.average(x, weights=w, axis=0, keepdims=True), both)
    yield Case("np.median odd", lambda x: np.median(x, axis=0), (distinct(3, 2),))
    yield Case("np.trace", np.trace, (real(3, 4),))
    yield Case("np.trace offset", lambda x: np.trace(x, -1, 1, 2), (real(2, 3, 4),))


def _without_warning(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that some versions of NumPy warn of."""

    def quiet(*args: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args)

    return quiet


_REDUCTIONS_OF_SOME_VERSIONS = newer(
    np,
    "np",
    {
        "cumulative_sum": (lambda f: lambda x: f(x, axis=1), (real(2, 3),)),
        "cumulative_sum initial": (lambda f: lambda x: f(x, include_initial=True), (real(3),)),
        "cumulative_prod": (lambda f: lambda x: f(x, axis=0, include_initial=True), (real(2, 3),)),
        "trapz": (_without_warning, (real(2, 3),)),
        "trapezoid": (lambda f: f, (real(2, 3),)),
        "trapezoid x": (lambda f: lambda y, x: f(y, x, axis=0), (real(3, 2), increasing(3))),
        "trapezoid dx": (lambda f: lambda y, dx: f(y, dx=dx), (real(3), positive())),
        "trapezoid grid": (lambda f: lambda y, x: f(y, x), (real(2, 3), increasing(2, 3))),
    },
)
_MEAN_GIVEN = [
    Case(f"np.{name} mean=", lambda x, m, f=f: f(x, axis=1, mean=m, keepdims=True, ddof=1), (real(2, 3), real(2, 1)))
    for name, f in (("var", np.var), ("std", np.std))
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0"
]


def number_cases() -> list[Case]:
    """Rows about elementwise functions and reductions."""
    return [
        *_unary(),
        *_binary(),
        *_operators(),
        *_ELEMENTWISE,
        *_reductions(),
        *_REDUCTIONS_OF_SOME_VERSIONS,
        *_MEAN_GIVEN,
    ]
