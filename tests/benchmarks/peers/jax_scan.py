"""JAX with Optax: the whole loop compiled into one function."""

from __future__ import annotations

from typing import Any

from benchmarks.peers import Training
from benchmarks.peers.jax_jit import program
from benchmarks.workloads import Workload


def training(workload: Workload) -> Training:
    """`jax.lax.scan` over the steps; it returns every loss, as the others could."""
    import jax

    step, fresh, x, y = program(workload)

    def loop(state: Any, x: Any, y: Any, steps: int) -> Any:
        return jax.lax.scan(lambda state, _: step(state, x, y), state, None, length=steps)

    compiled = jax.jit(loop, static_argnums=3)

    def advance(state: Any, steps: int) -> tuple[Any, Any]:
        state, losses = jax.block_until_ready(compiled(state, x, y, steps))
        return state, losses[-1]

    return Training(fresh, advance)
