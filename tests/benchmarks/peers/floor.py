"""The floor: the matrix products of a step and nothing else, into arrays made before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import Training
from benchmarks.workloads import Workload, problem


def training(workload: Workload) -> Training:
    """Forward a product for each layer; backward two, but for the first layer, whose input needs no gradient."""
    products = _products(workload)

    def advance(state: None, steps: int) -> tuple[None, float]:
        for _ in range(steps):
            for a, b, out in products:
                np.matmul(a, b, out=out)
        return None, float("nan")

    return Training(lambda: None, advance, note="computes no loss")


def prediction(workload: Workload) -> Callable[[Any], Any]:
    """The products of the forward pass."""
    products = _products(workload)[: len(workload.sizes) - 1]

    def predict(x: Any) -> Any:
        for a, b, out in products:
            np.matmul(a, b, out=out)
        return None

    return predict


def _products(workload: Workload) -> list[tuple[Any, Any, Any]]:
    """The operands and the result of each product; only the shapes matter."""
    p = problem(workload)
    inputs, products = [p.x], []
    for weight, _ in p.layers:
        inputs.append(inputs[-1] @ weight)
        products.append((inputs[-2], weight, np.empty_like(inputs[-1])))
    cotangent = p.y.copy()
    for i, (weight, _) in reversed(list(enumerate(p.layers))):
        products.append((inputs[i].T, cotangent, np.empty_like(weight)))
        if i:
            products.append((cotangent, weight.T, np.empty_like(inputs[i])))
            cotangent = cotangent @ weight.T
    return products
