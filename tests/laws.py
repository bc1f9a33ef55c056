"""Laws that tests of every module state: purity, and derivatives by finite differences.

Import it from a test as `from laws import assert_pure`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from purenet import tree

Leaf = tuple[str, str, tuple[int, ...], bytes]


def leaf_bytes(values: Any) -> list[Leaf]:
    """Every leaf of a tree as (path, dtype, shape, bytes); two trees with equal lists have the same bits.

    Leaves without bits of their own, such as functions and key words, are held by their type and, where it does not
    show an address, their `repr`.

    Example:
        >>> leaf_bytes({"a": np.float32(1.0)})
        [('["a"]', '<f4', (), b'\\x00\\x00\\x80?')]
        >>> leaf_bytes(0.0) == leaf_bytes(-0.0)
        False
    """
    return [_leaf(path, value) for path, value in tree.items(values)]


def assert_pure(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `f` twice; fail unless arguments and NumPy's global state stay as they are and both results have equal bits.

    Returns:
        What the first call returned.

    Raises:
        AssertionError: it names the paths of the leaves that changed or differ.

    Example:
        >>> assert_pure(np.add, np.ones(2), 1.0)
        array([2., 2.])
        >>> assert_pure(np.ndarray.sort, np.array([2.0, 1.0]))
        Traceback (most recent call last):
            ...
        AssertionError: sort changed its arguments at ['[0][0]']
    """
    name = getattr(f, "__name__", None) or repr(f)
    arguments, ambient = leaf_bytes((args, kwargs)), _ambient_state()
    results = []
    for _ in range(2):
        results.append(f(*args, **kwargs))
        changed = _differing(arguments, leaf_bytes((args, kwargs)))
        if changed:
            raise AssertionError(f"{name} changed its arguments at {changed}")
        if _ambient_state() != ambient:
            raise AssertionError(f"{name} changed NumPy's global state, or drew from its global generator")
    first, second = results
    differing = _differing(leaf_bytes(first), leaf_bytes(second))
    if differing:
        raise AssertionError(f"{name} gave different bits when called again, at {differing}")
    return first


def finite_difference(f: Callable[..., Any], args: tuple[Any, ...], step: float = 1e-3) -> tuple[Any, ...]:
    """The gradient of a scalar function by central differences of fourth order, one tree per argument.

    Every element x of every float leaf is moved by h = step * max(1, |x|), and
    (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12 h is its derivative, with an error near 1e-12 times f for a
    smooth function of float64. Leaves that are not of floats get zeros.

    Example:
        >>> gradient, = finite_difference(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),))
        >>> np.round(gradient, 10)
        array([ 3., 12.])
    """
    leaves, unflatten = tree.flatten(args)
    gradients = []
    for position, leaf in enumerate(leaves):
        gradient = np.zeros(np.shape(leaf))
        if np.asarray(leaf).dtype.kind == "f":
            for index in np.ndindex(gradient.shape):
                gradient[index] = _derivative(f, leaves, unflatten, position, index, step)
        gradients.append(gradient)
    derivatives: tuple[Any, ...] = unflatten(gradients)
    return derivatives


def assert_close(actual: Any, expected: Any, *, rtol: float = 1e-8, atol: float = 1e-10) -> None:
    """Fail, naming the path, unless two trees have one structure and leaves that agree to `rtol` and `atol`.

    Example:
        >>> assert_close({"a": np.ones(2)}, {"a": np.ones(2) + 1e-12})
    """
    tree.check_same_structure(actual, expected)
    for (path, a), (_, b) in zip(tree.items(actual), tree.items(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=path or "the whole tree")


def _derivative(
    f: Callable[..., Any],
    leaves: list[Any],
    unflatten: Callable[[list[Any]], Any],
    position: int,
    index: tuple[int, ...],
    step: float,
) -> float:
    """The derivative with respect to one element of one leaf."""
    leaf = np.asarray(leaves[position])
    h = step * max(1.0, abs(float(leaf[index])))

    def moved(multiple: int) -> float:
        other = leaf.copy()
        other[index] += multiple * h
        return float(f(*unflatten([*leaves[:position], other[()], *leaves[position + 1 :]])))

    return (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * h)


def _leaf(path: str, value: Any) -> Leaf:
    if isinstance(value, np.ndarray | np.generic | bool | int | float | complex) and not _is_big(value):
        array = np.asarray(value)
        if array.dtype != object:
            kind = array.dtype.str if isinstance(value, np.ndarray | np.generic) else type(value).__name__
            return path, kind, array.shape, array.tobytes()
    shown = repr(value)
    return path, type(value).__name__, (), b"" if " at 0x" in shown else shown.encode()


def _is_big(value: Any) -> bool:
    return isinstance(value, int) and value.bit_length() > 63


def _ambient_state() -> str:
    """NumPy's global generator and error handling, which no pure function reads or changes."""
    generator = np.random.get_state(legacy=False)
    return repr((generator["state"]["key"].tobytes(), generator["state"]["pos"], generator["has_gauss"], np.geterr()))


def _differing(before: list[Leaf], after: list[Leaf]) -> list[str]:
    if len(before) != len(after):
        return [f"{len(before)} leaves before, {len(after)} after"]
    return [a[0] for a, b in zip(before, after, strict=True) if a != b]
