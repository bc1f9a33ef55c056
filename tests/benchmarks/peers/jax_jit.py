"""JAX with Optax: one compiled function for each step, called from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Workload, problem


def training(workload: Workload) -> Training:
    """`step = jax.jit(step)`, in a loop."""
    import jax

    step, fresh, x, y = program(workload)
    compiled = jax.jit(step)

    def advance(state: Any, steps: int) -> tuple[Any, Any]:
        loss = None
        for _ in range(steps):
            state, loss = compiled(state, x, y)
        return jax.block_until_ready((state, loss))

    return Training(fresh, advance)


def program(workload: Workload) -> tuple[Callable[..., Any], Callable[[], Any], Any, Any]:
    """`step(state, x, y) -> (state, loss)`, the function that makes the state before the first step, and the batch."""
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    p = problem(workload)
    rate = workload.learning_rate
    optimizer = optax.sgd(rate) if workload.optimizer == "sgd" else optax.adam(rate, BETA1, BETA2, EPSILON)

    def objective(layers: Any, x: Any, y: Any) -> Any:
        return jnp.mean((forward(layers, x) - y) ** 2)

    def step(state: Any, x: Any, y: Any) -> Any:
        layers, moments = state
        loss, gradient = jax.value_and_grad(objective)(layers, x, y)
        updates, moments = optimizer.update(gradient, moments, layers)
        return (optax.apply_updates(layers, updates), moments), loss

    layers = jax.tree.map(jnp.asarray, p.layers)
    start = jax.block_until_ready((layers, optimizer.init(layers)))
    return step, lambda: start, jnp.asarray(p.x), jnp.asarray(p.y)


def forward(layers: Any, x: Any) -> Any:
    """The network."""
    import jax

    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = jax.nn.relu(x @ w + b)
    return x @ weight + bias


def prediction(workload: Workload) -> Callable[[Any], Any]:
    """The compiled network, from a NumPy array to an array of JAX."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    layers = jax.tree.map(jnp.asarray, problem(workload).layers)
    compiled = jax.jit(forward)
    return lambda x: jax.block_until_ready(compiled(layers, x))
