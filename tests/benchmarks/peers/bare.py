"""What NumPy itself can reach: the same step by hand, with a fresh array for each parameter and moment, as purenet has.

Nothing is checked, and what a pass or a call can be spared is spared: the learning rate is part of the cotangent or of
the quotient, temporaries are worked on in place, sums over the batch are products with ones, and Adam goes over one
vector of all parameters.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Workload, problem


def training(workload: Workload) -> Training:
    """The loop, written out for two layers."""
    p = problem(workload)
    x, y, rate = p.x, p.y, workload.learning_rate
    ones = np.ones(len(x), x.dtype)
    (w1, b1), (w2, b2) = p.layers
    splits = np.cumsum([0, w1.size, b1.size, w2.size, b2.size])

    def loss_and_gradients(parameters: Any, factor: float, out: list[Any]) -> Any:
        w1, b1, w2, b2 = parameters
        h = x.dot(w1)
        h += b1
        active = h > 0
        np.maximum(h, 0, out=h)
        d_y = h.dot(w2)
        d_y += b2
        d_y -= y
        flat = d_y.reshape(-1)
        loss = flat.dot(flat) / d_y.size
        d_y *= factor * 2 / d_y.size
        h.T.dot(d_y, out[2])
        ones.dot(d_y, out[3])
        d_h = d_y.dot(w2.T)
        d_h *= active
        x.T.dot(d_h, out[0])
        ones.dot(d_h, out[1])
        return loss

    def sgd(parameters: list[Any], steps: int) -> tuple[Any, Any]:
        loss = None
        for _ in range(steps):
            moved = [np.empty_like(parameter) for parameter in parameters]
            loss = loss_and_gradients(parameters, -rate, moved)
            for new, parameter in zip(moved, parameters, strict=True):
                new += parameter
            parameters = moved
        return parameters, loss

    def views(vector: Any) -> list[Any]:
        pieces = zip(splits[:-1].tolist(), splits[1:].tolist(), (w1, b1, w2, b2), strict=True)
        return [vector[start:end].reshape(like.shape) for start, end, like in pieces]

    def adam(state: tuple[Any, Any, Any, int], steps: int) -> tuple[Any, Any]:
        vector, first, second, before = state
        loss = None
        for t in range(before + 1, before + steps + 1):
            moved, new_first, new_second = np.empty_like(vector), np.empty_like(vector), np.empty_like(vector)
            loss = loss_and_gradients(views(vector), sqrt(1 - BETA2), views(moved))
            correction = (1 - BETA1**t) / -rate
            np.multiply(moved, (1 - BETA1) / sqrt(1 - BETA2), out=new_second)
            np.multiply(first, BETA1, out=new_first)
            new_first += new_second
            moved *= moved
            np.multiply(second, BETA2, out=new_second)
            new_second += moved
            np.sqrt(new_second, out=moved)
            moved *= correction / sqrt(1 - BETA2**t)
            moved += correction * EPSILON
            np.divide(new_first, moved, out=moved)
            moved += vector
            vector, first, second = moved, new_first, new_second
        return (vector, first, second, before + steps), loss

    def start_of_adam() -> tuple[Any, Any, Any, int]:
        vector = np.concatenate([parameter.reshape(-1) for parameter in p.copies()])
        return vector, np.zeros_like(vector), np.zeros_like(vector), 0

    return Training(p.copies, sgd) if workload.optimizer == "sgd" else Training(start_of_adam, adam)
