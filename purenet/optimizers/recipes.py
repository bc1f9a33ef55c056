"""Optimizers by their usual names: recipes made of parts.

Every recipe returns a chain, which prints as its parts with their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from purenet.arguments import check_flag, check_number
from purenet.errors import ArgumentError
from purenet.optimizers.adaptive import (
    ScaleByAdam,
    ScaleByRms,
    ScaleByRootSumOfSquares,
    check_adam,
    check_rms,
    check_sum,
)
from purenet.optimizers.part import Chain, chain
from purenet.optimizers.selection import AddDecayedWeights, Masked, Selection, as_selection
from purenet.optimizers.uniform import ScaleByLearningRate, Trace
from purenet.schedules import Rate, as_schedule


def sgd(learning_rate: Rate, momentum: float = 0.0, nesterov: bool = False) -> Chain:
    """Gradient descent, with momentum if wanted.

        `v -> momentum * v + g`, from `v = 0`;
        `p -> p - learning_rate * v`, or with `nesterov`, `p -> p - learning_rate * (g + momentum * v)`

    where `g` is the gradient of the parameter `p`.

    Args:
        learning_rate: a number of at least 0, or a schedule.
        momentum: at least 0 and below 1.
        nesterov: whether to look one step ahead; needs momentum.

    Raises:
        ArgumentError: if an argument is out of bounds, or `nesterov` is set without momentum.

    Example:
        >>> sgd(0.1)
        Chain(parts=(ScaleByLearningRate(learning_rate=Constant(rate=0.1)),))

    Source: see `purenet.optimizers.trace`. PyTorch's `SGD` and Optax's `sgd` compute the same.
    """
    descent = _descent("sgd", learning_rate)
    momentum = check_number("sgd.momentum", momentum, at_least=0, below=1)
    if check_flag("sgd.nesterov", nesterov) and momentum == 0.0:
        raise ArgumentError("needs momentum; set momentum=0.9, or leave nesterov out", path="sgd.nesterov")
    return chain(Trace(momentum, bool(nesterov)), descent) if momentum else chain(descent)


def adam(learning_rate: Rate, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> Chain:
    """Adam: steps of about the learning rate in every parameter, whatever the scale of its gradient.

        `m -> beta1 * m + (1 - beta1) * g`, `v -> beta2 * v + (1 - beta2) * g**2`, from 0;
        `p -> p - learning_rate * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon)`

    where `g` is the gradient of the parameter `p`, and `t` counts steps from 1.

    Args:
        learning_rate: a number of at least 0, or a schedule.
        beta1: at least 0 and below 1.
        beta2: at least 0 and below 1.
        epsilon: above 0.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> adam(1e-3)
        Chain(parts=(ScaleByAdam(beta1=0.9, beta2=0.999, epsilon=1e-08),
                     ScaleByLearningRate(learning_rate=Constant(rate=0.001))))

    Source: Kingma and Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1. PyTorch's `Adam` and Optax's
    `adam` compute the same (Optax calls the numbers `b1`, `b2`, `eps`).
    """
    descent = _descent("adam", learning_rate)
    return chain(ScaleByAdam(*check_adam("adam", beta1, beta2, epsilon)), descent)


def adamw(
    learning_rate: Rate,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 1e-2,
    where: Selection | None = None,
) -> Chain:
    """Adam with decoupled weight decay: parameters shrink by a rate of their own, not by a term in the gradient.

        `p -> p - learning_rate * (a + weight_decay * p)`, where `a` is the direction that `scale_by_adam` gives

    Args:
        learning_rate: a number of at least 0, or a schedule.
        beta1: at least 0 and below 1.
        beta2: at least 0 and below 1.
        epsilon: above 0.
        weight_decay: at least 0.
        where: which leaves decay, such as `"*.weight"`; all if None.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> adamw(1e-3, where="*.weight").parts[1]
        Masked(part=AddDecayedWeights(rate=0.01), where='*.weight')

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2. As in PyTorch's `AdamW`
    and Optax's `adamw`, the decay is multiplied by the whole learning rate; in the paper only by its schedule, so that
    the paper's decay is `learning_rate * weight_decay` here. Optax's default decay is 1e-4.
    """
    descent = _descent("adamw", learning_rate)
    direction = ScaleByAdam(*check_adam("adamw", beta1, beta2, epsilon))
    decay = AddDecayedWeights(check_number("adamw.weight_decay", weight_decay, at_least=0))
    return chain(direction, decay if where is None else Masked(decay, as_selection("adamw.where", where)), descent)


def rmsprop(learning_rate: Rate, decay: float = 0.9, epsilon: float = 1e-8, momentum: float = 0.0) -> Chain:
    """RMSprop: gradients divided by the root of their running mean square.

        `v -> decay * v + (1 - decay) * g**2`, from 0; `p -> p - learning_rate * g / (sqrt(v) + epsilon)`

    where `g` is the gradient of the parameter `p`. With momentum, the quotients are traced before the learning rate.

    Args:
        learning_rate: a number of at least 0, or a schedule.
        decay: at least 0 and below 1.
        epsilon: above 0.
        momentum: at least 0 and below 1.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> rmsprop(1e-3).parts[0]
        ScaleByRms(decay=0.9, epsilon=1e-08)

    Source: Hinton, Neural Networks for Machine Learning, lecture 6e (2012). PyTorch's `RMSprop` computes the same with
    its `alpha=0.99` as decay; Optax and TensorFlow add `epsilon` under the root, and Optax traces after the learning
    rate, which differs if the rate changes.
    """
    descent = _descent("rmsprop", learning_rate)
    direction = ScaleByRms(*check_rms("rmsprop", decay, epsilon))
    momentum = check_number("rmsprop.momentum", momentum, at_least=0, below=1)
    return chain(direction, Trace(momentum), descent) if momentum else chain(direction, descent)


def adagrad(learning_rate: Rate, initial: float = 0.0, epsilon: float = 1e-8) -> Chain:
    """Adagrad: gradients divided by the root of the sum of all their squares.

        `s -> s + g**2`, from `initial`; `p -> p - learning_rate * g / (sqrt(s) + epsilon)`

    where `g` is the gradient of the parameter `p`.

    Args:
        learning_rate: a number of at least 0, or a schedule.
        initial: the sum before the first step, at least 0.
        epsilon: above 0.

    Raises:
        ArgumentError: if an argument is out of bounds.

    Example:
        >>> adagrad(0.1).parts[0]
        ScaleByRootSumOfSquares(initial=0.0, epsilon=1e-08)

    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods (2011), figure 1, with diagonal matrices. PyTorch's
    `Adagrad` computes the same with `epsilon=1e-10`; Optax starts from 0.1 and adds `epsilon=1e-7` under the root.
    """
    descent = _descent("adagrad", learning_rate)
    return chain(ScaleByRootSumOfSquares(*check_sum("adagrad", initial, epsilon)), descent)


RECIPES: Mapping[str, Callable[..., Chain]] = MappingProxyType(
    {"adagrad": adagrad, "adam": adam, "adamw": adamw, "rmsprop": rmsprop, "sgd": sgd}
)
"""The recipes by name."""


def by_name(name: str, learning_rate: Rate, **options: Any) -> Chain:
    """The recipe with a given name, applied to a learning rate and its other arguments.

    Raises:
        ArgumentError: if there is no such recipe, or an argument is out of bounds.

    Example:
        >>> by_name("sgd", 0.1, momentum=0.9).parts[0]
        Trace(decay=0.9, nesterov=False)
    """
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    if recipe is None:
        raise ArgumentError(f"expected one of {', '.join(RECIPES)}, got {name!r}", path="optimizer")
    return recipe(learning_rate, **options)


def _descent(place: str, learning_rate: Rate) -> ScaleByLearningRate:
    return ScaleByLearningRate(as_schedule(f"{place}.learning_rate", learning_rate, at_least=0))
