"""Schedules: how a rate depends on the step.

A schedule is a record that is called with a step, a Python int counted from 0, and returns a Python float. It depends
on nothing else, so a run can be entered at any step. The formulas use `+ - * /` and purenet's own `cos`, `exp` and
`log`, so a rate has the same bits on every machine. Where a schedule is expected, a number stands for `constant`, and a
plain function of the step is taken as it is.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

from purenet.arguments import check_count, check_flag, check_number, is_number
from purenet.arithmetic.scalar import cos, exp, integer_power, log
from purenet.errors import ArgumentError, DtypeError
from purenet.records import is_struct, static, struct

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "FromFunction",
    "Join",
    "Linear",
    "Schedule",
    "WarmUp",
    "as_schedule",
    "constant",
    "cosine",
    "exponential",
    "join",
    "linear",
    "piecewise",
    "warm_up",
]


def __dir__() -> list[str]:
    return __all__


class Schedule(Protocol):
    """What a schedule must do: give the rate at a step. Any struct with this method is one."""

    def __call__(self, step: int, /) -> float:
        """The rate at `step`, which is counted from 0."""


Rate: TypeAlias = "float | Schedule"
"""A number, which stands for a constant schedule, or a schedule."""


@struct
class Constant:
    """The schedule that `constant` makes."""

    rate: float = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        return self.rate


@struct
class Linear:
    """The schedule that `linear` makes."""

    initial: float = static()
    final: float = static()
    steps: int = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        if step <= 0:
            return self.initial
        if step >= self.steps:
            return self.final
        return self.initial + (self.final - self.initial) * (step / self.steps)


@struct
class Cosine:
    """The schedule that `cosine` makes."""

    initial: float = static()
    steps: int = static()
    final: float = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        if step <= 0:
            return self.initial
        if step >= self.steps:
            return self.final
        return self.final + (self.initial - self.final) * (0.5 * (1.0 + cos(math.pi * (step / self.steps))))


@struct
class Exponential:
    """The schedule that `exponential` makes."""

    initial: float = static()
    decay: float = static()
    steps: int = static()
    staircase: bool = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        whole, rest = divmod(step, self.steps)
        rate = self.initial * integer_power(self.decay, whole)
        if rest == 0 or self.staircase:
            return rate
        return rate * exp(log(self.decay) * (rest / self.steps))


@struct
class WarmUp:
    """The schedule that `warm_up` makes."""

    schedule: Any
    steps: int = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        if step >= self.steps:
            rate: float = self.schedule(step - self.steps)
            return rate
        peak: float = self.schedule(0)
        return peak * ((step + 1) / self.steps)


@struct
class Join:
    """The schedule that `join` makes."""

    schedules: tuple[Any, ...]
    boundaries: tuple[int, ...] = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        part = bisect_right(self.boundaries, step)
        rate: float = self.schedules[part](step - self.boundaries[part - 1] if part else step)
        return rate


@struct
class FromFunction:
    """A plain function of the step as a schedule."""

    function: Any = static()

    def __call__(self, step: int) -> float:
        """The rate at `step`."""
        return as_rate(self.function(step), step)


def as_rate(value: Any, step: Any) -> float:
    """What a function of the step has returned, as a Python float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        got = f"{type(value).__name__} {value!r:.60}"
        raise DtypeError(f"expected a number at step {step}, got {got}", path="schedule") from None


def constant(rate: float) -> Constant:
    """The same rate at every step.

        `rate`

    Raises:
        ArgumentError: if `rate` is not finite.

    Example:
        >>> constant(1e-3)(250)
        0.001
    """
    return Constant(check_number("constant.rate", rate))


def linear(initial: float, final: float, steps: int) -> Linear:
    """A straight line from `initial` at step 0 to `final` at step `steps`, where it stays.

        `initial + (final - initial) * step / steps`

    Raises:
        ArgumentError: if a rate is not finite or `steps` is below 1.

    Example:
        >>> [linear(1.0, 0.0, steps=4)(step) for step in (0, 1, 4, 9)]
        [1.0, 0.75, 0.0, 0.0]
    """
    return Linear(
        check_number("linear.initial", initial),
        check_number("linear.final", final),
        check_count("linear.steps", steps),
    )


def cosine(initial: float, steps: int, final: float = 0.0) -> Cosine:
    """Half a cosine wave from `initial` at step 0 to `final` at step `steps`, where it stays.

        `final + (initial - final) * (1 + cos(pi * step / steps)) / 2`

    Raises:
        ArgumentError: if a rate is not finite or `steps` is below 1.

    Example:
        >>> [round(cosine(1e-3, steps=500)(step), 6) for step in (0, 250, 500, 600)]
        [0.001, 0.0005, 0.0, 0.0]

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (2017), equation 5, one period.
    Optax's `cosine_decay_schedule` gives the final rate as a fraction `alpha` of the initial one.
    """
    return Cosine(
        check_number("cosine.initial", initial),
        check_count("cosine.steps", steps),
        check_number("cosine.final", final),
    )


def exponential(initial: float, decay: float, steps: int, staircase: bool = False) -> Exponential:
    """A rate that is multiplied by `decay` every `steps` steps, smoothly or all at once.

        `initial * decay ** (step / steps)`, with `step // steps` in place of `step / steps` for a staircase

    Args:
        initial: the rate at step 0.
        decay: the factor, above 0 and at most 1.
        steps: how many steps one factor takes.
        staircase: whether the rate changes only once in every `steps` steps.

    Raises:
        ArgumentError: if an argument is outside what is said above.

    Example:
        >>> exponential(1.0, 0.5, steps=100, staircase=True)(250)
        0.25
    """
    return Exponential(
        check_number("exponential.initial", initial),
        check_number("exponential.decay", decay, above=0, at_most=1),
        check_count("exponential.steps", steps),
        check_flag("exponential.staircase", staircase),
    )


def piecewise(rates: Mapping[int, float]) -> Join:
    """A rate that jumps at given steps.

        `rates[b]` for the last `b` in `rates` that is at most `step`

    Args:
        rates: the rate that holds from each step on; the first step must be 0.

    Raises:
        ArgumentError: if `rates` does not start at step 0, or a rate is not finite.

    Example:
        >>> [piecewise({0: 0.1, 100: 0.01})(step) for step in (0, 99, 100)]
        [0.1, 0.1, 0.01]
    """
    if not isinstance(rates, Mapping):
        raise DtypeError(f"expected a dict like {{0: 0.1, 100: 0.01}}, got {rates!r:.60}", path="piecewise.rates")
    steps = sorted(check_count("piecewise.rates", step, at_least=0) for step in rates)
    if not steps or steps[0] != 0:
        raise ArgumentError(
            f"expected a rate from step 0 on, got steps {steps}; add an entry for 0", path="piecewise.rates"
        )
    parts = tuple(Constant(check_number(f"piecewise.rates[{step}]", rates[step])) for step in steps)
    return Join(parts, tuple(steps[1:]))


def warm_up(schedule: Rate, steps: int) -> WarmUp:
    """A linear rise over the first `steps` steps, and then `schedule` from its own step 0.

        `schedule(0) * (step + 1) / steps` if `step < steps`, else `schedule(step - steps)`

    Args:
        schedule: a schedule, or a number for a constant one.
        steps: how long the rise takes; the first step already has the rate `schedule(0) / steps`.

    Raises:
        ArgumentError: if `steps` is below 1.

    Example:
        >>> [warm_up(1.0, steps=4)(step) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
        >>> warm_up(cosine(1e-3, steps=400), steps=100)(500)
        0.0

    Source: Goyal et al., Accurate, Large Minibatch SGD (2017), section 2.2; the count from 1 is that of Vaswani et
    al., Attention Is All You Need (2017), equation 3. Optax starts from rate 0, so its first step changes nothing.
    """
    return WarmUp(as_schedule("warm_up.schedule", schedule), check_count("warm_up.steps", steps))


def join(schedules: Sequence[Rate], boundaries: Sequence[int]) -> Join:
    """Schedules one after the other, each counting steps from its own start.

        `schedules[i](step - boundaries[i - 1])` for the last `i` with `boundaries[i - 1] <= step`, where
        `boundaries[-1]` stands for 0

    Args:
        schedules: schedules, or numbers for constant ones.
        boundaries: the steps at which the second, third ... schedule begins, increasing; one fewer than schedules.

    Raises:
        ArgumentError: if there is not one boundary between each two schedules, or they do not increase.

    Example:
        >>> halves = join((linear(0.0, 1.0, steps=2), 0.5), boundaries=(3,))
        >>> [halves(step) for step in range(5)]
        [0.0, 0.5, 1.0, 0.5, 0.5]
    """
    parts = tuple(as_schedule(f"join.schedules[{i}]", schedule) for i, schedule in enumerate(schedules))
    steps = tuple(check_count(f"join.boundaries[{i}]", step) for i, step in enumerate(boundaries))
    if len(parts) != len(steps) + 1:
        problem = f"expected one fewer than schedules, got {len(steps)} for {len(parts)} schedules"
        raise ArgumentError(problem, path="join.boundaries")
    if any(a >= b for a, b in pairwise(steps)):
        raise ArgumentError(f"expected increasing steps, got {steps}", path="join.boundaries")
    return Join(parts, steps)


def as_schedule(place: str, rate: Any, *, at_least: float | None = None) -> Any:
    """A schedule from what an argument was given: a number, a schedule, or a function of the step.

    Args:
        place: the name of the argument, for error messages.
        rate: what it was given.
        at_least: the least number allowed.

    Raises:
        DtypeError: if it is none of these.
        ArgumentError: if it is a number that is not finite or too small.

    Example:
        >>> as_schedule("sgd.learning_rate", 0.1)
        Constant(rate=0.1)
    """
    if callable(rate) and not isinstance(rate, type):
        return rate if is_struct(rate) else FromFunction(rate)
    if not is_number(rate):
        raise DtypeError(f"expected a number or a schedule, got {type(rate).__name__} {rate!r:.60}", path=place)
    return Constant(check_number(place, rate, at_least=at_least))
