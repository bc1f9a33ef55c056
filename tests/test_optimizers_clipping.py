"""Clipping: it bounds what it says, keeps what it should, and neither hides nor spreads what is not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
from laws import leaf_bytes

from purenet import tree
from purenet.optimizers import clip, clip_by_global_norm


def draw():
    """A gradient of several leaves."""
    random = np.random.RandomState(0)
    return {"layers": [(random.standard_normal((4, 3)), random.standard_normal(3)), None], "scale": np.array(0.3)}


@pytest.mark.parametrize("size", [1e-300, 1e-3, 1.0, 1e3, 1e150, 1e200])
def test_clipping_bounds_the_norm_and_keeps_the_direction(size):
    """Whatever the size of the gradient, short of overflow."""
    gradient = tree.map(lambda leaf: size * leaf, draw())
    clipped, _ = clip_by_global_norm(0.5).update(gradient, None, gradient, 0)
    flat, before = (np.concatenate([leaf.ravel() for leaf in tree.leaves(t)]) for t in (clipped, gradient))
    if size < 0.1:
        assert all(a is b for a, b in zip(tree.leaves(clipped), tree.leaves(gradient), strict=True))
    else:
        assert np.linalg.norm(flat) == pytest.approx(0.5, rel=1e-14)
        assert np.allclose(flat / flat[0], before / before[0], rtol=1e-13)


def test_a_norm_counts_every_leaf():
    """The norm is that of all leaves together, in double precision for float32."""
    gradient = {"a": np.full(4, 1.0, np.float32), "b": [np.full((2, 2), 2.0, np.float32), None]}
    clipped, _ = clip_by_global_norm(1.0).update(gradient, None, gradient, 0)
    assert clipped["a"][0] == pytest.approx(1 / math.sqrt(20), rel=1e-7)
    assert clipped["b"][0].dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_stays_visible(bad):
    """Clipping by the norm neither spreads NaN over all leaves nor hides it."""
    gradient = {"good": np.ones(3), "bad": np.array([1.0, bad])}
    clipped, _ = clip_by_global_norm(0.5).update(gradient, None, gradient, 0)
    assert leaf_bytes(clipped) == leaf_bytes(gradient)
    limited, _ = clip(0.5).update(gradient, None, gradient, 0)
    assert limited["good"].tolist() == [0.5] * 3
    assert limited["bad"][1] == 0.5 or np.isnan(bad)
    assert np.isnan(limited["bad"][1]) == np.isnan(bad)
