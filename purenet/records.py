"""`@struct`: frozen attrs records that own read-only arrays.

A record's fields are leaves (arrays), children (records and containers of them) or, marked by `static()`, plain Python
values that belong to the structure: sizes, rates, names, functions. A record built by its constructor converts and
validates what it is given; a record rebuilt inside a transformation (`rebuild`) does neither, so that tracers and
gradients pass through at no cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar, dataclass_transform

import attrs
import numpy as np

from purenet.errors import DtypeError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""An array leaf of a record: a NumPy array that the record owns, C-contiguous and read-only."""

T = TypeVar("T")

_STATIC = "purenet.static"


def static(**options: Any) -> Any:
    """A field that holds a plain Python value and belongs to the structure of the record, not to its leaves.

    Args:
        options: what `attrs.field` takes, such as `default=0.5` or `validator=...`.

    Example:
        >>> @struct
        ... class Power:
        ...     factor: Array
        ...     exponent: int = static(default=2)
        >>> Power(np.ones(3))
        Power(factor: float64[3], exponent=2)
    """
    metadata = {**options.pop("metadata", {}), _STATIC: True}
    return attrs.field(metadata=metadata, **options)


class Fields:
    """What a struct is made of: the names of its fields, and how to read and write them without its constructor.

    `child_slots` and `static_slots` have a pair (read from a record, write into a new one) for each field of the kind.
    """

    __slots__ = ("child_slots", "children", "names", "setters", "static_slots", "statics")

    def __init__(self, cls: type) -> None:
        fields = attrs.fields(cls)
        self.names = tuple(field.name for field in fields)
        self.children = tuple(field.name for field in fields if not field.metadata.get(_STATIC))
        self.statics = tuple(field.name for field in fields if field.metadata.get(_STATIC))
        self.setters = {name: cls.__dict__[name].__set__ for name in self.names}
        self.child_slots = tuple((attrgetter(name), self.setters[name]) for name in self.children)
        self.static_slots = tuple((attrgetter(name), self.setters[name]) for name in self.statics)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static, attrs.field))
def struct(cls: type[T]) -> type[T]:
    """Make a class a record: a frozen attrs class with slots, whose arrays are owned and read-only.

    An array given to the constructor is copied if anyone else could write to it. Records compare by identity; compare
    their values with `same_bits`. A struct is final: to share behaviour, write functions that dispatch on the type.

    Raises:
        DtypeError: in the constructor, if a field that is not static is given something that is neither an array nor a
            number nor a container of them.

    Example:
        >>> @struct
        ... class Scale:
        ...     factor: Array
        >>> scale = Scale(np.array([1.0, 2.0]))
        >>> scale
        Scale(factor: float64[2])
        >>> scale.factor.flags.writeable
        False
    """
    made = attrs.frozen(cls, eq=False, repr=False, field_transformer=_owning_fields)
    made.__repr__ = _repr  # type: ignore[method-assign]
    made.__init_subclass__ = classmethod(_refuse_subclass)  # type: ignore[assignment]
    made.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
    made.__reduce__ = _reduce  # type: ignore[method-assign]
    made.__purenet_fields__ = Fields(made)  # type: ignore[attr-defined]
    return made


def _reduce(self: Any) -> tuple[Any, ...]:
    """How a record is pickled and copied: what comes back owns its arrays like any other."""
    return _restore, (type(self), {name: getattr(self, name) for name in fields_of(type(self)).names})


def _restore(cls: type, values: dict[str, Any]) -> Any:
    children = fields_of(cls).children
    return assemble(cls, {name: _own_children(v) if name in children else v for name, v in values.items()})


def _refuse_subclass(cls: type) -> None:
    raise DtypeError(
        "a struct is final and cannot be subclassed; hold the other record in a field instead", path=cls.__name__
    )


def is_struct_type(cls: type) -> bool:
    """Whether `cls` was made by `struct`."""
    return "__purenet_fields__" in cls.__dict__


def is_struct(value: object) -> bool:
    """Whether `value` is an instance of a struct."""
    return hasattr(type(value), "__purenet_fields__")


def fields_of(cls: type) -> Fields:
    """The fields of a struct class."""
    fields: Fields = cls.__purenet_fields__  # type: ignore[attr-defined]
    return fields


def rebuild(record: T, children: Iterable[Any]) -> T:
    """A record like `record` with other children, built without conversion or validation.

    Args:
        record: a struct.
        children: one value for each field that is not static, in order.
    """
    cls = type(record)
    fields: Fields = cls.__purenet_fields__  # type: ignore[attr-defined]
    new = cls.__new__(cls)
    for (_, write), value in zip(fields.child_slots, children, strict=True):
        write(new, value)
    for read, write in fields.static_slots:
        write(new, read(record))
    return new


def assemble(cls: type[T], values: dict[str, Any]) -> T:
    """A record of `cls` from all its fields by name, built without conversion or validation."""
    new = cls.__new__(cls)
    for name, setter in cls.__purenet_fields__.setters.items():  # type: ignore[attr-defined]
        setter(new, values[name])
    return new


def own(value: Any) -> Any:
    """`value` as a leaf that nobody else can write to: itself if that holds already, else a read-only copy.

    Args:
        value: an array, a number, or an array-like object of a transformation (returned as it is).
    """
    if isinstance(value, np.ndarray):
        if not _is_owned(value):
            value = frozen(np.array(value, order="C", copy=True, subok=False))
        dtype = _DTYPES.get(value.dtype.char)  # unpickled arrays have dtypes of their own, which are equal to these
        return value if dtype is None or dtype is value.dtype or dtype != value.dtype else value.view(dtype)
    dtype = _NUMBERS.get(type(value))
    try:
        return value if dtype is None else dtype(value)
    except OverflowError:
        raise DtypeError(
            f"{value} does not fit into int64; give it as a float, or declare it with pn.static()"
        ) from None


_DTYPES = {char: np.dtype(char) for char in "?bhilqBHILQefdFD"}
"""The one object that stands for each dtype of numbers."""

_NUMBERS: dict[type, Any] = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}
"""What a Python number is as a leaf, on every platform."""


def frozen(array: Any) -> Any:
    """Mark a freshly allocated array read-only, in place, and return it; anything else is returned as it is."""
    if isinstance(array, np.ndarray):
        array.setflags(write=False)
    return array


def _is_owned(array: np.ndarray[Any, Any]) -> bool:
    """Whether no one can write to the array: neither through it nor through the memory that it views."""
    if type(array) is not np.ndarray and not isinstance(array, np.memmap):
        return False
    if not array.flags.c_contiguous:
        return False
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    if owner is None or isinstance(owner, bytes):
        return True
    try:
        return memoryview(owner).readonly
    except TypeError:
        return False


def is_array_like(value: object) -> bool:
    """Whether `value` is an array, a NumPy scalar, or an object of a transformation that stands for one."""
    return isinstance(value, np.ndarray | np.generic) or hasattr(type(value), "__array_function__")


def _own_children(value: Any) -> Any:
    """`own` for every leaf of a field's value; records own theirs already."""
    if value is None or is_struct(value):
        return value
    if isinstance(value, tuple):
        owned = [_own_children(v) for v in value]
        if all(a is b for a, b in zip(owned, value, strict=True)):
            return value
        return type(value)(*owned) if hasattr(value, "_fields") else tuple(owned)
    if isinstance(value, list):
        return [_own_children(v) for v in value]
    if isinstance(value, dict):
        return {key: _own_children(v) for key, v in value.items()}
    if is_array_like(value):
        if getattr(value, "dtype", None) == np.dtype(object):
            raise DtypeError("expected an array of numbers, got dtype object; convert it with .astype(np.float64)")
        return own(value)
    if isinstance(value, bool | int | float | complex):
        return own(value)
    raise DtypeError(
        f"expected an array, a record, or a container of them, got {type(value).__name__} {value!r:.60}; "
        "declare the field with pn.static() if it holds a plain Python value"
    )


def _owning_fields(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """attrs field transformer: let every field that is not static own its arrays."""
    return [field if field.metadata.get(_STATIC) else _owning_field(cls, field) for field in fields]


def _owning_field(cls: type, field: attrs.Attribute[Any]) -> attrs.Attribute[Any]:
    place = f"{cls.__name__}.{field.name}"

    def convert(value: Any) -> Any:
        try:
            return _own_children(value)
        except DtypeError as error:
            raise error.within(place) from None

    before: Any = field.converter
    return field.evolve(converter=convert if before is None else attrs.converters.pipe(before, convert))


def _repr(self: Any) -> str:
    """A record prints as its shape."""
    fields = fields_of(type(self))
    parts = (_field_repr(name, getattr(self, name), name in fields.statics) for name in fields.names)
    return f"{type(self).__name__}({', '.join(parts)})"


def _field_repr(name: str, value: Any, is_static: bool) -> str:
    if is_static or value is None:
        shown = getattr(value, "__name__", None) if callable(value) else None
        return f"{name}={shown or repr(value)}"
    if is_array_like(value):
        return f"{name}: {shape_repr(value)}"
    return f"{name}={children_repr(value)}"


def shape_repr(value: Any) -> str:
    """An array as its dtype and shape."""
    return f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"


def children_repr(value: Any) -> str:
    """A tree as its shape: records as they print, arrays as their dtype and shape."""
    if type(value) is tuple:
        inner = ", ".join(map(children_repr, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if type(value) is list:
        return f"[{', '.join(map(children_repr, value))}]"
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {children_repr(item)}' for key, item in value.items())}}}"
    return shape_repr(value) if is_array_like(value) else repr(value)
