"""The first seed program in JAX: the whole loop compiled."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
draw = np.random.RandomState(0).randn
x, y = draw(64, 1000), draw(64, 10)
w1, w2 = draw(1000, 100), draw(100, 10)


def objective(weights, x, y):
    w1, w2 = weights
    return jnp.sum((jax.nn.relu(x @ w1) @ w2 - y) ** 2)


@jax.jit
def train(weights, x, y):
    def step(weights, _):
        loss, gradients = jax.value_and_grad(objective)(weights, x, y)
        return jax.tree.map(lambda w, g: w - 1e-6 * g, weights, gradients), loss

    return jax.lax.scan(step, weights, None, length=int(sys.argv[1]))


_, losses = train((w1, w2), x, y)
print(float(losses[-1]))
