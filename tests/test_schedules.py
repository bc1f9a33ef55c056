"""Schedules: each equals its formula, meets its ends exactly, and depends on the step alone."""

from __future__ import annotations

import math
from itertools import pairwise
from timeit import repeat

import numpy as np
import pytest

from purenet import schedules, struct
from purenet.errors import ArgumentError, DtypeError, PurenetError
from purenet.schedules import (
    as_schedule,
    constant,
    cosine,
    exponential,
    join,
    linear,
    piecewise,
    warm_up,
)


@struct
class InverseRoot:
    """A user's own schedule: a struct that is callable."""

    def __call__(self, step):
        return 1.0 / math.sqrt(step + 1)


SCHEDULES = {
    "constant": (constant(0.3), lambda t: 0.3),
    "linear": (linear(0.5, 0.1, steps=300), lambda t: 0.5 + (0.1 - 0.5) * min(t, 300) / 300),
    "linear up": (linear(0.0, 2.0, steps=7), lambda t: 2.0 * min(t, 7) / 7),
    "cosine": (cosine(1e-3, steps=500), lambda t: 1e-3 * (1 + math.cos(math.pi * min(t, 500) / 500)) / 2),
    "cosine to": (
        cosine(0.7, steps=333, final=0.2),
        lambda t: 0.2 + 0.5 * (1 + math.cos(math.pi * min(t, 333) / 333)) / 2,
    ),
    "exponential": (exponential(0.1, 0.96, steps=100), lambda t: 0.1 * 0.96 ** (t / 100)),
    "staircase": (exponential(0.1, 0.5, steps=64, staircase=True), lambda t: 0.1 * 0.5 ** (t // 64)),
    "piecewise": (piecewise({400: 0.01, 0: 1.0, 100: 0.1}), lambda t: 1.0 if t < 100 else 0.1 if t < 400 else 0.01),
    "warm-up": (warm_up(0.4, steps=50), lambda t: 0.4 * min(t + 1, 50) / 50),
    "warm-up, cosine": (
        warm_up(cosine(0.4, steps=150), steps=50),
        lambda t: 0.4 * (t + 1) / 50 if t < 50 else 0.4 * (1 + math.cos(math.pi * min(t - 50, 150) / 150)) / 2,
    ),
    "join": (
        join((linear(0.0, 1.0, steps=10), 0.5, exponential(0.5, 0.9, steps=1)), boundaries=(10, 30)),
        lambda t: t / 10 if t < 10 else 0.5 if t < 30 else 0.5 * 0.9 ** (t - 30),
    ),
    "a user's": (as_schedule("here", InverseRoot()), lambda t: 1 / math.sqrt(t + 1)),
    "a function": (as_schedule("here", lambda step: 2 * step), lambda t: 2.0 * t),
}
rows = pytest.mark.parametrize(("schedule", "formula"), SCHEDULES.values(), ids=SCHEDULES)


@rows
def test_a_schedule_equals_its_formula(schedule, formula):
    """At every step of a run and long after it, to 1e-15 of the formula, or of the schedule's largest rate."""
    steps = [*range(700), 1000, 10_000]
    largest = max(abs(formula(t)) for t in range(700))
    for t in steps:
        assert schedule(t) == pytest.approx(formula(t), rel=1e-15, abs=1e-15 * largest), t


@rows
def test_a_schedule_gives_a_python_float_and_the_same_one_twice(schedule, formula):
    """A NumPy scalar would promote float32 arrays."""
    for t in (0, 1, 64, 499, 500, 10**9):
        assert type(schedule(t)) is float
        assert schedule(t).hex() == schedule(t).hex()
        assert schedule(t) == schedule(np.int64(t))


@rows
def test_a_call_is_quick(schedule, formula):
    """A few microseconds at most; the bound is wide because machines are shared."""
    best = min(repeat(lambda: schedule(137), number=500, repeat=5)) / 500
    assert best < 20e-6


@pytest.mark.parametrize(
    "schedule",
    [
        cosine(0.1, steps=977, final=0.003),
        linear(0.1, 0.003, steps=977),
        exponential(0.1, 0.1, steps=977),
        exponential(0.1, 0.7, steps=97, staircase=True),
    ],
)
def test_decays_never_rise(schedule):
    """A decay is monotone, rounding included."""
    values = [schedule(t) for t in range(1500)]
    assert all(a >= b for a, b in pairwise(values))
    assert values[0] == 0.1


@pytest.mark.parametrize("make", [cosine, lambda a, steps, final: linear(a, final, steps)])
def test_the_ends_are_exact(make):
    """The first and last rates are those given, not sums that round to something near them."""
    for initial, final in [(0.1, 1e-5), (1e-3, 0.7), (3e-4, 0.1), (0.3, 0.0)]:
        schedule = make(initial, steps=30, final=final)
        assert schedule(0) == initial
        assert schedule(30) == schedule(31) == schedule(10**12) == final


def test_a_warm_up_rises_by_equal_amounts_and_then_starts_the_schedule():
    """The first step is not wasted on rate 0, and no step of the schedule is skipped."""
    inner = cosine(0.8, steps=100)
    schedule = warm_up(inner, steps=8)
    assert [schedule(t) for t in range(8)] == [0.8 * k / 8 for k in range(1, 9)]
    assert [schedule(8 + t) for t in range(120)] == [inner(t) for t in range(120)]


def test_a_join_changes_at_its_boundaries():
    """A boundary is the first step of the next schedule."""
    schedule = join((1.0, 2.0, 3.0), boundaries=(5, 6))
    assert [schedule(t) for t in (0, 4, 5, 6, 7)] == [1.0, 1.0, 2.0, 3.0, 3.0]


def test_bits_are_known():
    """The same bits on every machine: these were computed once."""
    assert cosine(1e-3, steps=500)(123).hex() == GOLDEN["cosine"]
    assert exponential(0.1, 0.96, steps=100)(123).hex() == GOLDEN["exponential"]
    assert exponential(0.1, 0.96, steps=10, staircase=True)(123).hex() == GOLDEN["staircase"]
    assert linear(0.1, 0.7, steps=999)(123).hex() == GOLDEN["linear"]


GOLDEN = {
    "cosine": "0x1.c1d28c4e6e23cp-11",
    "exponential": "0x1.858a95e3a16c0p-4",
    "staircase": "0x1.f5ee8c9ef2d97p-5",
    "linear": "0x1.6417fc4f56418p-3",
}

WRONG = {
    "cosine.steps: expected at least 1, got 0": lambda: cosine(1.0, steps=0),
    "cosine.steps: expected an int, got float 2.5": lambda: cosine(1.0, steps=2.5),
    "cosine.steps: expected an int, got bool True": lambda: cosine(1.0, steps=True),
    "cosine.initial: expected a finite number, got inf": lambda: cosine(math.inf, steps=3),
    "cosine.final: expected a number, got str '0'": lambda: cosine(1.0, steps=3, final="0"),
    "linear.final: expected a finite number, got nan": lambda: linear(1.0, math.nan, steps=3),
    "constant.rate: expected a number, got NoneType None": lambda: constant(None),
    "constant.rate: expected a number, got bool True": lambda: constant(True),
    "exponential.decay: expected 0 < decay <= 1, got 0.0": lambda: exponential(1.0, 0, steps=1),
    "exponential.decay: expected 0 < decay <= 1, got 1.5": lambda: exponential(1.0, 1.5, steps=1),
    "exponential.staircase: expected True or False, got int 1": lambda: exponential(1.0, 0.5, 3, 1),
    "piecewise.rates: expected a rate from step 0 on, got steps [5]; add": lambda: piecewise({5: 1.0}),
    "piecewise.rates: expected a rate from step 0 on, got steps []": lambda: piecewise({}),
    "piecewise.rates: expected at least 0, got -1": lambda: piecewise({-1: 1.0}),
    "piecewise.rates: expected a dict like {0: 0.1, 100: 0.01}, got [1.0]": lambda: piecewise([1.0]),
    "piecewise.rates[7]: expected a finite number, got inf": lambda: piecewise({0: 1.0, 7: math.inf}),
    "warm_up.schedule: expected a number or a schedule, got str 'cosine'": lambda: warm_up("cosine", steps=2),
    "warm_up.schedule: expected a number or a schedule, got type": lambda: warm_up(InverseRoot, steps=2),
    "warm_up.steps: expected at least 1, got 0": lambda: warm_up(1.0, steps=0),
    "join.boundaries: expected one fewer than schedules, got 2 for 2": lambda: join((1.0, 2.0), (3, 4)),
    "join.boundaries: expected increasing steps, got (4, 4)": lambda: join((1.0, 2.0, 3.0), (4, 4)),
    "join.schedules[1]: expected a number or a schedule, got NoneType": lambda: join((1.0, None), (4,)),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_argument_is_named(message, make):
    """The error says which argument, what was expected and what came."""
    with pytest.raises(PurenetError) as caught:
        make()
    assert isinstance(caught.value, ArgumentError | DtypeError)
    assert str(caught.value).startswith(message)


def test_numbers_of_numpy_become_python_floats():
    """A record's static values are plain Python, so that it can be written down."""
    assert repr(cosine(np.float32(0.5), steps=np.int64(3))) == "Cosine(initial=0.5, steps=3, final=0.0)"


def test_every_schedule_and_constructor_is_exported():
    """`__all__` names all public classes and the functions that make them."""
    made = {name for name, value in vars(schedules).items() if hasattr(value, "__purenet_fields__")}
    assert made <= set(schedules.__all__)
    assert {name for name, _ in SCHEDULES.items() if hasattr(schedules, name)} <= set(schedules.__all__)
