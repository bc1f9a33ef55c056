"""The first seed program as a fold: the same data, the same network, the same losses.

The program that purenet grew from fits random data by hand-written gradients, in a loop that overwrites its weights:

    for t in range(500):
        h_relu = np.maximum(x.dot(w1), 0)
        loss = np.square(h_relu.dot(w2) - y).sum()
        ...
        w1 -= learning_rate * grad_w1
        w2 -= learning_rate * grad_w2

Here nothing is overwritten. A network is a value, one step of training is a pure function from a state to the next one,
and the loop is `accumulate`, which yields every state on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat

import numpy as np
from toolz import accumulate

import purenet as pn

STEPS = 500
SHOWN = (0, 1, 2, 5, 10, 20, 47, 100, 200, 499)


def training() -> Iterator[pn.State]:
    """The state before training, then the state after each step."""
    # The program draws x, y, w1 and w2 in this order; the seed makes it the same data every time.
    draw = np.random.RandomState(0).randn
    x, y = draw(64, 1000), draw(64, 10)
    w1, w2 = draw(1000, 100), draw(100, 10)

    net = pn.Sequential((pn.Dense(w1), pn.Relu(), pn.Dense(w2)))  # Dense layers without a bias
    optimizer = pn.sgd(1e-6)
    step = pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer)
    return accumulate(step, repeat((x, y), STEPS), pn.init_state(net, optimizer))


def losses() -> list[float]:
    """The loss that the program prints at each of its steps."""
    after_each_step = islice(training(), 1, None)
    return [float(state.loss) for state in after_each_step]  # of the weights that the step started from


def main() -> None:
    """Print the losses as the seed program does, at some of its steps."""
    every = losses()
    for t in SHOWN:
        print(t, every[t])


if __name__ == "__main__":
    main()
