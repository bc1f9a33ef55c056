"""Values on which every operation follows the numeric contract.

A `PortableArray` stands for an array inside a function that `portable` runs. NumPy hands every call on it over; it is
carried out on the plain arrays by the table of `arithmetic.contract`, or by an equal expression in functions of that
table, or refused. The way in and out is in `boundary`.
"""

from __future__ import annotations

import operator
from typing import Any, NoReturn

import numpy as np

from purenet.arithmetic.contract import CONTRACT, PRODUCTS
from purenet.arithmetic.modes import Portable
from purenet.arithmetic.pointwise import converted
from purenet.arithmetic.promotion import LEGACY
from purenet.arithmetic.slicing import Operand
from purenet.errors import ContractError
from purenet.transforms.array_interface import name_of
from purenet.transforms.portability.operators import PortableOperators, check_real, promoted, write
from purenet.transforms.rule import Composite, constant
from purenet.transforms.rules import RULES
from purenet.transforms.rules.elementwise import cast, choose_between, limit, root
from purenet.transforms.rules.interpolation import convolve_vectors
from purenet.transforms.rules.picking import getitem, scatter
from purenet.transforms.rules.products import chain_product, contract
from purenet.transforms.rules.reductions import recurrence
from purenet.transforms.rules.shape import join_arrays, pad_with_zeros, place_diagonal
from purenet.transforms.tracer import Traced, apply as apply_traced

_ARRAYS = (np.ndarray, np.generic)
_FLOAT64, _INT64 = np.dtype(np.float64), np.dtype(np.int64)


class _UnknownAttributeError(ContractError, AttributeError):
    """An attribute of arrays that values of portable arithmetic do not have."""


class PortableArray(PortableOperators):
    """An array, a NumPy scalar or a Python float on which every operation follows the numeric contract.

    Attributes:
        value: what it stands for.
        mode: the arithmetic.
        operand: the value with slices kept for products to come, or None.
    """

    __slots__ = ("mode", "operand", "value")

    def __init__(self, value: Any, mode: Portable, operand: Operand | None = None) -> None:
        self.value = value
        self.mode = mode
        self.operand = operand

    def carry_out(self, function: Any, args: Any, mode: Portable) -> Any:
        """The result of a call of NumPy on plain arguments, by the table."""
        return call(function, args, {}, mode)

    def __repr__(self) -> str:
        return f"PortableArray({self.value!r})"

    # Attributes that a Python float has, too.

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return getattr(self.value, "shape", ())

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return getattr(self.value, "size", 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the elements."""
        return getattr(self.value, "dtype", _INT64 if self.value.__class__ is int else _FLOAT64)

    # What NumPy and purenet's own functions ask of an object that takes their calls over.

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        mode: Any = None
        for a in args:
            cls = a.__class__
            if cls is PortableArray:
                if mode is None or a.mode.slices > mode.slices:
                    mode = a.mode
            elif cls is Traced:
                return NotImplemented
            elif cls is list or cls is tuple:
                args = tuple([np.asarray(a) if isinstance(a, list | tuple) else a for a in args])
        if kwargs and method == "__call__" and kwargs.get("where", True) is not True:
            name = ufunc.__name__
            raise ContractError(
                f"np.{name} with where= leaves elements unset; write np.where(mask, np.{name}(...), other)"
            )
        out = kwargs.pop("out", None) if kwargs else None
        result = call(ufunc if method == "__call__" else (ufunc, method), args, kwargs, mode)
        return result if out is None or out[0] is None else _written(out, result, ufunc)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if Traced in types:
            return NotImplemented
        return call(function, args, kwargs, _mode_among(args) or self.mode)

    @staticmethod
    def __purenet_apply__(function: Any, args: Any, kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs:
            return call(function, args, kwargs, args[0].mode)
        if any([arg.__class__ is Traced for arg in args]):
            return apply_traced(function, args, kwargs)
        return call(function, args, kwargs, _mode_among(args))

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ContractError(
            "turning a value of portable arithmetic into a plain array (np.asarray, an index into a plain array, "
            "assignment to one) would take it out of the numeric contract; make arrays of values with np.stack, and "
            "pass a plain array that is to be indexed in as an argument of the function"
        )

    # Conversions that lose nothing.

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return operator.index(self.value)

    def __hash__(self) -> int:  # type: ignore[override]
        if self.shape or self.dtype.kind not in "iub":
            raise TypeError("a value of portable arithmetic can be hashed only if it is an integer")
        return hash(int(self.value))

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)

    # What would take it out of the contract, and what works in place.

    def __float__(self) -> NoReturn:
        raise ContractError(
            "float(), .item() or .tolist() of a value of portable arithmetic would take it out of the numeric "
            "contract, for functions of Python's floats are the C library's; keep the array until the function returns"
        )

    __complex__ = __float__

    def item(self, *args: Any) -> NoReturn:
        """Refused, like `float()`."""
        self.__float__()

    tolist = item

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("_") and hasattr(np.ndarray, name):
            raise _UnknownAttributeError(
                f"the array attribute .{name} is not for values of portable arithmetic; write it with np."
            )
        raise AttributeError(f"a value of portable arithmetic has no attribute {name!r}")

    # Data movement, past NumPy's dispatch.

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        operand = self.operand
        return PortableArray(self.value.T, self.mode, operand and operand.transpose())

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """The elements in another shape."""
        return PortableArray(self.value.reshape(*shape, order=order), self.mode)

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """The elements converted to a dtype, in a new array."""
        return wrapped(converted(self.value, dtype), self.mode)

    def copy(self, order: Any = "C") -> Any:
        """A copy."""
        return PortableArray(self.value.copy(order), self.mode)

    def sum(self, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
        """`np.sum`."""
        return call(np.sum, (self, axis, dtype), options, self.mode)

    def mean(self, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
        """`np.mean`."""
        return call(np.mean, (self, axis, dtype), options, self.mode)

    def conj(self) -> Any:
        """The array itself: these values are real."""
        return self

    conjugate = conj

    def __getitem__(self, index: Any) -> Any:
        return PortableArray(self.value[plain_of(index)], self.mode)

    def __setitem__(self, index: Any, value: Any) -> None:
        if value.__class__ is Traced:
            value.__array__()
        value = plain_of(value)
        if getattr(value, "dtype", self.dtype) != self.dtype:
            value = converted(value, self.dtype)
        self.value[plain_of(index)] = value


def call(function: Any, args: Any, kwargs: dict[str, Any], mode: Portable) -> Any:
    """Carry out a call that has a portable value among its arguments.

    Raises:
        ContractError: if the function is outside the numeric contract.
    """
    carry_out = CONTRACT.get(function)
    if carry_out is not None:
        given = [a.value if a.__class__ is PortableArray else plain_of(a) for a in args]
        if LEGACY and isinstance(function, np.ufunc) and function is not np.ldexp:
            given = promoted(given)
        if kwargs:
            kwargs = {name: plain_of(value) for name, value in kwargs.items()}
        result = carry_out(*given, **kwargs)
        return wrapped(result, mode)
    product = PRODUCTS.get(function)
    if product is not None:
        kwargs = {name: plain_of(value) for name, value in kwargs.items()}
        return wrapped(product(*plain_of(args), slices=mode.slices, **kwargs), mode)
    if function is constant:
        return args[0]
    if function in _ON_PLAIN:
        return wrapped(function.__wrapped__(*map(plain_of, args)), mode)
    if function is scatter:
        return PortableArray(_scattered(*map(plain_of, args)), mode)
    if function in _IN_FUNCTIONS:
        return function.__wrapped__(*args, **kwargs)
    rule = RULES.get(function)
    try:
        if type(rule) is Composite:
            return rule.definition(*args, **kwargs)
    except ContractError:
        pass
    raise ContractError(
        f"{name_of(function)} is outside the numeric contract {mode.version}, so its bits could differ on another "
        "machine; write it in operations of the contract (docs/numeric-contract.md), or compute it outside of "
        "pn.portable and pass the result in"
    )


_ON_PLAIN = frozenset({cast, getitem, join_arrays, pad_with_zeros, place_diagonal, recurrence, root})
"""Functions of the rules that move data, or whose every operation IEEE 754 fixes."""

_IN_FUNCTIONS = frozenset({chain_product, choose_between, contract, convolve_vectors, limit})
"""Functions of the rules that are one call of NumPy, which is in the table."""


def _scattered(shape: Any, dtype: Any, indices: list[Any], *values: Any) -> Any:
    """`scatter`, which adds in the order in which indices lie in memory: here in C order."""
    ordered = [tuple([_c_ordered(part) for part in i]) if isinstance(i, tuple) else _c_ordered(i) for i in indices]
    return scatter(shape, dtype, ordered, *map(_c_ordered, values))


def _c_ordered(value: Any) -> Any:
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) and value.ndim else value


def _mode_among(values: Any) -> Any:
    """The arithmetic of the portable values among some; where there are several, that of more slices."""
    found: Any = None
    for value in values:
        if value.__class__ is PortableArray and (found is None or value.mode.slices > found.slices):
            found = value.mode
    return found


def plain_of(value: Any) -> Any:
    """A value, or the values in a tuple, list or slice, as plain arrays and numbers."""
    cls = value.__class__
    if cls is PortableArray:
        return value.value
    if cls is tuple or cls is list:
        return cls([plain_of(item) for item in value])
    if cls is slice:
        return slice(plain_of(value.start), plain_of(value.stop), plain_of(value.step))
    return value


def wrapped(result: Any, mode: Portable) -> Any:
    """The result of a call: arrays and NumPy scalars, also in tuples and lists, as portable values."""
    if result.__class__ is np.ndarray or isinstance(result, _ARRAYS):
        check_real(result)
        return PortableArray(result, mode)
    if isinstance(result, tuple | list) and any(isinstance(item, _ARRAYS) for item in result):
        items = [wrapped(item, mode) for item in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    return result


def _written(out: Any, result: Any, ufunc: Any) -> Any:
    """The result of a call with `out=`, written there."""
    target = out[0]
    if len(out) > 1 or target.__class__ is not PortableArray:
        raise ContractError(f"np.{ufunc.__name__} with out= other than one value of portable arithmetic is refused")
    write(target.value, plain_of(result))
    return target
