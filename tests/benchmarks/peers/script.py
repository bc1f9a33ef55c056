"""A plain script: the loop as a user of NumPy writes it for a network of two layers, weights changed in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Workload, problem


def training(workload: Workload) -> Training:
    """Forward, backward, update, with nothing hidden."""
    p = problem(workload)
    x, y, rate = p.x, p.y, workload.learning_rate

    def loss_and_gradients(w1: Any, b1: Any, w2: Any, b2: Any) -> tuple[Any, list[Any]]:
        h = x @ w1 + b1
        h_relu = np.maximum(h, 0)
        difference = h_relu @ w2 + b2 - y
        loss = np.mean(difference**2)
        d_y = 2 * difference / difference.size
        d_h = d_y @ w2.T * (h > 0)
        return loss, [x.T @ d_h, d_h.sum(axis=0), h_relu.T @ d_y, d_y.sum(axis=0)]

    def sgd(parameters: list[Any], steps: int) -> tuple[Any, Any]:
        loss = None
        for _ in range(steps):
            loss, gradients = loss_and_gradients(*parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
        return parameters, loss

    def adam(state: tuple[list[Any], list[Any], list[Any], int], steps: int) -> tuple[Any, Any]:
        parameters, first, second, before = state
        loss = None
        for t in range(before + 1, before + steps + 1):
            loss, gradients = loss_and_gradients(*parameters)
            for parameter, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
                m *= BETA1
                m += (1 - BETA1) * gradient
                v *= BETA2
                v += (1 - BETA2) * gradient**2
                m_hat = m / (1 - BETA1**t)
                v_hat = v / (1 - BETA2**t)
                parameter -= rate * m_hat / (np.sqrt(v_hat) + EPSILON)
        return (parameters, first, second, before + steps), loss

    def start_of_adam() -> tuple[list[Any], list[Any], list[Any], int]:
        parameters = p.copies()
        return parameters, [np.zeros_like(q) for q in parameters], [np.zeros_like(q) for q in parameters], 0

    return Training(p.copies, sgd) if workload.optimizer == "sgd" else Training(start_of_adam, adam)


def prediction(workload: Workload) -> Callable[[Any], Any]:
    """The bare NumPy expression."""
    layers = problem(workload).layers
    if len(layers) == 2:
        (w1, b1), (w2, b2) = layers
        return lambda x: np.maximum(x @ w1 + b1, 0) @ w2 + b2
    (w1, b1), (w2, b2), (w3, b3) = layers
    return lambda x: np.maximum(np.maximum(x @ w1 + b1, 0) @ w2 + b2, 0) @ w3 + b3
