"""purenet as its users write it: `reduce(step, batches, state)`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from toolz import reduce

import purenet as pn
from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Problem, Workload, problem


def training(workload: Workload) -> Training:
    """A fold over the same batch."""
    p = problem(workload)
    batch = (p.x, p.y)
    step, start = step_and_start(workload, p)

    def advance(state: pn.State, steps: int) -> tuple[pn.State, Any]:
        end = reduce(step, repeat(batch, steps), state)
        return end, end.loss

    return Training(lambda: start, advance)


def step_and_start(workload: Workload, p: Problem) -> tuple[Callable[[pn.State, Any], pn.State], pn.State]:
    """The step of a workload, and the state before the first."""
    rate = workload.learning_rate
    optimizer = pn.sgd(rate) if workload.optimizer == "sgd" else pn.adam(rate, BETA1, BETA2, EPSILON)
    cross_entropy = workload.loss == "cross entropy"
    loss = pn.losses.softmax_cross_entropy if cross_entropy else pn.losses.mean_squared_error
    step = pn.make_step(pn.objective(loss), optimizer)
    return step, pn.init_state(network(p), optimizer)


def network(p: Problem) -> pn.Sequential:
    """The network of a problem."""
    layers: list[Any] = []
    for weight, bias in p.layers:
        layers += [pn.Dense(weight, bias), pn.Relu()]
    return pn.Sequential(tuple(layers[:-1]))


def prediction(workload: Workload) -> Callable[[Any], Any]:
    """`pn.forward`."""
    net = network(problem(workload))
    return lambda x: pn.forward(net, x)
