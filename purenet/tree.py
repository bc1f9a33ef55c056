"""Trees of records, tuples, named tuples, lists and dicts, with arrays at the leaves; None is a tree without leaves.

Leaves come in one order everywhere: the fields of a record as they are declared, the items of a sequence by index, the
entries of a dict by sorted key. A path names a leaf as Python would reach it from the root: `layers[0].weight`,
`params["bias"]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from purenet.errors import DtypeError, ShapeError, StructureError, TreeError, join_paths
from purenet.records import assemble, fields_of, frozen, is_array_like, is_struct, own
from purenet.walk import (
    alike,
    branches,
    collect,
    difference,
    fill,
    is_leaf,
    kind_of,
    same_static,
    sequence_like,
)

T = TypeVar("T")


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, in order.

    Example:
        >>> leaves({"b": [1.0, None], "a": (2.0,)})
        [2.0, 1.0]
    """
    found: list[Any] = []
    collect(tree, found.append)
    return found


def paths(tree: Any) -> list[str]:
    """The path of every leaf, in the order of `leaves`.

    Example:
        >>> paths({"b": [1.0, 2.0], "a": (3.0,)})
        ['["a"][0]', '["b"][0]', '["b"][1]']
    """
    return [path for path, _ in items(tree)]


def items(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path, in order.

    Example:
        >>> list(items((1.0, [2.0])))
        [('[0]', 1.0), ('[1][0]', 2.0)]
    """
    if is_leaf(tree):
        yield path, tree
    else:
        for key, child in branches(tree):
            yield from items(child, join_paths(path, key))


def map(f: Callable[..., Any], *trees: Any) -> Any:
    """Apply `f` leaf by leaf to one or more trees of the same structure, and return a tree of that structure.

    `map(f, a, b)` has `f(x, y)` where `a` has the leaf `x` and `b` the leaf `y`. Arrays that go into a record are
    owned by it: one that somebody else could write to is copied.

    Raises:
        StructureError: if the trees differ in structure; it names the path and what each tree has there.

    Example:
        >>> map(lambda a, b: a + b, {"w": 1.0, "b": (2.0,)}, {"w": 10.0, "b": (20.0,)})
        {'b': (22.0,), 'w': 11.0}
    """
    return _map((lambda *xs: own(f(*xs))) if _holds_record(trees[0]) else f, trees)


def map_fresh(f: Callable[..., Any], *trees: Any) -> Any:
    """`map` for an `f` whose results are always freshly allocated: they are marked read-only instead of copied."""
    return _map(lambda *xs: frozen(f(*xs)), trees)


def _map(f: Callable[..., Any], trees: tuple[Any, ...]) -> Any:
    for other in trees[1:]:
        check_same_structure(trees[0], other)
    columns = zip(*[leaves(tree) for tree in trees], strict=True)
    return with_leaves(trees[0], [f(*xs) for xs in columns])


def map_with_path(f: Callable[..., Any], *trees: Any) -> Any:
    """`map` for an `f` that takes the path of the leaf before the leaves.

    Example:
        >>> map_with_path(lambda path, x: f"{path} = {x}", {"w": 1.0, "b": 2.0})
        {'b': '["b"] = 2.0', 'w': '["w"] = 1.0'}
    """
    names = iter(paths(trees[0]))
    return map(lambda *xs: f(next(names), *xs), *trees)


def flatten(tree: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """The leaves of a tree, and a function that builds a tree of the same structure from as many other leaves.

    The function neither converts nor validates nor copies.

    Example:
        >>> values, unflatten = flatten((1.0, [2.0, 3.0]))
        >>> unflatten([10 * v for v in values])
        (10.0, [20.0, 30.0])
    """
    found = leaves(tree)
    count = len(found)

    def unflatten(new: Sequence[Any]) -> Any:
        if len(new) != count:
            raise TreeError(f"expected {count} leaves, got {len(new)}")
        return with_leaves(tree, new)

    return found, unflatten


def with_leaves(tree: T, new: Sequence[Any]) -> T:
    """A tree of the same structure with other leaves, as many as it has, in order; `flatten` in one go.

    Example:
        >>> with_leaves({"w": 1.0, "b": (2.0,)}, [10.0, 20.0])
        {'b': (10.0,), 'w': 20.0}
    """
    filled: T = fill(tree, iter(new).__next__)
    return filled


def at(tree: T, path: str, value: Any) -> T:
    """A new tree that has `value` at `path`, and everything else as in `tree`.

    Args:
        tree: any tree.
        path: where to put it, as `paths` names it; a whole branch can be named as well as a leaf.
        value: what to put there. A leaf takes an array of the same shape and dtype; anything else is put as it is.

    Raises:
        TreeError: if the tree has no such path.
        ShapeError, DtypeError: if an array takes the place of one with another shape or dtype.

    Example:
        >>> at({"w": [1.0, 2.0]}, '["w"][1]', 5.0)
        {'w': [1.0, 5.0]}
    """
    owned = map(own, value) if _holds_record(tree) else value
    replaced: T = _replace(tree, _parse_path(path), owned, path)
    return replaced


def get(tree: Any, path: str) -> Any:
    """What a tree has at `path`.

    Raises:
        TreeError: if the tree has no such path.

    Example:
        >>> get({"w": [1.0, 2.0]}, '["w"][1]')
        2.0
    """
    for step, key in enumerate(_parse_path(path)):
        tree = _branch(tree, key, path, step)
    return tree


def ravel(tree: T) -> tuple[np.ndarray[Any, Any], Callable[[np.ndarray[Any, Any]], T]]:
    """All leaves of a tree in one flat vector, and the function that turns such a vector back into the tree.

    The vector has the dtype that holds every leaf without loss (`np.result_type`); `unravel` returns every leaf to its
    own dtype and shape, so that `unravel(ravel(tree)[0])` has the bits of `tree`.

    Raises:
        DtypeError: if there is no dtype that holds all leaves exactly (such as int64 beside float64).

    Example:
        >>> vector, unravel = ravel({"w": np.ones((2, 2)), "b": np.zeros(1, np.float32)})
        >>> vector
        array([0., 1., 1., 1., 1.])
        >>> unravel(2 * vector)["w"]
        array([[2., 2.],
               [2., 2.]])
    """
    values, unflatten = flatten(tree)
    arrays = [value if is_array_like(value) else np.asarray(value) for value in values]
    dtype = np.result_type(*[array.dtype for array in arrays]) if arrays else np.dtype(np.float64)
    for path, array in zip(paths(tree), arrays, strict=True):
        if not np.can_cast(array.dtype, dtype, "safe") or _loses_integers(array.dtype, dtype):
            raise DtypeError(
                f"{array.dtype} cannot be held exactly in a vector of {dtype}; ravel leaves of one kind", path=path
            )
    vector = np.concatenate([array.ravel().astype(dtype) for array in arrays]) if arrays else np.zeros(0, dtype)
    sizes = [array.size for array in arrays]

    def unravel(flat: np.ndarray[Any, Any]) -> T:
        if np.shape(flat) != vector.shape:
            raise ShapeError(f"expected a vector of shape {vector.shape}, got {np.shape(flat)}", path="unravel")
        starts = np.cumsum([0, *sizes])
        parts = [
            _as_leaf(flat[start : start + size].reshape(array.shape), array)
            for start, size, array in zip(starts, sizes, arrays, strict=False)
        ]
        tree: T = unflatten(parts)
        return tree

    return vector, unravel


def same_structure(a: Any, b: Any) -> bool:
    """Whether two trees have the same containers, fields and static values, whatever their leaves.

    Example:
        >>> same_structure((1.0, [2.0]), (3.0, [np.ones(2)])), same_structure((1.0,), [1.0])
        (True, False)
    """
    return alike(a, b)


def check_same_structure(a: Any, b: Any) -> None:
    """Raise a `StructureError` that names the first place where two trees differ in structure, if they do."""
    found = None if alike(a, b) else difference(a, b)
    if found is not None:
        path, left, right = found
        raise StructureError(f"the trees differ: the first has {left}, the other {right}", path=path)


def _holds_record(tree: Any) -> bool:
    """Whether there is a record anywhere in the tree."""
    if is_leaf(tree) or tree is None:
        return False
    return is_struct(tree) or any(_holds_record(child) for _, child in branches(tree))


_STEP = re.compile(r'\.?([A-Za-z_]\w*)|\[(-?\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\[\'((?:[^\'\\]|\\.)*)\'\]')


def _parse_path(path: str) -> list[str | int | tuple[str]]:
    """The steps of a path: a str for an attribute, an int for an index, a one-tuple for a dict key."""
    steps: list[str | int | tuple[str]] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            problem = f'cannot read {path[position:]!r}; a path looks like layers[0].weight or params["bias"]'
            raise TreeError(problem, path=path)
        name, index, double, single = match.groups()
        key = re.sub(r"\\(.)", r"\1", double or single or "")
        steps.append(name if name is not None else int(index) if index is not None else (key,))
        position = match.end()
    return steps


def _branch(tree: Any, key: str | int | tuple[str], path: str, step: int) -> Any:
    """The child of `tree` that one step of a path names."""
    try:
        if isinstance(key, str):
            names = fields_of(type(tree)).children if is_struct(tree) else getattr(type(tree), "_fields", ())
            if key in names:
                return getattr(tree, key)
        elif isinstance(key, tuple) and isinstance(tree, dict):
            return tree[key[0]]
        elif isinstance(key, int) and isinstance(tree, tuple | list | dict):
            return tree[key]
    except (KeyError, IndexError):
        pass
    known = [name for name, _ in branches(tree)] if not is_leaf(tree) else []
    has = f"it has {', '.join(known)}" if known else "nothing lies below it"
    raise TreeError(f"no such path: at step {step + 1} the tree is {kind_of(tree)}; {has}", path=path)


def _replace(tree: Any, steps: Sequence[str | int | tuple[str]], value: Any, path: str, depth: int = 0) -> Any:
    if depth == len(steps):
        return _check_replacement(tree, value, path)
    key = steps[depth]
    new = _replace(_branch(tree, key, path, depth), steps, value, path, depth + 1)
    if is_struct(tree):
        fields = fields_of(type(tree))
        return assemble(type(tree), {name: own(new) if name == key else getattr(tree, name) for name in fields.names})
    if isinstance(tree, dict):
        return {**tree, (key[0] if isinstance(key, tuple) else key): new}
    if isinstance(key, str):
        return tree._replace(**{key: new})
    index = key if isinstance(key, int) else 0
    return sequence_like(tree, [new if i == index % len(tree) else item for i, item in enumerate(tree)])


def _check_replacement(old: Any, new: Any, path: str) -> Any:
    """`new` as it may stand where `old` stood: an array keeps its shape and dtype."""
    if not (is_array_like(old) and is_leaf(new)):
        return new
    if not is_array_like(new):
        new = np.asarray(new, dtype=old.dtype)
    if new.shape != old.shape:
        raise ShapeError(f"expected shape {old.shape}, got {new.shape}", path=path)
    if new.dtype != old.dtype:
        problem = f"expected dtype {old.dtype}, got {new.dtype}; convert it with .astype(np.{old.dtype})"
        raise DtypeError(problem, path=path)
    return new


def _loses_integers(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """NumPy calls int64 to float64 a safe cast, though it is not exact."""
    return source.kind in "iu" and target.kind == "f" and source.itemsize >= target.itemsize


def _as_leaf(part: Any, like: np.ndarray[Any, Any]) -> Any:
    """A piece of a raveled vector as the leaf it came from: same dtype, owned; a tracer stays as it is."""
    if isinstance(part, np.ndarray | np.generic):
        return frozen(np.array(part, dtype=like.dtype, order="C"))
    return part


__all__ = [
    "at",
    "check_same_structure",
    "difference",
    "flatten",
    "get",
    "is_leaf",
    "items",
    "leaves",
    "map",
    "map_fresh",
    "map_with_path",
    "paths",
    "ravel",
    "same_static",
    "same_structure",
    "with_leaves",
]


def __dir__() -> list[str]:
    return __all__
