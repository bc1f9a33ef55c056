"""A portable step that sees a batch again: it changes no bit, and shows in nothing that a step is."""

from __future__ import annotations

import copy
import functools
import gc
import math
import pickle
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import pytest
from toolz import reduce

import purenet as pn
from purenet.arithmetic import slicing
from purenet.errors import NonFiniteError
from purenet.transforms.portability import recurring

ROWS, FEATURES = 90, 60


def make(dtype=np.float64, slices=1):
    """A portable step, a state to start from, and a batch."""
    net, optimizer = pn.mlp(pn.key(0), (FEATURES, 8, 2), dtype=dtype), pn.sgd(1e-3)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, FEATURES)).astype(dtype), rng.normal(size=(ROWS, 2)).astype(dtype)
    step = pn.portable(pn.make_step(pn.objective(pn.losses.mean_squared_error), optimizer), slices)
    return step, pn.init_state(net, optimizer), x, y


def copies(x, y):
    """The same batch in new arrays each time."""
    while True:
        yield x.copy(), y.copy()


def read_only(x):
    """A copy that nobody can write to."""
    x = x.copy()
    x.setflags(write=False)
    return x


@pytest.fixture
def cuts(monkeypatch):
    """The shapes of what is cut, as it happens."""
    seen = []
    cut = slicing.cut

    def counted(x, of_rows, count):
        if not isinstance(x, slicing.Operand):  # which has been cut, or calls this
            seen.append(x.shape)
        return cut(x, of_rows, count)

    monkeypatch.setattr(slicing, "cut", counted)
    return seen


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_batch_that_comes_again_gives_the_bits_of_new_arrays(dtype, slices):
    """The same array objects at every step, writable or not, and new ones at every step end in the same state."""
    step, start, x, y = make(dtype, slices)
    fresh = reduce(step, (batch for batch, _ in zip(copies(x, y), range(5), strict=False)), start)
    for again in ((x, y), (read_only(x), read_only(y)), [x, y], (np.asfortranarray(x), y)):
        other, _, _, _ = make(dtype, slices)
        assert pn.same_bits(reduce(other, repeat(again, 5), start), fresh)


@pytest.mark.parametrize("protect", [read_only, np.array], ids=["read-only", "writable"])
def test_slices_of_a_batch_are_cut_once(cuts, protect):
    """From the third step on, nothing is cut of the array that came before."""
    step, state, x, y = make()
    x = protect(x)
    for _ in range(2):
        state = step(state, (x, y))
    assert (ROWS, FEATURES) in cuts
    cuts.clear()
    for _ in range(3):
        state = step(state, (x, y))
    assert (ROWS, FEATURES) not in cuts


@pytest.mark.parametrize("steps_before", range(6))
def test_an_array_that_was_written_to_is_a_new_one(steps_before):
    """After any number of steps: another number, another sign of a zero, another shape, and back again."""
    step, start, x, y = make()
    x[0, 0] = 0.0
    state = reduce(step, repeat((x, y), steps_before), start)
    for value in (5.0, -0.0, 0.0, 5e-324, 1.0):
        x[0, 0] = value
        for _ in range(3):
            expected = make()[0](state, (x.copy(), y.copy()))
            state = step(state, (x, y))
            assert pn.same_bits(state, expected)
    x[0, 0] = np.nan
    with pytest.raises(NonFiniteError):
        step(state, (x, y))
    x[0, 0] = 1.0
    assert pn.same_bits(step(state, (x, y)), make()[0](state, (x.copy(), y.copy())))


def test_bits_are_compared_not_numbers():
    """-0 is not 0, and a NaN is the same NaN."""
    zeros = np.zeros((80, 80))
    before = recurring._seen_again(zeros, recurring._seen_again(zeros, recurring._seen_again(zeros, None)))
    assert before.operand is None
    assert not before.is_used  # no product has asked for slices
    kept = recurring._seen_again(zeros, recurring._seen_again(zeros, None))
    kept.operand.keep(True, 1)
    assert recurring._seen_again(zeros, kept) is kept
    zeros[3, 3] = -0.0
    assert recurring._seen_again(zeros, kept).operand is None
    zeros[3, 3] = 0.0
    assert recurring._seen_again(zeros, kept) is kept
    zeros[3, 3] = np.nan
    assert recurring._seen_again(zeros, kept).operand is None
    zeros = zeros.reshape(40, 160)
    assert recurring._seen_again(zeros, kept).operand is None


def fillable(way, folder, shape):
    """A read-only array, and a way to write to it all the same, as a reader of data may that fills it for each step."""
    array, buffer = np.empty(shape), bytearray(8 * math.prod(shape))
    if way == "the flag":

        def fill(values):
            array.setflags(write=True)
            array[...] = values
            array.setflags(write=False)

        return array, fill
    if way == "a file":
        whole = np.memmap(folder / "x", np.float64, "w+", shape=shape)
        array = np.asarray(np.memmap(folder / "x", np.float64, "r", shape=shape))
    elif way == "a buffer":
        whole = np.frombuffer(buffer).reshape(shape)
        array = np.frombuffer(memoryview(buffer).toreadonly()).reshape(shape)
    else:
        whole = array[:]
        array.setflags(write=False)
    return array, functools.partial(whole.__setitem__, ...)


@pytest.mark.parametrize("way", ["the flag", "a view", "a buffer", "a file"])
def test_a_read_only_array_that_is_written_to(way, tmp_path):
    """What comes is looked at, not what is said of it."""
    step, state, x, y = make()
    array, fill = fillable(way, tmp_path, x.shape)
    for value in (1.0, 2.0):
        fill(value * x)
        assert not array.flags.writeable
        for _ in range(6):
            expected = make()[0](state, (array.copy(), y))
            state = step(state, (array, y))
            assert pn.same_bits(state, expected)


def test_an_array_that_is_laid_out_anew():
    """In place: the same memory, in which other elements follow each other."""
    step, state, x, y = make()
    square, targets = x[:60].copy(), y[:60]
    for _ in range(3):
        for _ in range(6):
            expected = make()[0](state, (square.copy(), targets))
            state = step(state, (square, targets))
            assert pn.same_bits(state, expected)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            square.strides = square.strides[::-1]


def test_a_batch_of_any_form():
    """An objective of one's own, on a dict that has one array twice."""

    def objective(net, batch):
        return np.mean((batch["x"] @ net - batch["y"]) ** 2) + np.mean(batch["again"] @ net)

    step = pn.portable(pn.make_step(objective, pn.sgd(1e-3)))
    rng = np.random.default_rng(1)
    x, y, net = rng.normal(size=(80, 70)), rng.normal(size=(80, 4)), rng.normal(size=(70, 4))
    start = pn.init_state(net, pn.sgd(1e-3))
    batches = [{"x": x.copy(), "y": y.copy(), "again": x.copy()} for _ in range(5)]
    expected = reduce(step, batches, start)
    assert pn.same_bits(reduce(step, repeat({"x": x, "y": y, "again": x}, 5), start), expected)


def test_what_a_step_keeps_shows_in_nothing():
    """Its printed form, its digest, its pickled form and its copies are those of a step that has seen no batch."""
    step, state, x, y = make()
    unused, _, _, _ = make()
    reduce(step, repeat((x, y), 4), state)
    assert repr(step) == repr(unused)
    assert pn.tree.leaves(step) == pn.tree.leaves(unused) == []
    with_module_objective = pn.portable(pn.make_step(_objective, pn.sgd(1e-3)))
    before = pickle.dumps(with_module_objective)
    net = np.zeros((FEATURES, 2))
    start = pn.init_state(net, pn.sgd(1e-3))
    end = reduce(with_module_objective, repeat((x, y), 4), start)
    assert pickle.dumps(with_module_objective) == before
    again = pickle.loads(before)
    assert pn.same_bits(reduce(again, repeat((x, y), 4), start), end)
    assert pn.same_bits(reduce(copy.copy(with_module_objective), repeat((x, y), 4), start), end)


def _objective(net, batch):
    x, y = batch
    return np.mean((x @ net - y) ** 2)


def test_threads_may_share_a_step():
    """Each with batches of its own, which come again and again: every one gets the bits that it gets alone."""
    step, start, x, y = make()
    batches = [(x * k, y) for k in (1.0, 2.0, 3.0, 4.0)]
    expected = [reduce(make()[0], repeat(batch, 20), start) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: reduce(step, repeat(batch, 20), start), batches))
    assert all(map(pn.same_bits, found, expected))


def test_one_batch_at_most_is_kept_alive():
    """What came before the last batch is free; a large array is not kept at all."""
    step, state, x, y = make()
    first = x.copy()
    alive = weakref.ref(first)
    state = reduce(step, repeat((first, y), 3), state)
    del first
    gc.collect()
    assert alive() is not None
    step(state, (x, y))
    gc.collect()
    assert alive() is None

    large = np.zeros((recurring.LARGEST // FEATURES + 1, FEATURES))
    alive = weakref.ref(large)
    reduce(step, repeat((large, np.zeros((len(large), 2))), 2), state)
    del large
    gc.collect()
    assert alive() is None
