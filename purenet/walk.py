"""How a tree is walked: what is a leaf, what lies below a node, and in which order.

Everything else about trees (`purenet.tree`) is built on these few functions.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Callable
from typing import Any

import numpy as np

from purenet.errors import TreeError, join_paths
from purenet.records import children_repr, fields_of, is_array_like, is_struct


def is_leaf(value: Any) -> bool:
    """Whether a tree ends here: not a record, tuple, list, dict or None."""
    return not (value is None or isinstance(value, tuple | list | dict) or hasattr(type(value), "__purenet_fields__"))


def branches(tree: Any) -> list[tuple[str, Any]]:
    """The children of a tree that is not a leaf, each with its key as a path shows it."""
    if tree is None:
        return []
    if is_struct(tree):
        return [(name, getattr(tree, name)) for name in fields_of(type(tree)).children]
    if hasattr(type(tree), "_fields"):
        return list(zip(tree._fields, tree, strict=True))
    if isinstance(tree, tuple | list):
        return [(f"[{i}]", item) for i, item in enumerate(tree)]
    return [(key_path(key), tree[key]) for key in _sorted_keys(tree)]


def collect(tree: Any, add: Callable[[Any], None]) -> None:
    """Hand every leaf to `add`, in order."""
    cls: Any = tree.__class__
    fields = getattr(cls, "__purenet_fields__", None)
    if fields is not None:
        for read, _ in fields.child_slots:
            child = read(tree)
            if child.__class__ is np.ndarray:  # spares most calls
                add(child)
            else:
                collect(child, add)
    elif cls is tuple:
        for item in tree:
            collect(item, add)
    elif cls is np.ndarray:
        add(tree)
    elif tree is None:
        return
    elif isinstance(tree, tuple | list):
        for item in tree:
            collect(item, add)
    elif isinstance(tree, dict):
        for key in _sorted_keys(tree):
            collect(tree[key], add)
    else:
        add(tree)


def fill(tree: Any, take: Callable[[], Any]) -> Any:
    """A tree of the same structure whose leaves are taken one by one, in order; quick on arrays, records and tuples."""
    cls: Any = tree.__class__
    fields = getattr(cls, "__purenet_fields__", None)
    if fields is not None:
        if not fields.child_slots:
            return tree
        new = cls.__new__(cls)
        for read, write in fields.child_slots:
            child = read(tree)
            write(new, take() if child.__class__ is np.ndarray else fill(child, take))
        for read, write in fields.static_slots:
            write(new, read(tree))
        return new
    if cls is tuple:
        return tuple([fill(child, take) for child in tree])
    if tree is None:
        return None
    if isinstance(tree, tuple | list):
        return sequence_like(tree, [fill(child, take) for child in tree])
    if isinstance(tree, dict):
        return {key: fill(tree[key], take) for key in _sorted_keys(tree)}
    return take()


def alike(a: Any, b: Any) -> bool:
    """Whether `difference` would find none; quick, for trees that nearly always are alike."""
    cls = type(a)
    if cls is np.ndarray or is_leaf(a):
        return type(b) is np.ndarray or is_leaf(b)
    if isinstance(a, dict) and isinstance(b, dict):  # of any kind
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if cls is not type(b):
        return False
    if hasattr(cls, "__purenet_fields__"):
        fields = cls.__purenet_fields__
        return all(same_static(read(a), read(b)) for read, _ in fields.static_slots) and all(
            alike(read(a), read(b)) for read, _ in fields.child_slots
        )
    if a is None:
        return True
    return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))


def difference(a: Any, b: Any, path: str = "") -> tuple[str, str, str] | None:
    """Where two trees first differ in structure: (path, what `a` has there, what `b` has there), or None."""
    if is_leaf(a) or is_leaf(b):
        return None if is_leaf(a) and is_leaf(b) else (path, kind_of(a), kind_of(b))
    if type(a) is not type(b) and not (isinstance(a, dict) and isinstance(b, dict)):
        return path, kind_of(a), kind_of(b)
    if is_struct(a):
        for name in fields_of(type(a)).statics:
            left, right = getattr(a, name), getattr(b, name)
            if not same_static(left, right):
                return join_paths(path, name), repr(left), repr(right)
    ours, theirs = branches(a), branches(b)
    if [key for key, _ in ours] != [key for key, _ in theirs]:
        return path, kind_of(a), kind_of(b)
    for (key, left), (_, right) in zip(ours, theirs, strict=True):
        found = difference(left, right, join_paths(path, key))
        if found is not None:
            return found
    return None


def same_static(a: Any, b: Any) -> bool:
    """Whether two static values are the same: of one type and equal, floats and the arrays of records to the bit."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return binary.pack("<d", a) == binary.pack("<d", b)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same_static, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_static(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray | np.generic):
        return bool(a.dtype == b.dtype) and a.shape == b.shape and a.tobytes() == b.tobytes()
    if is_struct(a):
        return all(same_static(getattr(a, name), getattr(b, name)) for name in fields_of(type(a)).names)
    return bool(a == b)


def kind_of(value: Any) -> str:
    """What a tree has at its root, in words."""
    if value is None:
        return "None"
    if is_leaf(value):
        return f"a leaf {children_repr(value)}" if is_array_like(value) else f"a leaf {value!r:.40}"
    if is_struct(value):
        return type(value).__name__
    if isinstance(value, dict):
        return f"dict with keys {_sorted_keys(value)}"
    return f"{type(value).__name__} of {len(value)}"


def sequence_like(sequence: Any, new: list[Any]) -> Any:
    """A list, tuple or named tuple like `sequence` with other items."""
    cls = type(sequence)
    if hasattr(cls, "_fields"):
        return cls(*new)
    return tuple(new) if isinstance(sequence, tuple) else new


def key_path(key: Any) -> str:
    """A dict key as a path shows it, with quotes escaped so that different keys never give the same path."""
    if not isinstance(key, str):
        return f"[{key!r}]"
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


def _sorted_keys(tree: dict[Any, Any]) -> list[Any]:
    try:
        return sorted(tree)
    except TypeError:
        raise TreeError(f"the keys of a dict in a tree must be sortable, got {list(tree)!r:.80}") from None
