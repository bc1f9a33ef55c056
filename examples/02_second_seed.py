"""The second seed program: conventions of its own, said openly.

Its hand-written backward pass differs from the gradient of the loss that it prints in two ways:

- it prints the *mean* of the squared errors, but follows the gradient of their *sum*: `pred_grad = 2 * (pred - true)`;
- it *averages* the gradients of the biases over the batch (`b_grad = np.mean(z_grad, 0)`), where those of the weights
  are summed: they are 1/64 of the true ones.

purenet has true gradients only, so neither happens by accident here. The objective is the sum, the mean is computed for
printing, and the biases get a scale of their own in the optimizer, where a reader can see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat

import numpy as np
from toolz import accumulate

import purenet as pn

STEPS = 501
BATCH, FEATURES, HIDDEN, TARGETS = 64, 20, 100, 10


def training() -> Iterator[pn.State]:
    """The state before training, then the state after each step."""
    # The order of the program: x, true, w1, w2.
    draw = np.random.RandomState(0).randn
    x, true = draw(BATCH, FEATURES), draw(BATCH, TARGETS)
    w1, w2 = draw(FEATURES, HIDDEN) * 0.1, draw(HIDDEN, TARGETS) * 0.1

    net = pn.Sequential((pn.Dense(w1, np.zeros(HIDDEN)), pn.Relu(), pn.Dense(w2, np.zeros(TARGETS))))
    averaged_biases = pn.scale_leaves({"*.bias": 1 / BATCH})
    optimizer = pn.chain(averaged_biases, pn.sgd(1e-3))
    step = pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer)
    return accumulate(step, repeat((x, true), STEPS), pn.init_state(net, optimizer))


def losses() -> list[float]:
    """The mean squared error that the program prints, at each of its steps."""
    after_each_step = islice(training(), 1, None)
    return [float(state.loss) / (BATCH * TARGETS) for state in after_each_step]


def main() -> None:
    """Print the losses as the seed program does, at every fiftieth step."""
    every = losses()
    for t in range(0, STEPS, 50):
        print(t, every[t])


if __name__ == "__main__":
    main()
