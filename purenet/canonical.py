"""Bits of trees: whether two trees have the same, where they differ, and one documented byte string for each tree.

`same_bits` and `differences` compare structure (containers, classes, static fields) and every leaf by dtype, shape and
bytes: NaN payloads and the sign of zero count, and float32 never equals float64. How a leaf lies in memory (strides,
byte order, NumPy scalar or zero-dimensional array, Python float or `np.float64`) does not.

`canonical_bytes` writes just that down, so that two different trees never have the same bytes and one tree has the same
bytes on every machine. `docs/model-files.md` specifies them byte by byte.
"""

from __future__ import annotations

import math
import struct as binary
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from purenet.errors import ArgumentError, DtypeError, TreeError, join_paths
from purenet.records import Array, children_repr, fields_of, is_struct
from purenet.registry import has_name, name_of, qualified_name
from purenet.walk import is_leaf, key_path, same_static

CANONICAL_FORM = b"purenet canonical 1\n"
"""What canonical bytes begin with. A change of the form is a change of this line."""

_DTYPES = (
    {"b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64"}
    | {"u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64"}
    | {"f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64", "c16": "complex128"}
)
_u64: Callable[[int], bytes] = binary.Struct("<Q").pack

Write = Callable[[Any], object]
"""Where canonical bytes go, piece by piece."""


class Difference(NamedTuple):
    """One place where two trees differ: its path, what each tree has there, and why they are not the same."""

    path: str
    left: Any
    right: Any
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}" if self.path else self.why


def same_bits(a: Any, b: Any) -> bool:
    """Whether two trees have the same structure and the same dtype, shape and bytes in every leaf.

    Example:
        >>> same_bits({"w": 0.0}, {"w": np.array(0.0)}), same_bits(0.0, -0.0), same_bits(1.0, np.float32(1.0))
        (True, False, False)
    """
    return next(differences(a, b), None) is None


def differences(a: Any, b: Any, path: str = "") -> Iterator[Difference]:
    """Every difference between two trees, in structure, static values and bits; dicts by the types and texts of keys.

    Args:
        a, b: any trees.
        path: where both lie in a larger tree.

    Raises:
        DtypeError: if there is an array of objects.
    """
    if a is b:
        return
    if is_leaf(a) and is_leaf(b):
        why = _why_leaves_differ(a, b, path)
        if why:
            yield Difference(path, a, b, why)
    elif type(a) is not type(b):
        yield Difference(path, a, b, f"{_kind(a)} and {_kind(b)}")
    elif is_struct(a):
        yield from _record_differences(a, b, path)
    elif isinstance(a, dict):
        yield from _dict_differences(a, b, path)
    elif a is not None:
        if len(a) != len(b):
            yield Difference(path, a, b, f"{_kind(a)} and {_kind(b)}")
        names = getattr(type(a), "_fields", None) or [f"[{i}]" for i in range(len(a))]
        for name, left, right in zip(names, a, b, strict=False):
            yield from differences(left, right, join_paths(path, name))


def ulp_distance(a: Array, b: Array) -> Array:
    """How many representable numbers lie between two floating arrays of one dtype, element by element, as uint64.

    The distance is 0 from 0.0 to -0.0 and 1 from the largest finite number to infinity. It means nothing for NaN.
    """
    left, right = _native(np.asarray(a)), _native(np.asarray(b))
    size = left.dtype.itemsize
    if left.dtype.kind != "f" or left.dtype != right.dtype or size > 8:
        raise DtypeError(f"expected two floating arrays of one dtype, got {left.dtype} and {right.dtype}", path="b")
    sign = np.uint64(1 << (8 * size - 1))
    x, y = (array.view(f"u{size}").astype(np.uint64) for array in (left, right))
    across = ((x ^ y) & sign) != 0
    x, y = x & ~sign, y & ~sign
    return np.where(across, x + y, np.maximum(x, y) - np.minimum(x, y))


def canonical_bytes(tree: Any) -> bytes:
    """The canonical bytes of a tree: the same for the same bits, on any machine; different for different trees.

    Raises:
        DtypeError: if the tree holds something that has no canonical bytes; it names the path.
        ArgumentError: if a static field holds a function or class without a name (see `pn.register`).
    """
    chunks: list[Any] = [CANONICAL_FORM]
    _encode(tree, "", chunks.append)
    return b"".join(chunks)


def digest(tree: Any) -> str:
    """The SHA-256 of the canonical bytes of a tree, in hexadecimal. Arrays are hashed where they lie.

    Raises:
        DtypeError, ArgumentError: as `canonical_bytes`.

    Example:
        >>> digest({"a": 1.0, "b": 2.0}) == digest({"b": 2.0, "a": 1.0})
        True
        >>> digest(None)
        'd6b150aa7916f21d454308b224804fd804d89f45b5f92e7e5add8fe3c3cf4fcb'
    """
    from hashlib import sha256

    sha = sha256(CANONICAL_FORM)
    _encode(tree, "", sha.update)
    return sha.hexdigest()


def little_endian(array: Array) -> memoryview:
    """The bytes of an array in C order, little-endian; its own memory if it lies so already."""
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data


def leaf_array(leaf: Any, path: str) -> Array:
    """A leaf as an array: Python bool, int, float and complex have 1, 8, 8 and 16 bytes.

    Raises:
        DtypeError: for anything else: an int beyond 64 bits, a masked array, an object.
    """
    array = _as_array(leaf)
    if array is None:
        raise DtypeError(
            f"expected an array or a number, got {type(leaf).__name__} {leaf!r:.60}; "
            "a plain Python value belongs in a pn.static() field of a record",
            path=path,
        )
    return array


def not_plain(value: Any, path: str) -> DtypeError:
    """The error for a static value or a dict key that has no form outside Python."""
    return DtypeError(
        "expected None, a bool, int, float, str, bytes or a tuple of them (in a static field a record or a registered "
        f"function, too), got {type(value).__name__} {value!r:.60}",
        path=path,
    )


def _as_array(leaf: Any) -> Array | None:
    cls = type(leaf)
    if cls is np.ndarray or isinstance(leaf, np.memmap | np.generic):
        return np.asarray(leaf)
    if cls is int and not -(2**63) <= leaf < 2**63:
        return None
    dtype = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}.get(cls)
    return None if dtype is None else np.asarray(leaf, dtype=dtype)


def _encode(tree: Any, path: str, write: Write) -> None:
    """Write the canonical bytes of a tree, without the line that they begin with."""
    cls = type(tree)
    if is_struct(tree):
        _encode_record(tree, path, write)
    elif tree is None:
        write(b"N")
    elif cls is tuple or cls is list:
        write((b"T" if cls is tuple else b"L") + _u64(len(tree)))
        for i, item in enumerate(tree):
            _encode(item, f"{path}[{i}]", write)
    elif cls is dict:
        _encode_dict(tree, path, write)
    elif isinstance(tree, tuple) and hasattr(cls, "_fields"):
        write(b"M" + _type_name(cls) + _u64(len(tree)))
        for name, item in zip(cls._fields, tree, strict=True):
            write(_text(name))
            _encode(item, join_paths(path, name), write)
    elif isinstance(tree, tuple | list | dict):
        base = next(base for base in (tuple, list, dict) if isinstance(tree, base)).__name__
        raise DtypeError(f"expected a {base}, got its subclass {cls.__name__}; convert it with {base}(...)", path=path)
    else:
        _encode_leaf(tree, path, write)


def _encode_record(record: Any, path: str, write: Write) -> None:
    fields = fields_of(type(record))
    write(b"R" + _type_name(type(record)) + _u64(len(fields.names)))
    for name in fields.names:
        value, place = getattr(record, name), join_paths(path, name)
        if name in fields.statics:
            write(_text(name) + b"s" + _plain_bytes(value, place))
        else:
            write(_text(name) + b"c")
            _encode(value, place, write)


def _encode_dict(tree: dict[Any, Any], path: str, write: Write) -> None:
    """Entries go by the bytes of their keys: an order that does not depend on how keys compare or came in."""
    keys = {_plain_bytes(key, path + key_path(key)): key for key in tree}
    if len(keys) < len(tree):
        raise TreeError("two keys of a dict have the same bits (NaN); use keys that equal themselves", path=path)
    write(b"D" + _u64(len(keys)))
    for encoded, key in sorted(keys.items(), key=lambda item: item[0]):
        write(encoded)
        _encode(tree[key], path + key_path(key), write)


def _encode_leaf(leaf: Any, path: str, write: Write) -> None:
    array = leaf_array(leaf, path)
    name = _DTYPES.get(array.dtype.str[1:])
    if name is None:
        known = ", ".join(_DTYPES.values())
        raise DtypeError(f"dtype {array.dtype} has no canonical bytes; convert it to one of {known}", path=path)
    write(b"A" + _text(name) + binary.pack(f"<{array.ndim + 1}Q", array.ndim, *array.shape))
    if array.size:
        write(little_endian(array))


def _plain_bytes(value: Any, path: str) -> bytes:
    """The canonical bytes of a static value or a dict key."""
    cls = type(value)
    if value is None:
        return b"n"
    if cls is bool:
        return b"t" if value else b"f"
    if cls is int:
        data: bytes = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"i" + _u64(len(data)) + data
    if cls is float:
        return b"d" + binary.pack("<d", value)
    if cls is str:
        return b"s" + _text(value)
    if cls is bytes:
        return b"y" + _u64(len(value)) + value  # type: ignore[no-any-return]
    if cls is tuple:
        return b"u" + _u64(len(value)) + b"".join([_plain_bytes(item, path) for item in value])
    if is_struct(value) and not has_name(value):
        chunks: list[Any] = []
        _encode_record(value, path, chunks.append)
        return b"".join(chunks)
    if not callable(value):
        raise not_plain(value, path)
    try:
        return b"c" + _text(name_of(value))
    except ArgumentError as error:
        raise error.within(path) from None


def _type_name(cls: type) -> bytes:
    """The name of a class. One that is not registered goes by module and name, and never passes for one that is."""
    return b"r" + _text(name_of(cls)) if has_name(cls) else b"q" + _text(qualified_name(cls))


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return _u64(len(data)) + data


def _record_differences(a: Any, b: Any, path: str) -> Iterator[Difference]:
    fields = fields_of(type(a))
    for name in fields.names:
        left, right, place = getattr(a, name), getattr(b, name), join_paths(path, name)
        if name in fields.children or (is_struct(left) and is_struct(right)):
            yield from differences(left, right, place)
        elif not same_static(left, right):
            yield Difference(place, left, right, f"{left!r:.60} and {right!r:.60}")


def _dict_differences(a: dict[Any, Any], b: dict[Any, Any], path: str) -> Iterator[Difference]:
    """Keys are the same if their types are too: 1, 1.0 and True are three keys here, as in the canonical bytes."""
    ours, theirs = ({(type(key).__name__, repr(key)): key for key in tree} for tree in (a, b))
    for identity in sorted(ours.keys() | theirs.keys()):
        if identity not in theirs:
            key = ours[identity]
            yield Difference(path + key_path(key), a[key], None, "only the first has this key")
        elif identity not in ours:
            key = theirs[identity]
            yield Difference(path + key_path(key), None, b[key], "only the second has this key")
        else:
            key = ours[identity]
            yield from differences(a[key], b[theirs[identity]], path + key_path(key))


def _why_leaves_differ(a: Any, b: Any, path: str) -> str:
    left, right = _as_array(a), _as_array(b)
    if left is None or right is None:
        return "" if same_static(a, b) else f"{_kind(a)} and {_kind(b)}"
    left, right = _native(left), _native(right)
    if left.dtype != right.dtype:
        return f"dtypes {left.dtype} and {right.dtype}"
    if left.shape != right.shape:
        return f"shapes {left.shape} and {right.shape}"
    if left.dtype.hasobject:
        raise DtypeError("an object array has no bits to compare; convert it to numbers", path=path)
    if left.nbytes == 0:
        return ""
    unequal = _bits(left) != _bits(right)
    return _why_elements_differ(left, right, unequal.any(axis=1).reshape(left.shape)) if unequal.any() else ""


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _bits(array: Array) -> Array:
    """The bits of each element as a row of unsigned integers; a view of the array where it is contiguous."""
    size = math.gcd(array.dtype.itemsize, 8)
    return np.frombuffer(little_endian(array), f"<u{size}").reshape(array.size, -1)


def _why_elements_differ(left: Array, right: Array, unequal: Array) -> str:
    first = tuple(int(i) for i in np.argwhere(unequal)[0])
    values = f"{left[first]!s:.40} and {right[first]!s:.40}"
    apart = _ulps_apart(left[unequal], right[unequal])
    if unequal.size == 1:
        return values + apart.replace("at most ", "")
    return f"{int(unequal.sum())} of {unequal.size} elements differ, first at {list(first)}: {values}{apart}"


def _ulps_apart(left: Array, right: Array) -> str:
    if left.dtype.kind == "c":
        left, right = (np.stack([array.real, array.imag]) for array in (left, right))
    if left.dtype.kind != "f" or left.dtype.itemsize > 8:
        return ""
    numbers = ~(np.isnan(left) | np.isnan(right))
    text = f", at most {int(ulp_distance(left[numbers], right[numbers]).max())} ulp apart" if numbers.any() else ""
    return text if numbers.all() else f"{text}, NaN in {int(np.sum(~numbers))} of them"


def _kind(value: Any) -> str:
    """What a tree has at its root, in words."""
    if isinstance(value, tuple | list | dict):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__ if is_struct(value) else f"{children_repr(value):.60}"
