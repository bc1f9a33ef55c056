"""Sums in a documented order: they follow it to the bit, lose little, and neither overflow nor underflow needlessly."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from purenet.arithmetic.reduction import fixed_order_sum, norm, sum_of_squares

SIZES = [0, 1, 2, 3, 5, 7, 15, 16, 17, 31, 33, 100, 127, 128, 129, 1000]


def halving(terms):
    """The documented order, written as it is documented, on Python numbers."""
    terms = list(terms)
    while len(terms) > 1:
        half = math.ceil(len(terms) / 2)
        terms = [terms[i] + terms[i + half] if i + half < len(terms) else terms[i] for i in range(half)]
    return terms[0] if terms else 0.0


def draw(size, dtype=np.float64, seed=0):
    """Numbers of very different size, so that the order of a sum shows in its last bits."""
    random = np.random.RandomState(seed)
    return (random.randn(size) * 10.0 ** random.randint(-3, 4, size)).astype(dtype)


@pytest.mark.parametrize("size", SIZES)
def test_a_sum_follows_the_documented_order(size):
    """Bit for bit, in double and in single precision."""
    x = draw(size)
    assert float(fixed_order_sum(x)).hex() == float(halving(x.tolist())).hex()
    single = x.astype(np.float32)
    total = fixed_order_sum(single)
    assert total.dtype == np.float32
    assert total == halving(list(single))


@pytest.mark.parametrize("size", SIZES)
def test_a_sum_of_squares_follows_the_documented_order(size):
    """Bit for bit; squares of float32 are summed in double precision."""
    x = draw(size)
    assert sum_of_squares(x).hex() == float(halving([v * v for v in x.tolist()])).hex()
    single = x.astype(np.float32)
    assert sum_of_squares(single).hex() == float(halving([v * v for v in single.tolist()])).hex()


def test_the_order_matters_here():
    """The numbers above would expose another order: adding them from first to last gives other bits."""
    x = draw(1000)
    ascending = 0.0
    for value in x.tolist():
        ascending += value
    assert float(fixed_order_sum(x)) != ascending


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_along_an_axis_each_sum_is_the_sum_of_its_own_line(axis):
    """A row's sum has the same bits whatever rows lie beside it."""
    x = draw(7 * 5 * 33).reshape(7, 5, 33)
    total = fixed_order_sum(x, axis=axis)
    lines = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    assert total.ravel().tobytes() == np.array([fixed_order_sum(line) for line in lines]).tobytes()
    assert total.shape == np.sum(x, axis=axis).shape


def test_sums_over_nothing_are_zero():
    """As in NumPy."""
    assert fixed_order_sum(np.zeros((0, 3)), axis=0).tolist() == [0.0, 0.0, 0.0]
    assert fixed_order_sum(np.zeros((2, 0)), axis=1).shape == (2,)
    assert norm([]) == norm([np.zeros(0)]) == 0.0


def test_the_rounding_error_is_small():
    """At most ceil(log2 n) roundings lie between a term and the sum."""
    x = draw(5000)
    exact = sum(Fraction(v) ** 2 for v in x.tolist())
    error = abs(Fraction(sum_of_squares(x)) - exact) / exact
    assert error < 14 * Fraction(1, 2**53)


def test_views_are_summed_in_c_order_and_left_alone():
    """A transposed array has the sum of its own order, not that of its memory; the argument keeps its bytes."""
    x = draw(60).reshape(6, 10)
    before = x.tobytes()
    assert sum_of_squares(x.T) == sum_of_squares(x.T.copy())
    assert fixed_order_sum(x.T) == fixed_order_sum(x.T.copy())
    fixed_order_sum(x, axis=0)
    norm([x, x.T])
    assert x.tobytes() == before


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-160, 1.0, 1e160, 1e200, 1e307])
def test_a_norm_survives_the_range_of_doubles(size):
    """Where squares overflow or underflow, elements are scaled by a power of two; no warning either."""
    arrays = [np.array([3.0, 0.0]) * size, np.array([[4.0]]) * size]
    assert norm(arrays) == pytest.approx(5 * size, rel=1e-15 if size > 1e-300 else 1e-3)


def test_a_norm_of_single_and_half_precision_is_taken_in_double():
    """Squares of large float32 or float16 do not overflow."""
    assert norm([np.array([3e38, 0.0], np.float32)]) == float(np.float32(3e38))
    assert norm([np.array([6e4, 6e4], np.float16)]) == math.sqrt(2.0 * float(np.float16(6e4)) ** 2)


def test_a_norm_that_is_not_finite_says_so():
    """NaN and infinity are reported, and a norm beyond the largest double is infinity."""
    assert math.isnan(norm([np.array([1.0, np.nan]), np.array([np.inf])]))
    assert math.isnan(norm([np.array([1e200, np.nan])]))
    assert norm([np.array([1.0, -np.inf])]) == math.inf
    assert norm([np.array([1.0, -np.inf], np.float32)]) == math.inf
    assert norm([np.full(4, 1.7e308)]) == math.inf
