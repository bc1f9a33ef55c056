"""Prepared products: those of steps that come again have the bits of `matmul`, however this machine multiplies."""

from __future__ import annotations

import math
import sys
from itertools import product as pairs

import numpy as np
import pytest
from test_exact import LAYOUTS, random
from toolz import reduce

import purenet as pn
from purenet.arithmetic import blas
from purenet.arithmetic.blas import multiply_like
from purenet.arithmetic.exact import matmul
from purenet.arithmetic.prepared import OutOfRangeError, product_like
from purenet.arithmetic.slicing import BLOCK, Operand
from purenet.optimizers import chain, scale

SHAPES = [(1, 1, 1), (6, 3, 5), (64, 20, 100), (64, 1000, 100), (300, 130, 170), (9, BLOCK, 61)]


@pytest.fixture(params=[False, True], ids=["whole", "in bands"])
def bands(request, monkeypatch):
    """Whether large products are made a few rows at a time, whatever this machine would do."""
    monkeypatch.setattr(blas, "_is_without_copies", lambda: request.param)
    return request.param


def same(found, expected):
    """Whether two arrays have the same bits."""
    return (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_bits_are_those_of_any_product(shape, dtype, slices, bands):
    """For all layouts of both operands, not only those that it was prepared for, and with slices that were kept."""
    rows, length, columns = shape
    x = random(1, rows, length, spread=3).astype(dtype)
    y = random(2, length, columns, spread=3).astype(dtype)
    expected = matmul(x, y, slices)
    layouts = [LAYOUTS[name] for name in ("Fortran", "strided")] + [np.copy]
    for of_x, of_y in pairs(layouts, repeat=2):
        product = product_like(of_x(x), of_y(y), slices)
        kept = Operand(of_x(x))
        for left, right in ((of_x(x), of_y(y)), (x, y), (kept, y), (kept, of_y(y))):
            assert same(product(left, right), expected)
        turned = Operand(np.ascontiguousarray(x.T)).transpose()
        assert same(product(turned, y), expected)
        assert same(product(turned, y), expected)


@pytest.mark.parametrize("shape", [(64, 1000, 100), (1000, 64, 100), (255, 64, 64), (64, 784, 30)], ids=str)
def test_bands_of_rows_are_the_product(shape, bands):
    """Of integers, which no way of multiplying rounds; the last band may be a shorter one."""
    rows, length, columns = shape
    draw = np.random.default_rng(0).integers
    x, y = draw(-9, 9, (rows, length)).astype(float), draw(-9, 9, (length, columns)).astype(float)
    multiply = multiply_like(x, y)
    assert (multiply is np.matmul) is not bands
    expected = x.astype(int) @ y.astype(int)
    for left in (x, np.asfortranarray(x)):
        np.testing.assert_array_equal(multiply(left, y), expected)


def test_what_bands_are_for(bands):
    """Neither for small products, nor for a right operand in columns, nor where a band would have too few rows."""
    x = np.ones((64, 1000))
    assert multiply_like(x, np.ones((1000, 15))) is np.matmul
    assert multiply_like(x, np.ones((100, 1000)).T) is np.matmul
    assert multiply_like(x, np.ones((1000, 126))) is np.matmul
    assert multiply_like(x[:, :10], np.ones((10, 10))) is np.ndarray.dot


def test_a_machine_decides(monkeypatch):
    """What is asked of the BLAS has an answer here, and in a Python without `ctypes`."""
    assert blas._is_without_copies() in (False, True)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert not blas._is_without_copies()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 2.0**450, 1e308, 2.0**-452, 5e-324])
@pytest.mark.parametrize("shape", [(6, 5, 7), (150, 130, 140)], ids=str)
def test_what_is_not_safe_is_refused(shape, value):
    """In either operand, kept or not; as long as nothing larger is in its line."""
    rows, length, columns = shape
    x, y = random(3, rows, length), random(4, length, columns)
    bad_x, bad_y = x.copy(), y.copy()
    bad_x[2], bad_y[:, 3] = 0.0, 0.0
    bad_x[2, 1] = bad_y[1, 3] = value
    product = product_like(x, y, 1)
    for left, right in ((bad_x, y), (x, bad_y), (Operand(bad_x), y), (Operand(x), bad_y)):
        with pytest.raises(OutOfRangeError):
            product(left, right)
    assert same(product(x, y), matmul(x, y))


@pytest.mark.parametrize("value", [0.0, -0.0, 2.0**-451, -(2.0**-451), np.nextafter(2.0**450, 0)])
def test_what_is_just_safe_is_not(value):
    """The bounds are those of the contract."""
    x, y = random(5, 40, 30), random(6, 30, 20)
    x[2], y[:, 3] = 0.0, 0.0
    x[2, 1] = y[1, 3] = value
    assert same(product_like(x, y, 1)(x, y), matmul(x, y))
    assert same(product_like(x, y, 1)(Operand(x), y), matmul(x, y))


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("signs", [*pairs([-1.0, 0.0, 1.0], repeat=2)])
def test_a_zero_is_positive(signs, slices, bands):
    """Also the sum of nothing but negative zeros; with slices that were kept it need not be made so each time."""
    x, y = random(7, 150, 100), random(8, 100, 120)
    x[1], y[:, 2] = signs[0] * np.abs(x[1]), signs[1] * np.abs(y[:, 2])
    x[3], y[:, 4] = -np.abs(x[3]), -0.0
    x[5, :50] = 0.0
    y[50:, 6] = -0.0
    for matrix in (x, np.abs(x)):
        expected = matmul(matrix, y, slices)
        assert not np.signbit(expected[expected == 0]).any()
        for left in (matrix, Operand(matrix), Operand(np.ascontiguousarray(matrix.T)).transpose()):
            assert same(product_like(x, y, slices)(left, y), expected)


def test_an_operand_knows_whether_its_lines_have_positive_numbers():
    """In the slices: what rounds to zero does not count."""
    x = np.array([[1.0, -1.0], [-1.0, 2.0**-60]])
    assert not Operand(x).keep(True, 1).is_positive
    assert not Operand(x).keep(False, 1).is_positive
    x[1, 1] = 0.5
    assert Operand(x).keep(True, 1).is_positive
    assert Operand(x).transpose().keep(False, 3).is_positive
    x[:] = [1.0, -1.0]
    for operand, of_rows in ((Operand(x), True), (Operand(x.T.copy()).transpose(), True)):
        assert operand.keep(of_rows, 1).is_positive
        assert not operand.keep(not of_rows, 1).is_positive


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones((2, BLOCK + 1)), np.ones((BLOCK + 1, 2))),
        (np.ones((0, 3)), np.ones((3, 2))),
        (np.ones((2, 3), "f2"), np.ones((3, 2), "f2")),
        (np.ones((2, 3), "f4"), np.ones((3, 2))),
        (np.ones((2, 3), int), np.ones((3, 2), int)),
    ],
    ids=["long", "empty", "half", "mixed", "integers"],
)
def test_not_everything_is_prepared(x, y):
    """The others are for `matmul`."""
    assert product_like(x, y, 1) is None


def magnitudes(scale_of_weights, scale_of_data, optimizer, biases):
    """A step, a state, and a batch."""
    net = pn.Sequential(
        (
            pn.Dense(random(1, 5, 7) * scale_of_weights, np.zeros(7) if biases else None),
            pn.Relu(),
            pn.Dense(random(2, 7, 3) * scale_of_weights, np.zeros(3) if biases else None),
        )
    )
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), optimizer))
    return step, pn.init_state(net, optimizer), (random(3, 8, 5) * scale_of_data, random(4, 8, 3) * scale_of_data)


OPTIMIZERS = {f"{rate:g}": pn.sgd(rate) for rate in (1e-3, 1e8, 2e9, 1e300)}
OPTIMIZERS["infinity times zero"] = chain(scale(1e305), scale(0.0))
OPTIMIZERS["four factors"] = chain(scale(1e8), scale(1e8), scale(1e8), scale(-1e-27))


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("data", [1.0, 1e70, 1e130])
@pytest.mark.parametrize("weights", [1.0, 1e-140, 1e-50])
def test_steps_of_any_magnitudes_are_the_general_ones(weights, data, optimizer, biases):
    """Prepared products refuse, weights become infinite or NaN, losses overflow: bit for bit the general step."""
    step, usual, (x, y) = magnitudes(1.0, 1.0, optimizer, biases)
    nothing = 0 * x, 0 * y
    assert reduce(step, [nothing] * 6, usual).plan is not None  # after which the step is written out
    _, start, batch = magnitudes(weights, data, optimizer, biases)
    with np.errstate(all="ignore"):
        quick = slow = step(start, nothing)
        for _ in range(6):
            try:
                slow = step.general(slow, batch)
            except pn.errors.NonFiniteError:
                with pytest.raises(pn.errors.NonFiniteError):
                    step(quick, batch)
                break
            quick = step(quick, batch)
            assert pn.same_bits(quick, slow)


@pytest.mark.parametrize("size", [1e-150, 1e140])
def test_a_batch_that_is_refused_from_the_first_step_on(size):
    """Then no step is written out for it, and it is carried out as ever."""
    step, state, batch = magnitudes(1.0, size, pn.sgd(1e-300), True)
    for _ in range(6):
        expected = step.general(state, batch)
        state = step(state, batch)
        assert pn.same_bits(state, expected)


@pytest.mark.parametrize(
    ("dtype", "x", "y", "factors"),
    [("f8", 1.9 * 2.0**449, 2.0**448, [9e8] * 4), ("f4", 1e25, 1e17, [0.5])],
    ids=["more factors than are known to be safe", "a narrower range"],
)
def test_gradients_that_become_infinite(dtype, x, y, factors):
    """Times zero that is NaN, of which the general step makes the one pattern of bits."""
    optimizer = chain(*map(scale, factors), scale(0.0))
    step = pn.portable(pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer))
    state = pn.init_state(pn.Dense(np.zeros((2, 3), dtype), np.zeros(3, dtype)), optimizer)
    ones = np.ones((256, 2), dtype), np.ones((256, 3), dtype)
    state = reduce(step, [(0 * ones[0], 0 * ones[1])] * 6, state)
    batch = (x * ones[0]).astype(dtype), (y * ones[1]).astype(dtype)
    with np.errstate(all="ignore"):
        found = step(state, batch)
        assert pn.same_bits(found, step.general(state, batch))
    assert np.isnan(found.net.weight).all()
