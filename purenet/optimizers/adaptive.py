"""Parts that give each element a scale of its own, by what its updates have been so far.

In the formulas `u` is the update that comes in, a leaf of it for each leaf of the parameters; all is elementwise; `t`
is `step + 1`, so that it counts from 1 as the papers do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from purenet.arguments import check_number
from purenet.arithmetic.scalar import integer_power
from purenet.optimizers.leafwise import Leaves, PackedPart, initial_vectors
from purenet.records import rebuild, static, struct


@struct
class Moments:
    """What `scale_by_adam` remembers: running averages of the update and of its square, in vectors."""

    first: Leaves
    second: Leaves


@struct
class ScaleByAdam(PackedPart):
    """The part that `scale_by_adam` makes: the first moment over the root of the second, both without their bias."""

    beta1: float = static()
    beta2: float = static()
    epsilon: float = static()

    place = "scale_by_adam"
    results = 3

    @staticmethod
    def kernel(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
        """The moments, and the first over the root of the second."""
        keep1, take1, keep2, take2, root_factor, epsilon = constants
        update, first, second = operands
        room, new_first, new_second = out
        part = np.multiply(update, take1, out=new_second)
        kept = np.multiply(first, keep1, out=new_first)
        first = np.add(kept, part, out=new_first)
        part = np.multiply(update, update, out=room)
        part = np.multiply(part, take2, out=room)
        kept = np.multiply(second, keep2, out=new_second)
        second = np.add(kept, part, out=new_second)
        root = np.sqrt(second, out=room)
        root = np.multiply(root, root_factor, out=room)
        root = np.add(root, epsilon, out=room)
        return np.divide(first, root, out=room), first, second

    def init(self, net: Any) -> Moments:
        """Moments of zero for every leaf."""
        zeros = initial_vectors(net, self.place)
        return Moments(zeros, zeros)

    def constants(self, step: int) -> Sequence[float]:
        """What the moments are multiplied by; their corrections for the start at zero are in the last two."""
        correction1 = 1.0 - integer_power(self.beta1, step + 1)
        correction2 = 1.0 - integer_power(self.beta2, step + 1)
        # (m / c1) / (sqrt(v / c2) + epsilon), multiplied out so that each leaf is divided once
        return (
            self.beta1,
            1.0 - self.beta1,
            self.beta2,
            1.0 - self.beta2,
            correction1 / math.sqrt(correction2),
            correction1 * self.epsilon,
        )

    def columns(self, state: Moments) -> Sequence[Leaves]:
        """Both moments."""
        return state.first, state.second

    def remembered(self, state: Moments, columns: Sequence[Leaves]) -> Moments:
        """Both moments."""
        return rebuild(state, columns)


class _RootMeanSquare(PackedPart):
    """A part that divides by the root of squares added up, which are all it remembers."""

    __slots__ = ()
    results = 2

    @staticmethod
    def kernel(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
        """The squares, and the update over their root."""
        keep, take, epsilon = constants
        update, square = operands
        room, new_square = out
        part = np.multiply(update, update, out=new_square)
        part = np.multiply(part, take, out=new_square)
        square = np.add(part, square * keep, out=new_square)
        return np.divide(update, np.sqrt(square) + epsilon, out=room), square

    def columns(self, state: Leaves) -> Sequence[Leaves]:
        """The squares."""
        return (state,)

    def remembered(self, state: Leaves, columns: Sequence[Leaves]) -> Leaves:
        """The squares."""
        return columns[0]

    def init(self, net: Any) -> Leaves:
        """Squares of zero for every leaf."""
        return initial_vectors(net, self.place)


@struct
class ScaleByRms(_RootMeanSquare):
    """The part that `scale_by_rms` makes."""

    decay: float = static()
    epsilon: float = static()

    place = "scale_by_rms"

    def constants(self, step: int) -> Sequence[float]:
        """How much the squares so far, and the new one, count in the mean; epsilon."""
        return self.decay, 1.0 - self.decay, self.epsilon


@struct
class ScaleByRootSumOfSquares(_RootMeanSquare):
    """The part that `scale_by_root_sum_of_squares` makes."""

    initial: float = static()
    epsilon: float = static()

    place = "scale_by_root_sum_of_squares"

    def init(self, net: Any) -> Leaves:
        """The initial sum for every leaf."""
        return initial_vectors(net, self.place, self.initial)

    def constants(self, step: int) -> Sequence[float]:
        """All squares count fully; epsilon."""
        return 1.0, 1.0, self.epsilon


def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> ScaleByAdam:
    """Divide the running mean of the update by the root of its running mean square.

        `m -> beta1 * m + (1 - beta1) * u`, `v -> beta2 * v + (1 - beta2) * u**2`, from 0;
        `u -> (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon)`

    Args:
        beta1: what is left of the mean after a step, at least 0 and below 1.
        beta2: what is left of the mean square after a step, at least 0 and below 1.
        epsilon: above 0.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> scale_by_adam(beta2=0.99)
        ScaleByAdam(beta1=0.9, beta2=0.99, epsilon=1e-08)

    Source: see `adam`.
    """
    return ScaleByAdam(*check_adam("scale_by_adam", beta1, beta2, epsilon))


def scale_by_rms(decay: float = 0.9, epsilon: float = 1e-8) -> ScaleByRms:
    """Divide the update by the root of its running mean square.

        `v -> decay * v + (1 - decay) * u**2`, from 0; `u -> u / (sqrt(v) + epsilon)`

    Args:
        decay: what is left of the mean square after a step, at least 0 and below 1.
        epsilon: above 0.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> scale_by_rms()
        ScaleByRms(decay=0.9, epsilon=1e-08)

    Source: see `rmsprop`.
    """
    return ScaleByRms(*check_rms("scale_by_rms", decay, epsilon))


def scale_by_root_sum_of_squares(initial: float = 0.0, epsilon: float = 1e-8) -> ScaleByRootSumOfSquares:
    """Divide the update by the root of the sum of all its squares so far.

        `s -> s + u**2`, from `initial`; `u -> u / (sqrt(s) + epsilon)`

    Args:
        initial: the sum before the first step, at least 0.
        epsilon: above 0.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> scale_by_root_sum_of_squares(initial=0.1)
        ScaleByRootSumOfSquares(initial=0.1, epsilon=1e-08)

    Source: see `adagrad`.
    """
    return ScaleByRootSumOfSquares(*check_sum("scale_by_root_sum_of_squares", initial, epsilon))


def check_adam(place: str, beta1: Any, beta2: Any, epsilon: Any) -> tuple[float, float, float]:
    """The numbers of Adam, checked on behalf of the function `place`."""
    return (
        check_number(f"{place}.beta1", beta1, at_least=0, below=1),
        check_number(f"{place}.beta2", beta2, at_least=0, below=1),
        check_number(f"{place}.epsilon", epsilon, above=0),
    )


def check_rms(place: str, decay: Any, epsilon: Any) -> tuple[float, float]:
    """The numbers of RMSprop, checked on behalf of the function `place`."""
    return (
        check_number(f"{place}.decay", decay, at_least=0, below=1),
        check_number(f"{place}.epsilon", epsilon, above=0),
    )


def check_sum(place: str, initial: Any, epsilon: Any) -> tuple[float, float]:
    """The numbers of Adagrad, checked on behalf of the function `place`."""
    return (
        check_number(f"{place}.initial", initial, at_least=0),
        check_number(f"{place}.epsilon", epsilon, above=0),
    )
