"""The structure of a tree as JSON values, and a tree again from such values and its arrays.

`Describer` and `Builder` are each other's inverse, and treat one kind of value in one place each. What is built comes
from the constructors of classes that are known here, and from nothing else: see `Builder`.
"""

from __future__ import annotations

import math
import struct as binary
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

import attrs
import numpy as np

from purenet.canonical import leaf_array, not_plain, same_bits
from purenet.errors import ArgumentError, DtypeError, StorageError, TreeError, join_paths
from purenet.records import Array, fields_of, is_struct, is_struct_type
from purenet.registry import has_name, lookup, name_of, qualified_name
from purenet.safetensors import DTYPES, dtype_code
from purenet.walk import key_path

Builtins = Callable[[], Mapping[str, Any]]
"""What purenet itself defines, by name; a function, because most files need no more than a look at it."""

Role = Literal["tree", "static", "key"]
"""What a value is: a tree, the value of a static field, or a key of a dict."""

_DEEPEST = 100  # levels of containers and records; a file cannot make a reader run out of stack
_RECORD = ["fields", "record", "static"]
_NAMED_TUPLE = ["fields", "named tuple"]


def is_record_type(value: Any) -> bool:
    """Whether `value` is a class of records."""
    return isinstance(value, type) and is_struct_type(value)


def is_named_tuple_type(value: Any) -> bool:
    """Whether `value` is a class of named tuples."""
    return isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields")


class Describer:
    """Describes trees as JSON values; `arrays` has the leaves of what was described, by their paths."""

    def __init__(self, builtins: Builtins) -> None:
        self.arrays: dict[str, Array] = {}
        self._builtins = builtins

    def describe(self, value: Any, path: str = "", depth: int = 0, role: Role = "tree") -> Any:
        """The structure of a tree, a static value or a key.

        Raises:
            DtypeError, TreeError, ArgumentError, StorageError: for what cannot be built again, with its path.
        """
        if depth > _DEEPEST:
            raise TreeError(f"a file holds at most {_DEEPEST} levels of records and containers", path=path)
        cls = type(value)
        if value is None:
            return None
        if cls is tuple or (cls is list and role == "tree"):
            items = [self.describe(item, f"{path}[{i}]", depth + 1, role) for i, item in enumerate(value)]
            return {cls.__name__: items}
        if is_struct(value) and (role == "tree" or (role == "static" and not has_name(value))):
            return self._record(value, path, depth)
        if role != "tree":
            return self._function(value, path) if role == "static" and callable(value) else _plain(value, path)
        if cls is dict:
            return {"dict": [self._entry(key, value[key], path, depth) for key in _sorted_keys(value, path)]}
        if is_named_tuple_type(cls):
            children = dict(zip(cls._fields, value, strict=True))
            construct(cls, children, path)
            return {"named tuple": _type_name(cls, path), "fields": self._fields(children, path, depth, "tree")}
        return self._leaf(value, path)

    def _record(self, record: Any, path: str, depth: int) -> Any:
        cls, fields = type(record), fields_of(type(record))
        children = {name: getattr(record, name) for name in fields.children}
        statics = {name: getattr(record, name) for name in fields.statics}
        described = {
            "record": _type_name(cls, path),
            "fields": self._fields(children, path, depth, "tree"),
            "static": self._fields(statics, path, depth, "static"),
        }
        construct(cls, {**children, **statics}, path)
        return described

    def _fields(self, values: dict[str, Any], path: str, depth: int, role: Role) -> dict[str, Any]:
        return {name: self.describe(value, join_paths(path, name), depth + 1, role) for name, value in values.items()}

    def _entry(self, key: Any, child: Any, path: str, depth: int) -> list[Any]:
        if key != key:
            raise TreeError("a key of a dict is NaN, which no look-up finds; use another", path=path)
        place = path + key_path(key)
        return [self.describe(key, place, depth, "key"), self.describe(child, place, depth + 1)]

    def _leaf(self, leaf: Any, path: str) -> str:
        array = leaf_array(leaf, path)
        if dtype_code(array.dtype) is None:
            advice = "save .real and .imag" if array.dtype.kind == "c" else "convert it with .astype(np.float64)"
            raise DtypeError(f"a file cannot hold dtype {array.dtype}, only {', '.join(DTYPES)}; {advice}", path=path)
        if path in self.arrays or path == "__metadata__":
            raise TreeError("a file needs another name for this leaf; rename the field", path=path)
        self.arrays[path] = array
        return "array" if isinstance(leaf, np.ndarray) else "scalar" if isinstance(leaf, np.generic) else "number"

    def _function(self, function: Any, path: str) -> Any:
        try:
            name = name_of(function)
            if name.startswith("purenet."):
                lookup(name, self._builtins())
        except ArgumentError as error:
            raise error.within(path) from None
        return {"function": name}


class Builder:
    """Builds a tree from the structure in a file, which it does not trust.

    A name in the file means what the caller passed under that name, what purenet defines, or what is registered; no
    other class or function can be reached. Every record is made by its constructor, with all its validation.

    Args:
        arrays: the arrays of the file by name; `build` takes out those that have found their place.
        classes: records, named tuples and functions that the file may name, besides the registered ones.
        builtins: what purenet itself defines.
    """

    def __init__(self, arrays: dict[str, Array], classes: tuple[Any, ...], builtins: Builtins) -> None:
        self.arrays = arrays
        self.classes = classes
        self._find_builtins = builtins

    @cached_property
    def _builtins(self) -> Mapping[str, Any]:
        return self._find_builtins()

    def build(self, node: Any, path: str = "", depth: int = 0, role: Role = "tree") -> Any:
        """The tree, static value or key that a piece of structure describes."""
        if depth > _DEEPEST:
            raise StorageError(f"its structure has more than {_DEEPEST} levels", path=path)
        if node is None:
            return None
        keys = sorted(node) if isinstance(node, dict) else []
        form, content = (keys[0], node[keys[0]]) if len(keys) == 1 else ("", None)
        if isinstance(content, list) and (form == "tuple" or (form == "list" and role == "tree")):
            items = [self.build(item, f"{path}[{i}]", depth + 1, role) for i, item in enumerate(content)]
            return tuple(items) if form == "tuple" else items
        if keys == _RECORD and role != "key":
            cls = self._named(node["record"], is_record_type, "a record", path)
            fields = fields_of(cls)
            children = self._fields(node["fields"], fields.children, cls, path, depth, "tree")
            statics = self._fields(node["static"], fields.statics, cls, path, depth, "static")
            return construct(cls, {**children, **statics}, path)
        if form == "function" and role == "static":
            return self._named(content, callable, "a function", path)
        if role != "tree":
            return node if isinstance(node, bool | int | float | str) else _built_plain(form, content, path)
        if isinstance(node, str):
            return self._leaf(node, path)
        if form == "dict" and isinstance(content, list):
            return self._dict(content, path, depth)
        if keys == _NAMED_TUPLE:
            cls = self._named(node["named tuple"], is_named_tuple_type, "a named tuple", path)
            return construct(cls, self._fields(node["fields"], cls._fields, cls, path, depth, "tree"), path)
        raise StorageError(f"its structure has {node!r:.80} here, which purenet does not write", path=path)

    def _leaf(self, kind: str, path: str) -> Any:
        if path not in self.arrays:
            raise StorageError("the file has no array for this leaf", path=path)
        array = self.arrays.pop(path)
        if kind == "array":
            return array
        if kind == "scalar" and array.shape == ():
            return array[()]
        if kind == "number" and array.shape == () and array.dtype.name in ("bool", "int64", "float64"):
            return array.item()
        found = f"{array.dtype}{list(array.shape)}"
        raise StorageError(f"an array {found} cannot be a leaf of kind {kind!r:.40}", path=path)

    def _dict(self, entries: list[Any], path: str, depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for entry in entries:
            if not isinstance(entry, list) or len(entry) != 2:
                raise StorageError(f"expected the key and value of a dict, got {entry!r:.80}", path=path)
            key = self.build(entry[0], path, depth, "key")
            if key in result:
                raise StorageError(f"the key {key!r:.80} occurs twice", path=path)
            result[key] = self.build(entry[1], path + key_path(key), depth + 1)
        return result

    def _fields(
        self, nodes: Any, names: tuple[str, ...], cls: type, path: str, depth: int, role: Role
    ) -> dict[str, Any]:
        if not isinstance(nodes, dict) or set(nodes) != set(names):
            found = sorted(nodes) if isinstance(nodes, dict) else nodes
            raise StorageError(f"{cls.__name__} has the fields {list(names)}, the file gives {found!r:.80}", path=path)
        return {name: self.build(nodes[name], join_paths(path, name), depth + 1, role) for name in names}

    def _named(self, name: Any, is_expected: Callable[[Any], bool], kind: str, path: str) -> Any:
        """What is known under a name: passed, purenet's own or registered."""
        if not isinstance(name, str):
            raise StorageError(f"expected the name of {kind}, got {name!r:.80}", path=path)
        found = self._find(name)
        if found is None:
            if name.startswith("purenet."):
                raise StorageError(f"this version of purenet has no {name!r:.80} that a file may hold", path=path)
            short = name.rpartition(".")[2]
            raise StorageError(
                f"the file holds {kind} named {name!r:.80}, which is not known here: pass it, "
                f"load(path, classes=({short:.40},)), or register it with @pn.register({name!r:.80})",
                path=path,
            )
        if not is_expected(found):
            raise StorageError(f"the file names {name!r:.80} as {kind}, which it is not", path=path)
        return found

    def _find(self, name: str) -> Any:
        for thing in self.classes:
            if name in (qualified_name(thing), name_of(thing) if has_name(thing) else None):
                return thing
        try:
            return lookup(name, self._builtins if name.startswith("purenet.") else {})
        except ArgumentError:
            # A class that was saved as __main__.Scale may be imported from a module by whoever passes it here.
            short = name.rpartition(".")[2]
            alike = [thing for thing in self.classes if not has_name(thing) and thing.__name__ == short]
            return alike[0] if len(alike) == 1 and not name.startswith("purenet.") else None


def construct(cls: Any, values: Mapping[str, Any], path: str) -> Any:
    """A record or named tuple made by its constructor, with all its checks; it must hold just the values given."""
    arguments = dict(values)
    if is_struct_type(cls):
        arguments = {field.alias: values[field.name] for field in attrs.fields(cls) if field.init}
    try:
        made = cls(**arguments)
    except Exception as error:
        raise StorageError(f"{cls.__name__} refuses the values of its fields: {error}", path=path) from error
    for name, value in values.items():
        if not same_bits(getattr(made, name), value):
            problem = f"the constructor of {cls.__name__} makes another value of the field {name}"
            raise StorageError(f"{problem}: {getattr(made, name)!r:.60} of {value!r:.60}", path=path)
    return made


def _plain(value: Any, path: str) -> Any:
    """A plain Python value as a JSON value that keeps its type and bits."""
    cls = type(value)
    if cls is bool or cls is str:
        return value
    if cls is int:
        return value if abs(value) < 2**63 else {"int": hex(value)}
    if cls is float:
        return value if math.isfinite(value) else {"float": binary.pack(">d", value).hex()}
    if cls is bytes:
        return {"bytes": value.hex()}
    raise not_plain(value, path)


def _built_plain(form: str, text: Any, path: str) -> Any:
    try:
        if form == "int" and isinstance(text, str):
            return int(text, 16)
        if form == "float":
            return binary.unpack(">d", bytes.fromhex(text))[0]
        if form == "bytes":
            return bytes.fromhex(text)
    except (TypeError, ValueError, binary.error):
        pass
    raise StorageError(f"its structure has {form!r:.40}: {text!r:.40} here, which purenet does not write", path=path)


def _sorted_keys(tree: dict[Any, Any], path: str) -> list[Any]:
    try:
        return sorted(tree)
    except TypeError:
        raise TreeError(f"the keys of a dict in a tree must be sortable, got {list(tree)!r:.80}", path=path) from None


def _type_name(cls: type, path: str) -> str:
    """The name of a class in a file: its registered name; else its module and name, and `load` must be given it."""
    if has_name(cls):
        return name_of(cls)
    name = qualified_name(cls)
    try:
        lookup(name)
    except ArgumentError:
        return name
    raise ArgumentError(f"something else is registered as {name!r}; register this class under another name", path=path)
