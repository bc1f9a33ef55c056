"""Your own layer, loss and optimizer part: each a few lines of plain NumPy, used like those that purenet brings.

A layer is a record and a function of it. A loss is a function of a prediction and a target. An optimizer part is a
record with `init` and `update`. None inherits from anything, and none says how it is differentiated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from toolz import reduce, take

import purenet as pn


@pn.struct
class Sine:
    """A layer: waves whose frequency and phase are learned, for data that repeats itself."""

    frequency: pn.Array
    phase: pn.Array


@pn.forward.register
def _(layer: Sine, x: Any, *, key: Any = None) -> Any:
    return np.sin(x * layer.frequency + layer.phase)


def log_cosh(prediction: Any, target: Any) -> Any:
    """A loss: quadratic for small errors and linear for large ones, so that outliers do not rule."""
    error = np.abs(prediction - target)
    return np.mean(error + np.log1p(np.exp(-2 * error)) - np.log(2))


@pn.struct
class Lion:
    """An optimizer part: the sign of an average of gradients (Chen and others, 2023), so that all steps are alike.

    Its numbers are static fields. What it remembers is not a field: `init` makes it and `update` returns it anew.
    """

    beta1: float = pn.static(default=0.9)
    beta2: float = pn.static(default=0.99)

    def init(self, net: Any) -> Any:
        """An average of zero for every parameter."""
        return pn.tree.map(np.zeros_like, net)

    def update(self, updates: Any, state: Any, net: Any, step: int) -> tuple[Any, Any]:
        """The sign of the average, and the average that the next step starts from."""
        sign = pn.tree.map(lambda g, m: np.sign(self.beta1 * m + (1 - self.beta1) * g), updates, state)
        average = pn.tree.map(lambda g, m: self.beta2 * m + (1 - self.beta2) * g, updates, state)
        return sign, average


def noisy_wave(key: pn.random.Key, rows: int) -> pn.Dataset:
    """Points on a wave of two frequencies, one in twenty of them far off."""
    place, noise, outlier = pn.split(key, 3)
    x = pn.random.uniform(place, (rows, 1)) * 8 - 4
    far_off = pn.random.bernoulli(outlier, 0.05, (rows, 1))
    y = wave(x) + pn.random.normal(noise, (rows, 1)) * np.where(far_off, 5.0, 0.05)
    return pn.Dataset(x, y)


def wave(x: Any) -> Any:
    """What is to be found under the noise."""
    return np.sin(2 * x) + 0.5 * np.cos(5 * x)


def learned_wave() -> tuple[float, float]:
    """The root mean square distance to the true wave, before and after training."""
    data_key, net_key, run_key = pn.split(pn.key(1), 3)
    batches = pn.Batches(noisy_wave(data_key, 512), size=64, key=run_key)
    frequencies = np.linspace(0.5, 6.0, 24)
    net = pn.Sequential((Sine(frequencies, np.zeros(24)), pn.dense(net_key, 24, 1)))

    rate = pn.schedules.cosine(1e-2, steps=1500)
    optimizer = pn.chain(Lion(), pn.scale_by_learning_rate(rate))
    step = pn.make_step(pn.objective(log_cosh), optimizer)
    end = reduce(step, take(1500, batches), pn.init_state(net, optimizer))

    x = np.linspace(-4, 4, 400)[:, None]
    before, after = (float(np.sqrt(np.mean((pn.forward(n, x) - wave(x)) ** 2))) for n in (net, end.net))
    return before, after


def main() -> None:
    """Print how near the network comes to the wave."""
    before, after = learned_wave()
    print(f"distance to the true wave: {before:.3f} before training, {after:.3f} after")


if __name__ == "__main__":
    main()
