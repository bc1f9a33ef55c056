"""HIPS autograd: gradients of a NumPy function by tracing, and an update in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Workload, problem


def training(workload: Workload) -> Training:
    """`value_and_grad` of the loss as a function of the list of parameters; the updates are the plain script's."""
    import autograd
    import autograd.numpy as anp

    p = problem(workload)
    x, y, rate = p.x, p.y, workload.learning_rate

    def objective(parameters: list[Any]) -> Any:
        h = x
        for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            h = anp.maximum(anp.dot(h, weight) + bias, 0)
        return anp.mean((anp.dot(h, parameters[-2]) + parameters[-1] - y) ** 2)

    loss_and_gradients = autograd.value_and_grad(objective)

    def sgd(parameters: list[Any], steps: int) -> tuple[Any, Any]:
        loss = None
        for _ in range(steps):
            loss, gradients = loss_and_gradients(parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
        return parameters, loss

    def adam(state: tuple[list[Any], list[Any], list[Any], int], steps: int) -> tuple[Any, Any]:
        parameters, first, second, before = state
        loss = None
        for t in range(before + 1, before + steps + 1):
            loss, gradients = loss_and_gradients(parameters)
            for parameter, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
                m *= BETA1
                m += (1 - BETA1) * gradient
                v *= BETA2
                v += (1 - BETA2) * gradient**2
                parameter -= rate * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPSILON)
        return (parameters, first, second, before + steps), loss

    def start_of_adam() -> tuple[list[Any], list[Any], list[Any], int]:
        parameters = p.copies()
        return parameters, [np.zeros_like(q) for q in parameters], [np.zeros_like(q) for q in parameters], 0

    return Training(p.copies, sgd) if workload.optimizer == "sgd" else Training(start_of_adam, adam)
