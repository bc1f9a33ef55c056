"""Parts that treat all elements alike: scaling, momentum and clipping.

In the formulas `u` is the update that comes in, a leaf of it for each leaf of the parameters; all is elementwise but
the global norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from purenet.arguments import check_flag, check_number
from purenet.arithmetic.reduction import norm
from purenet.optimizers.leafwise import Factor, LeafPart, Leaves, Updates, initial_leaves, leafwise, scaled
from purenet.records import static, struct
from purenet.schedules import Rate, as_schedule


@struct
class Scale(Factor):
    """The part that `scale` makes."""

    factor: float = static()

    def factor_at(self, step: int) -> float:
        """The factor, at every step."""
        return self.factor


@struct
class ScaleBySchedule(Factor):
    """The part that `scale_by_schedule` makes."""

    schedule: Any

    def factor_at(self, step: int) -> float:
        """The schedule's value."""
        value: float = self.schedule(step)
        return value


@struct
class ScaleByLearningRate(Factor):
    """The part that `scale_by_learning_rate` makes."""

    learning_rate: Any

    def factor_at(self, step: int) -> float:
        """Minus the learning rate."""
        rate: float = self.learning_rate(step)
        return -rate


@struct
class Trace(LeafPart):
    """The part that `trace` makes."""

    decay: float = static()
    nesterov: bool = static(default=False)

    def init(self, net: Any) -> Leaves:
        """A velocity of zero for every leaf."""
        return initial_leaves(net, "trace")

    def act(self, updates: Updates, state: Leaves, net: Any, step: int) -> tuple[Updates, Leaves]:
        """The velocity, or the velocity one step ahead."""
        kernel = _nesterov if self.nesterov else _trace
        ahead, (velocity,) = leafwise(kernel, (self.decay,), 2, "trace", updates, state)
        return ahead, velocity


@struct
class Clip(LeafPart):
    """The part that `clip` makes."""

    maximum: float = static()

    def init(self, net: Any) -> None:
        """Nothing."""

    def act(self, updates: Updates, state: None, net: Any, step: int) -> tuple[Updates, None]:
        """The update with each element within the bounds."""
        return leafwise(_clip, (-self.maximum, self.maximum), 1, "clip", updates)[0], None


@struct
class ClipByGlobalNorm(LeafPart):
    """The part that `clip_by_global_norm` makes."""

    maximum: float = static()

    def init(self, net: Any) -> None:
        """Nothing."""

    def act(self, updates: Updates, state: None, net: Any, step: int) -> tuple[Updates, None]:
        """The update, shortened if it is too long."""
        if any(hasattr(leaf, "__purenet_apply__") for leaf in updates.leaves):  # in a transformation
            length = np.sqrt(reduce(add, [np.sum(leaf * leaf) for leaf in updates.leaves]))
        else:
            length = norm(updates.leaves)
        if length <= self.maximum or not np.isfinite(length):
            return updates, None
        return scaled(updates, self.maximum / length), None


def scale(factor: float) -> Scale:
    """Multiply the update by a number.

        `u -> factor * u`

    Raises:
        ArgumentError: if `factor` is not finite.

    Example:
        >>> scale(-0.5).update({"w": np.ones(2)}, None, None, 0)[0]
        {'w': array([-0.5, -0.5])}
    """
    return Scale(check_number("scale.factor", factor))


def scale_by_schedule(schedule: Rate) -> ScaleBySchedule:
    """Multiply the update by a number that depends on the step.

        `u -> schedule(step) * u`

    Args:
        schedule: a schedule, or a number for a constant one.

    Example:
        >>> from purenet.schedules import linear
        >>> scale_by_schedule(linear(1.0, 0.0, steps=2)).update({"w": np.ones(2)}, None, None, 1)[0]
        {'w': array([0.5, 0.5])}
    """
    return ScaleBySchedule(as_schedule("scale_by_schedule.schedule", schedule))


def scale_by_learning_rate(learning_rate: Rate) -> ScaleByLearningRate:
    """Turn a direction of ascent into a step of descent: the last part of most optimizers.

        `u -> -learning_rate(step) * u`

    Args:
        learning_rate: a schedule, or a number of at least 0 for a constant one.

    Raises:
        ArgumentError: if it is a number that is negative or not finite.

    Example:
        >>> scale_by_learning_rate(0.1)
        ScaleByLearningRate(learning_rate=Constant(rate=0.1))
    """
    place = "scale_by_learning_rate.learning_rate"
    return ScaleByLearningRate(as_schedule(place, learning_rate, at_least=0))


def trace(decay: float, nesterov: bool = False) -> Trace:
    """Momentum: add up the updates, forgetting old ones at a steady rate.

        `v -> decay * v + u`, from `v = 0`; `u -> v`, or with `nesterov`, `u -> decay * v + u` of the new `v`

    Args:
        decay: what is left of the velocity after a step, at least 0 and below 1.
        nesterov: whether to look one step ahead.

    Raises:
        ArgumentError: if `decay` is out of bounds.

    Example:
        >>> part = trace(0.5)
        >>> part.update({"w": np.ones(1)}, (np.ones(1),), None, 7)[0]
        {'w': array([1.5])}

    Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964); for Nesterov, Sutskever et
    al., On the importance of initialization and momentum in deep learning (2013), section 2, as Bengio et al.
    (Advances in optimizing recurrent networks, 2013, section 3.5) rewrite it. The velocity does not contain the
    learning rate, as in PyTorch and Optax; in Sutskever's paper it does, which differs if the rate changes.
    """
    return Trace(check_number("trace.decay", decay, at_least=0, below=1), check_flag("trace.nesterov", nesterov))


def clip(maximum: float) -> Clip:
    """Limit every element of the update.

        `u -> min(max(u, -maximum), maximum)`; NaN stays NaN

    Raises:
        ArgumentError: if `maximum` is not above 0.

    Example:
        >>> clip(1.0).update({"w": np.array([-3.0, 0.5])}, None, None, 0)[0]
        {'w': array([-1. ,  0.5])}
    """
    return Clip(check_number("clip.maximum", maximum, above=0))


def clip_by_global_norm(maximum: float) -> ClipByGlobalNorm:
    """Shorten the update, all leaves together, if its Euclidean norm exceeds a maximum.

        `u -> u * maximum / norm` if `norm > maximum`, with `norm = sqrt(sum of u**2 over all elements of all leaves)`

    The norm is taken in double precision in one fixed order (`purenet.arithmetic.reduction.norm`). An update whose norm
    is NaN or infinite passes as it is, so that it can still be seen which leaf is at fault.

    Raises:
        ArgumentError: if `maximum` is not above 0.

    Example:
        >>> clip_by_global_norm(1.0).update({"w": np.array([3.0, 4.0])}, None, None, 0)[0]
        {'w': array([0.6, 0.8])}

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013), algorithm 1.
    """
    return ClipByGlobalNorm(check_number("clip_by_global_norm.maximum", maximum, above=0))


def _clip(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
    raised = np.maximum(operands[0], constants[0], out=out[0])
    return (np.minimum(raised, constants[1], out=out[0]),)


def _velocity(constants: Sequence[Any], operands: Sequence[Any], out: Any) -> Any:
    kept = np.multiply(operands[1], constants[0], out=out)
    return np.add(kept, operands[0], out=out)


def _trace(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
    velocity = _velocity(constants, operands, out[1])
    return np.positive(velocity, out=out[0]), velocity  # a copy, for what comes next may overwrite it


def _nesterov(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
    velocity = _velocity(constants, operands, out[1])
    return np.add(operands[0], velocity * constants[0], out=out[0]), velocity
