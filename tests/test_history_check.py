"""The check of a state: any changed bit changes it, and tells in which leaf."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from history_cases import KEY, NET

import purenet as pn
from purenet.history.check import leaves_that_differ, state_check


def _tree_of(count: int) -> Any:
    return {f"{i:03}": pn.random.normal(pn.fold_in(KEY, i), (3,)) for i in range(count)}


@pytest.mark.parametrize("size", [1, 3, 1024, 1025, 1040, 1041, 5000, 16 * 651, 131_072 // 8 + 1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_the_check_sees_any_flipped_bit(size: int, dtype: Any) -> None:
    """In small leaves and large, whole words or not: one flipped bit changes the check, and the mark of its leaf."""
    array = np.arange(size).astype(dtype)
    state = pn.init_state(NET, pn.adam(1e-3), key=KEY)
    original = state_check((state, array, 1.5))
    count = len(pn.tree.leaves((state, array, 1.5)))
    places = pn.random.integers(KEY, 0, array.nbytes * 8, (60,)).tolist()
    for place in [0, array.nbytes * 8 - 1, *places]:
        flipped = array.copy()
        flipped.view(np.uint8)[place // 8] ^= 1 << place % 8
        changed = state_check((state, flipped, 1.5))
        assert changed != original, place
        assert leaves_that_differ(changed, original, count) in ([], [count - 2])
    assert state_check((state, array.copy(), np.float64(1.5))) == original


@pytest.mark.parametrize("size", [2, 1024, 1040, 2048, 16 * 300, 16 * 301, 100_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_check_sees_a_bit_that_changes_in_every_number(size: int, dtype: Any) -> None:
    """A bit of the sign, the exponent or the fraction, in all numbers at once: parities of odd runs do not cancel."""
    array = pn.random.normal(KEY, (size,)).astype(dtype)
    bits = array.dtype.itemsize * 8
    for bit in (0, 1, bits // 2, bits - 2, bits - 1):
        flipped = array.copy()
        words: Any = flipped.view(f"u{array.dtype.itemsize}")
        words ^= words.dtype.type(1 << bit)
        assert state_check((flipped,)) != state_check((array,)), bit
    assert state_check((-array,)) != state_check((array,))


@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 48, 96, 97, 200])
def test_the_check_tells_leaves_apart(count: int) -> None:
    """However many leaves there are, each of them counts; up to 96 are told apart."""
    state = _tree_of(count)
    original = state_check(state)
    assert len(original) == 16
    for i, name in enumerate(state):
        changed = state_check({**state, name: np.array([1.0, 2.0, 3.0 + i])})
        assert changed != original
        assert leaves_that_differ(changed, original, count) in ([], [i])
    assert state_check(_tree_of(count)) == original


def test_the_check_is_of_values() -> None:
    """Byte order, layout and the kind of container of a number do not count; they are not kept by files either."""
    array = np.arange(12.0).reshape(3, 4)
    same = [array.astype(">f8"), np.asfortranarray(array), np.array(array), array[:]]
    assert len({state_check({"a": each}) for each in same}) == 1
    large = np.arange(12_000.0).reshape(300, 40)
    assert len({state_check(each) for each in (large, large.astype(">f8"), np.asfortranarray(large))}) == 1


def test_what_a_state_remembers_makes_no_difference() -> None:
    """A state as a step made it, and the same one built anew, with other containers, layouts and byte orders."""
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), pn.adam(1e-3))
    net = pn.mlp(KEY, (50, 40, 3))
    made = step(pn.init_state(net, pn.adam(1e-3), key=KEY), (np.ones((4, 50)), np.ones((4, 3))))
    values = {name: getattr(made, name) for name in ("step", "net", "optimizer", "key", "loss")}
    assert state_check(pn.State(**values)) == state_check(made)
    assert state_check(pn.tree.map(np.asfortranarray, made)) == state_check(made)
    assert state_check(list(values.values())[1:]) == state_check(made)
    for path in pn.tree.paths(made):
        leaf = np.array(pn.tree.get(made, path))
        leaf.reshape(-1).view(np.uint8)[-1] ^= 1
        other = pn.tree.at(made, path, leaf if leaf.ndim else leaf[()])
        assert state_check(other) != state_check(made), path
