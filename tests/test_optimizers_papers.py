"""Every recipe equals its paper: an independent implementation, one parameter at a time, in plain Python numbers.

Each reference takes the first value of a parameter, its gradients, and the rate for each step, and yields the values
that the parameter takes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from purenet import schedules, tree
from purenet.optimizers import adagrad, adam, adamw, chain, rmsprop, scale, scale_by_rms, sgd, trace


def momentum_reference(p, gradients, rate, decay=0.9, nesterov=False):
    """Polyak's momentum; Nesterov's as Bengio et al. (2013) rewrite it."""
    velocity = 0.0
    for t, g in enumerate(gradients):
        velocity = decay * velocity + g
        p = p - rate(t) * (g + decay * velocity if nesterov else velocity)
        yield p


def adam_reference(p, gradients, rate, beta1=0.9, beta2=0.999, epsilon=1e-8, decay=0.0):
    """Kingma and Ba (2015), algorithm 1; with decay, Loshchilov and Hutter (2019), algorithm 2, lines 12."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - math.pow(beta1, t))
        v_hat = v / (1 - math.pow(beta2, t))
        p = p - rate(t - 1) * (m_hat / (math.sqrt(v_hat) + epsilon) + decay * p)
        yield p


def rmsprop_reference(p, gradients, rate, decay=0.9, epsilon=1e-8, momentum=0.0):
    """Hinton (2012), lecture 6e: divide the gradient by a running average of its recent magnitude."""
    mean_square = velocity = 0.0
    for t, g in enumerate(gradients):
        mean_square = decay * mean_square + (1 - decay) * g**2
        velocity = momentum * velocity + g / (math.sqrt(mean_square) + epsilon)
        p = p - rate(t) * velocity
        yield p


def adagrad_reference(p, gradients, rate, total=0.0, epsilon=1e-8):
    """Duchi et al. (2011), figure 1, the diagonal of the outer products."""
    for t, g in enumerate(gradients):
        total += g**2
        p = p - rate(t) / (epsilon + math.sqrt(total)) * g
        yield p


def steady(_):
    """A constant rate."""
    return 0.01


def cosine_rate(t):
    """The schedule of the rows below, from its formula."""
    return 0.01 * (1 + math.cos(math.pi * min(t, 800) / 800)) / 2


falling = schedules.cosine(0.01, steps=800)
PAPERS = {
    "sgd": (sgd(0.01), lambda p, g: momentum_reference(p, g, steady, decay=0.0)),
    "momentum": (sgd(falling, momentum=0.9), lambda p, g: momentum_reference(p, g, cosine_rate)),
    "nesterov": (
        sgd(falling, momentum=0.95, nesterov=True),
        lambda p, g: momentum_reference(p, g, cosine_rate, 0.95, nesterov=True),
    ),
    "adam": (adam(0.01), lambda p, g: adam_reference(p, g, steady)),
    "adam, falling": (
        adam(falling, beta1=0.8, beta2=0.99, epsilon=1e-3),
        lambda p, g: adam_reference(p, g, cosine_rate, 0.8, 0.99, 1e-3),
    ),
    "adam, no memory": (adam(0.01, beta1=0.0, beta2=0.0), lambda p, g: adam_reference(p, g, steady, 0.0, 0.0)),
    "adamw": (adamw(falling, weight_decay=0.1), lambda p, g: adam_reference(p, g, cosine_rate, decay=0.1)),
    "rmsprop": (rmsprop(0.01), lambda p, g: rmsprop_reference(p, g, steady)),
    "rmsprop, momentum": (
        rmsprop(falling, decay=0.99, epsilon=1e-6, momentum=0.9),
        lambda p, g: rmsprop_reference(p, g, cosine_rate, 0.99, 1e-6, 0.9),
    ),
    "adagrad": (adagrad(0.01), lambda p, g: adagrad_reference(p, g, steady)),
    "adagrad, initial": (adagrad(0.01, initial=0.1), lambda p, g: adagrad_reference(p, g, steady, 0.1)),
}
STEPS = 1000


def gradients_of_all_sizes():
    """Random gradients for two leaves, six and two numbers; each number has a scale of its own."""
    random = np.random.RandomState(0)
    scales = 10.0 ** np.array([-6, -3, -1, 0, 2, 5, 0, 1.0])
    return random.standard_normal((STEPS, 8)) * scales + 0.1 * scales


def trajectory(optimizer, start, gradients):
    """The parameters after each step, as a matrix."""
    net: Any = {"w": start[:6].reshape(2, 3), "b": [start[6:]]}
    state = optimizer.init(net)
    rows = []
    for step, g in enumerate(gradients):
        updates, state = optimizer.update({"w": g[:6].reshape(2, 3), "b": [g[6:]]}, state, net, step)
        net = tree.map_fresh(np.add, net, updates)
        rows.append(np.concatenate([net["w"].ravel(), net["b"][0]]))
    return np.array(rows)


def worst_difference(found, expected):
    """The largest difference at any step, relative to the largest magnitude that parameter has had."""
    magnitude = np.max(np.abs(expected), axis=0)
    return float(np.max(np.abs(found - expected) / magnitude))


@pytest.mark.parametrize(("optimizer", "reference"), PAPERS.values(), ids=PAPERS)
def test_a_recipe_equals_its_paper(optimizer, reference):
    """Over 1,000 steps of random gradients, to 1e-12, against scalars in plain Python."""
    start = np.random.RandomState(1).standard_normal(8)
    gradients = gradients_of_all_sizes()
    expected = np.array([list(reference(p, g)) for p, g in zip(start.tolist(), gradients.T.tolist(), strict=True)]).T
    assert worst_difference(trajectory(optimizer, start, gradients), expected) < 1e-12


@pytest.mark.parametrize(
    "wrong",
    [adam(0.01, beta2=0.9991), adam(0.01, epsilon=2e-8), chain(trace(0.9), scale_by_rms(0.999), scale(-0.001))],
)
def test_the_comparison_with_the_papers_tells_a_wrong_adam(wrong):
    """Another beta, another epsilon and a missing bias correction are all seen."""
    start, gradients = np.random.RandomState(1).standard_normal(8), gradients_of_all_sizes()
    references = [adam_reference(p, g, steady) for p, g in zip(start.tolist(), gradients.T.tolist(), strict=True)]
    expected = np.array([list(reference) for reference in references]).T
    assert worst_difference(trajectory(wrong, start, gradients), expected) > 1e-10


def test_the_first_step_of_adam_has_the_length_of_the_rate():
    """The bias correction makes the first direction the sign of the gradient."""
    gradient = {"w": np.array([1e-3, -5.0, 1e4])}
    part = adam(0.1)
    update = part.update(gradient, part.init(gradient), gradient, 0)[0]["w"]
    assert np.allclose(update, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_a_step_far_along_is_quick_and_finite():
    """The bias correction goes to 1 without an error after any number of steps."""
    gradient = {"w": np.ones(2)}
    part = adam(0.1)
    state = part.init(gradient)
    for step in (10**6, 10**12):
        assert np.all(np.isfinite(part.update(gradient, state, gradient, step)[0]["w"]))
