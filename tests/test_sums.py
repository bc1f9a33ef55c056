"""Reductions of portable arithmetic: they follow the documented order to the bit, along any axes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from contract_cases import CUBE, X, real, signature

from purenet.arithmetic import sums
from purenet.arithmetic.contract import CONTRACT


def halving(terms, combine=lambda a, b: a + b):
    """The documented order, on scalars of a dtype."""
    terms = list(terms)
    while len(terms) > 1:
        half = math.ceil(len(terms) / 2)
        terms = [combine(terms[i], terms[i + half]) if i + half < len(terms) else terms[i] for i in range(half)]
    return terms[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (-1, 0), (0, 1, 2)])
@pytest.mark.parametrize("shape", [(4, 6, 5), (1, 7, 3), (33, 2, 9), (2, 40, 70)])
def test_reductions_follow_the_documented_order(shape, axis, dtype):
    """Bit for bit: every line by halving, its terms the reduced axes in C order."""
    array = real(*shape, dtype=dtype)
    axes = tuple(range(3)) if axis is None else tuple(sorted(a % 3 for a in np.atleast_1d(axis)))
    lines = np.moveaxis(array, axes, range(len(axes))).reshape(-1, *[n for i, n in enumerate(shape) if i not in axes])
    with np.errstate(over="ignore"):
        total = np.asarray(halving(lines))
        for keepdims in (False, True):
            form = np.sum(array, axis, keepdims=keepdims).shape
            assert signature(sums.total(array, axis, keepdims=keepdims)) == signature(total.reshape(form))
        assert signature(sums.product(array, axis)) == signature(halving(lines, lambda a, b: a * b))
    count = dtype(len(lines))
    mean = total / count
    assert signature(sums.mean(array, axis)) == signature(mean)
    variance = halving((lines - mean) * (lines - mean)) / count
    assert signature(sums.variance(array, axis)) == signature(variance)
    assert signature(sums.deviation(array, axis)) == signature(np.sqrt(variance))


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 31, 32, 33, 100, 640, 1280])
def test_sums_of_vectors_follow_the_documented_order(size):
    """Bit for bit, also where the last terms are added as Python floats."""
    for dtype in (np.float64, np.float32):
        vector = real(size, dtype=dtype)
        assert signature(sums.total(vector)) == signature(halving(vector))


def test_half_precision_is_summed_in_single():
    """And rounded once at the end."""
    half = real(100, dtype=np.float16)
    assert sums.total(half) == np.float16(halving(half.astype(np.float32)))
    assert sums.mean(half).dtype == sums.total(half).dtype == np.float16


def test_running_sums_go_from_first_to_last():
    """Bit for bit, each step rounded to the dtype, in every layout."""
    for dtype in (np.float64, np.float32, np.float16):
        for array in (real(300, dtype=dtype), real(300, 3, dtype=dtype), np.asfortranarray(real(300, 3, dtype=dtype))):
            for running, combine in ((sums.running_sum, np.add), (sums.running_product, np.multiply)):
                terms = array if combine is np.add else (1 + array / 256).astype(dtype)
                want = terms.copy()
                for i in range(1, len(want)):
                    want[i] = combine(want[i - 1], terms[i])
                assert signature(running(terms, 0)) == signature(want)


def test_what_where_and_initial_mean():
    """Left out elements are neutral in their place; the initial value joins in last."""
    where = X > 0
    assert signature(sums.total(X, 0, where=where)) == signature(sums.total(np.where(where, X, 0.0), 0))
    assert signature(sums.total(X, 0, initial=0.1)) == signature(sums.total(X, 0) + 0.1)
    assert signature(sums.mean(X, 1, where=where)) == signature(sums.total(X, 1, where=where) / where.sum(1))
    np.testing.assert_allclose(sums.variance(X, 1, where=where, ddof=1), np.var(X, 1, where=where, ddof=1), rtol=1e-14)
    np.testing.assert_allclose(sums.deviation(X, 0, keepdims=True), np.std(X, 0, keepdims=True), rtol=1e-14)
    assert sums.total(np.zeros((0, 3)), 0).tolist() == [0.0, 0.0, 0.0]
    assert float(sums.product(np.zeros(0))) == 1.0
    assert sums.total(np.float64(3.0), 0) == CONTRACT[(np.add, "reduce")](np.array(3.0)) == 3.0
    assert sums.total(X, 1, keepdims=np._NoValue).shape == (7,)


def test_sums_over_several_axes_of_nothing():
    """What is left may have no elements; what is summed over may have none."""
    assert sums.total(np.ones((2, 3, 0, 4)), (0, 1)).shape == (0, 4)
    assert sums.total(np.ones((2, 0, 3)), (0, 1)).tolist() == [0.0] * 3


def test_axes_that_are_not_there_are_refused():
    """With NumPy's errors."""
    with pytest.raises(np.exceptions.AxisError):
        sums.total(CUBE, 3)
    with pytest.raises(ValueError, match="duplicate"):
        sums.total(CUBE, (0, 0))
