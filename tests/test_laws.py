"""The helpers that check laws reject what breaks them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from laws import assert_close, assert_pure, finite_difference, leaf_bytes

import purenet as pn


def test_leaf_bytes_tell_apart_what_equality_does_not() -> None:
    """Signed zeros, dtypes, shapes, NaN payloads and Python types differ; equal bits are equal wherever they lie."""
    quiet = np.frombuffer(b"\x01\x00\x00\x00\x00\x00\xf8\x7f")
    zeros = [0.0, -0.0, np.float64(0.0), np.float32(0.0), np.zeros(1), 0, False]
    different: list[Any] = [*zeros, np.nan, quiet, None, "0"]
    assert len({repr(leaf_bytes(value)) for value in different}) == len(different)
    assert leaf_bytes(np.arange(6.0)[::2]) == leaf_bytes(np.array([0.0, 2.0, 4.0]))


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        (lambda x: np.negative(x, out=x), "changed its arguments"),
        (lambda x: x + np.random.random(), "global state"),
        (lambda x: np.random.seed(1), "global state"),
        (partial(lambda calls, x: x + next(calls), iter(range(9))), "different bits"),
        (partial(lambda calls, x: next(calls), iter((0.0, -0.0))), "different bits"),
    ],
)
def test_assert_pure_rejects_each_breach(breach: Any, message: str) -> None:
    """Writing to an argument, the global generator, and a result that changes are each caught."""
    with pytest.raises(AssertionError, match=message):
        assert_pure(breach, np.ones(3))


def test_assert_pure_sees_inside_records_and_keywords() -> None:
    """An array inside a container given by keyword is watched too."""

    def double(*, params: dict[str, Any]) -> None:
        params["w"] *= 2

    with pytest.raises(AssertionError, match=r'params.*"w"'):
        assert_pure(double, params={"w": np.ones(2)})


def test_finite_difference_has_the_structure_of_the_arguments_and_eleven_digits() -> None:
    """Records, scalars and several arguments; integers get zeros."""

    @pn.struct
    class Line:
        slope: pn.Array
        offset: pn.Array

    def f(line: Line, x: Any, count: Any) -> Any:
        return count * np.sum(np.sin(line.slope * x) + line.offset**3)

    line = Line(np.array([0.5, -2.0]), 1.5)
    x = np.array([3.0, 0.25])
    by_line, by_x, by_count = finite_difference(f, (line, x, 2))
    expected = Line(2 * x * np.cos(line.slope * x), 2 * 2 * 3 * 1.5**2)
    assert_close(by_line, expected, rtol=1e-10)
    assert_close(by_x, 2 * line.slope * np.cos(line.slope * x), rtol=1e-10)
    assert by_count == 0


def test_assert_close_names_the_leaf() -> None:
    """The path of the leaf that differs is in the message."""
    with pytest.raises(AssertionError, match=r'\["a"\]\[1\]'):
        assert_close({"a": (1.0, 2.0)}, {"a": (1.0, 2.001)})
