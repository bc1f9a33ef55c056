"""The operators of `PortableArray`: `+ - * /` past NumPy's dispatch, for IEEE 754 fixes them; all others by the table.

Beside them stand what the operators and the calls of NumPy have in common: which dtypes are taken, and NumPy 2's rules
of promotion on NumPy 1.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from purenet.arithmetic import exact
from purenet.arithmetic.contract import PRODUCTS
from purenet.arithmetic.modes import Portable
from purenet.arithmetic.promotion import LEGACY, common_dtype
from purenet.arithmetic.slicing import Operand
from purenet.errors import ContractError, DtypeError
from purenet.transforms.array_interface import ArrayMethods
from purenet.transforms.tracer import Traced

_NUMBERS = (int, float)
_PLAIN = (int, float, np.generic)
_ARRAYS = (np.ndarray, np.generic)
_FLOAT64 = np.dtype(np.float64)
_EXACT = frozenset({np.add, np.subtract, np.multiply, np.divide})
_matmul = PRODUCTS[np.matmul]


class PortableOperators(ArrayMethods):
    """The base of `PortableArray`, which has the slots `mode`, `operand` and `value`."""

    __slots__ = ()

    mode: Portable
    operand: Operand | None

    def __init__(self, value: Any, mode: Portable) -> None:
        raise NotImplementedError

    def carry_out(self, function: Any, args: Any, mode: Portable) -> Any:
        """The result of a call of NumPy on plain arguments, by the table."""
        raise NotImplementedError


def _binary(symbol: Callable[[Any, Any], Any], ufunc: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An operator and its reflection. `+ - * /` are fixed by IEEE 754 and are carried out as they are."""
    is_exact = ufunc in _EXACT and not LEGACY

    def forwards(self: PortableOperators, other: Any) -> Any:
        cls, mode, portable = other.__class__, self.mode, self.__class__
        if cls is portable:
            mode = mode if other.mode.slices <= mode.slices else other.mode
            if ufunc is np.matmul and (self.operand or other.operand):
                product = exact.matmul(self.operand or self.value, other.operand or other.value, mode.slices)
                return portable(product, mode)
            other = other.value
        elif cls is Traced:
            return NotImplemented
        elif cls is not np.ndarray and not isinstance(other, _PLAIN):
            return ufunc(self, other) if isinstance(other, list | tuple) else NotImplemented
        elif hasattr(other, "dtype"):
            check_real(other)
        if is_exact:
            return portable(symbol(self.value, other), mode)
        if ufunc is np.matmul:
            product = exact.matmul if self.dtype.kind == "f" else _matmul
            return portable(product(self.value, other, mode.slices), mode)
        return _number_like(self.carry_out(ufunc, (self.value, other), mode), self.value, other)

    def backwards(self: PortableOperators, other: Any) -> Any:
        if other.__class__ is not np.ndarray and not isinstance(other, _PLAIN):
            return ufunc(other, self) if isinstance(other, list | tuple) else NotImplemented
        if hasattr(other, "dtype"):
            check_real(other)
        if is_exact:
            return self.__class__(symbol(other, self.value), self.mode)
        return _number_like(self.carry_out(ufunc, (other, self.value), self.mode), other, self.value)

    return forwards, backwards


def _plain(operand: Any) -> Any:
    if isinstance(operand, list | tuple):
        return [_plain(item) for item in operand]
    return operand.value if isinstance(operand, PortableOperators) else operand


def _number_like(result: Any, a: Any, b: Any) -> Any:
    """A result of Python numbers alone stays one, so that it does not widen a float32 later."""
    if a.__class__ in _NUMBERS and b.__class__ in _NUMBERS and result.value.dtype.kind == "f":
        return result.__class__(float(result.value), result.mode)
    return result


def _in_place(symbol: Callable[[Any, Any], Any], ufunc: Any) -> Callable[[PortableOperators, Any], Any]:
    """An in-place operator: into the array where it is exact, else the new value is written there."""
    evaluate = getattr(operator, f"i{symbol.__name__.rstrip('_')}")
    is_exact = ufunc in _EXACT

    def assign(self: PortableOperators, other: Any) -> Any:
        if other.__class__ is Traced:
            return NotImplemented
        if is_exact and not LEGACY and isinstance(self.value, np.ndarray):
            other = _plain(other)
            if hasattr(other, "dtype"):
                check_real(other)
            self.value = evaluate(self.value, other)
            return self
        result = symbol(self, other)
        if isinstance(self.value, np.ndarray):
            write(self.value, result.value)
            return self
        return result

    return assign


def _comparable(a: Any, b: Any) -> Any:
    """Operands of a comparison, which NumPy 1 would round to the dtype of the one with dimensions."""
    if not {getattr(a, "dtype", _FLOAT64).kind, getattr(b, "dtype", _FLOAT64).kind} <= {"f"}:
        return a, b
    if (a.__class__ in _NUMBERS and b.__class__ in _NUMBERS) or not isinstance(b, (*_PLAIN, np.ndarray)):
        return a, b
    return promoted([a, b])


def _comparison(symbol: Callable[[Any, Any], Any]) -> Callable[[PortableOperators, Any], Any]:
    def compare(self: PortableOperators, other: Any) -> Any:
        if other.__class__ is Traced:
            return NotImplemented
        value, other = self.value, _plain(other)
        if LEGACY:
            value, other = _comparable(value, other)
        result = symbol(value, other)
        return self.__class__(result, self.mode) if isinstance(result, _ARRAYS) else result

    return compare


def _unary(symbol: Callable[[Any], Any]) -> Callable[[PortableOperators], Any]:
    return lambda self: self.__class__(symbol(self.value), self.mode)


def check_real(value: Any) -> None:
    """Raise a `ContractError` if an array is of complex or extended numbers, or of objects."""
    if value.dtype.char in "gFDGO":
        problem = f"{value.dtype} is outside the numeric contract, which is about real numbers of at most 64 bits"
        raise ContractError(f"{problem}; convert it with .astype(np.float64)")


def write(array: Any, result: Any) -> None:
    """Write a result into an array, if its dtype may become that of the array as NumPy's in-place operators have it."""
    if not np.can_cast(result.dtype, array.dtype, "same_kind"):
        raise DtypeError(f"a result of {result.dtype} cannot be written into an array of {array.dtype}; make a new one")
    array[...] = result


def promoted(args: list[Any]) -> list[Any]:
    """The operands of a ufunc as NumPy 2 promotes them: NumPy 1 looks at the values of those without dimensions."""
    if all([getattr(a, "shape", ()) for a in args]):
        return args
    strong = [a.dtype for a in args if hasattr(a, "dtype")]
    if not strong:
        return args
    dtype = common_dtype(tuple(args))
    for a in args:
        if a.__class__ is int and dtype.kind in "iu" and not np.iinfo(dtype).min <= a <= np.iinfo(dtype).max:
            raise OverflowError(f"Python integer {a} out of bounds for {dtype}")  # as NumPy 2
    return [a if a.__class__ is bool else np.asarray(a).astype(dtype)[()] for a in args]


def _install_operators() -> None:
    for name, ufunc in (
        ("add", np.add),
        ("sub", np.subtract),
        ("mul", np.multiply),
        ("truediv", np.divide),
        ("floordiv", np.floor_divide),
        ("mod", np.remainder),
        ("pow", np.power),
        ("matmul", np.matmul),
        ("and_", np.bitwise_and),
        ("or_", np.bitwise_or),
        ("xor", np.bitwise_xor),
    ):
        symbol = getattr(operator, name)
        name = name.rstrip("_")
        forwards, backwards = _binary(symbol, ufunc)
        setattr(PortableOperators, f"__{name}__", forwards)
        setattr(PortableOperators, f"__r{name}__", backwards)
        setattr(PortableOperators, f"__i{name}__", _in_place(symbol, ufunc))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(PortableOperators, f"__{name}__", _unary(getattr(operator, name)))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(PortableOperators, f"__{name}__", _comparison(getattr(operator, name)))


_install_operators()
