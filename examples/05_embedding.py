"""A network inside somebody else's code: an unknown law within a simulation, and a model within a class.

The simulation is plain NumPy and has never heard of networks. It takes the law of friction as a function, so a network
can stand in for the law, and `value_and_grad` differentiates through the whole simulation. The class has the interface
of its own library, `fit` and `predict`; that it trains a network is nobody's business.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
from toolz import reduce

import purenet as pn

# ---- A simulation that somebody else wrote --------------------------------------------------------------------------


def oscillate(friction: Callable[[Any], Any], start: Any, dt: float = 0.1, steps: int = 60) -> Any:
    """Positions of oscillators with unit mass and spring over time, by the semi-implicit Euler method.

    Args:
        friction: the force that opposes a velocity.
        start: initial positions, shape (oscillators, 1); all start at rest.
        dt: the time step.
        steps: how many.

    Returns:
        shape (steps, oscillators, 1).
    """
    position, velocity = start, 0 * start
    path = []
    for _ in range(steps):
        velocity = velocity + dt * (-position - friction(velocity))
        position = position + dt * velocity
        path.append(position)
    return np.stack(path)


def true_friction(velocity: Any) -> Any:
    """What nature does, and the experimenter does not know: drag that grows with the square of the speed."""
    return 0.1 * velocity + 0.3 * velocity * np.abs(velocity)


def learned_friction(steps: int = 300) -> tuple[pn.Sequential, float]:
    """A network fitted to observed positions alone, and how far its simulation is from them at the end."""
    start = np.linspace(-3.0, 3.0, 6)[:, None]
    observed = oscillate(true_friction, start)

    def misfit(net: Any, batch: Any) -> Any:
        return np.mean((oscillate(lambda v: pn.forward(net, v), start) - batch) ** 2)

    net = pn.mlp(pn.key(0), (1, 16, 1), activation=pn.Silu())
    optimizer = pn.adam(pn.schedules.cosine(5e-2, steps=steps))
    step = pn.make_step(misfit, optimizer)  # the training of any other function of parameters
    end = reduce(step, repeat(observed, steps), pn.init_state(net, optimizer))
    return end.net, float(np.sqrt(end.loss))


# ---- A class of somebody else's library -----------------------------------------------------------------------------


class SmoothCurve:
    """A curve through noisy points, with the interface of the library that it belongs to."""

    def __init__(self, width: int = 32, steps: int = 2000, seed: int = 0) -> None:
        self.width, self.steps, self.seed = width, steps, seed

    def fit(self, x: Any, y: Any) -> SmoothCurve:
        """Fit the curve to the points."""
        x, y = np.asarray(x, float)[:, None], np.asarray(y, float)[:, None]
        net = pn.mlp(pn.key(self.seed), (1, self.width, 1), activation=pn.Tanh())
        optimizer = pn.adam(1e-2)
        step = pn.make_step(pn.objective(pn.losses.mean_squared_error), optimizer)
        self._x, self._y = pn.standardize(x), pn.standardize(y)
        batch = (self._x(x), self._y(y))
        self._net = reduce(step, repeat(batch, self.steps), pn.init_state(net, optimizer)).net
        return self

    def predict(self, x: Any) -> Any:
        """The height of the curve at some places."""
        z = self._x(np.asarray(x, float)[:, None])
        return self._y.invert(pn.forward(self._net, z))[:, 0]


def main() -> None:
    """Print the law that was found, and the curve."""
    net, distance = learned_friction()
    print(f"friction learned from positions alone, which it reproduces to {distance:.4f}")
    print("velocity  true    learned")
    for velocity in (-1.5, -0.5, 0.5, 1.5):
        learned = pn.forward(net, np.array([[velocity]])).item()
        print(f"{velocity:8.1f} {true_friction(velocity):6.3f} {learned:9.3f}")

    x = np.linspace(0, 10, 80)
    y = 100 + 20 * np.sin(x) + np.random.RandomState(0).randn(80)
    curve = SmoothCurve().fit(x, y)
    distance = np.sqrt(np.mean((curve.predict(x) - 100 - 20 * np.sin(x)) ** 2))
    print(f"curve through points with noise of 1: {distance:.2f} from the truth")


if __name__ == "__main__":
    main()
