"""What makes a traced value behave like an array: its attributes, and methods and operators that call NumPy.

Operators go straight to the value's trace, past NumPy's dispatch; all else calls NumPy, which hands the call back.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from purenet.errors import DifferentiationError, MissingRuleError
from purenet.transforms.rules import RULES, cast, getitem


class ArrayMethods:
    """What every stand-in for an array has: attributes, and methods that call NumPy. It has the slot `value`."""

    __slots__ = ()
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    value: Any

    # Attributes.

    shape = property(operator.attrgetter("value.shape"), doc="The shape of the array.")
    ndim = property(operator.attrgetter("value.ndim"), doc="The number of axes.")
    size = property(operator.attrgetter("value.size"), doc="The number of elements.")
    dtype = property(operator.attrgetter("value.dtype"), doc="The dtype of the elements.")
    itemsize = property(operator.attrgetter("value.itemsize"), doc="The bytes of one element.")
    nbytes = property(operator.attrgetter("value.nbytes"), doc="The bytes of all elements.")

    @property
    def T(self) -> Any:
        """The array with its axes reversed."""
        return np.transpose(self)  # type: ignore[call-overload]

    @property
    def mT(self) -> Any:
        """The array with its last two axes exchanged."""
        return np.swapaxes(self, -1, -2)  # type: ignore[call-overload]

    @property
    def real(self) -> Any:
        """The array itself: these values are real."""
        return self

    @property
    def imag(self) -> Any:
        """Zeros: these values are real."""
        return np.zeros(self.shape, self.dtype)

    @property
    def flat(self) -> Iterator[Any]:
        """The elements in C order."""
        return iter(self.flatten())

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))  # type: ignore[index]

    # Methods with signatures of their own.

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """`np.reshape`."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload]

    def transpose(self, *axes: Any) -> Any:
        """`np.transpose`."""
        order = None if not axes else axes[0] if len(axes) == 1 else axes
        return np.transpose(self, order)  # type: ignore[call-overload]

    def flatten(self, order: Any = "C") -> Any:
        """`np.ravel`."""
        return np.ravel(self, order=order)  # type: ignore[call-overload]

    def compress(self, condition: Any, axis: Any = None) -> Any:
        """`np.compress`."""
        return np.compress(condition, self, axis=axis)  # type: ignore[call-overload]

    # Operators with methods of their own.

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0)  # type: ignore[call-overload]

    def __divmod__(self, other: Any) -> Any:
        return np.divmod(self, other)  # type: ignore[call-overload]

    def __rdivmod__(self, other: Any) -> Any:
        return np.divmod(other, self)  # type: ignore[call-overload]


class ArrayInterface(ArrayMethods):
    """The base of `Traced`, which has the slot `owner` besides."""

    __slots__ = ()

    owner: Any

    def __bool__(self) -> bool:
        return bool(self.value)

    def __getitem__(self, index: Any) -> Any:
        return self.owner.carry_out(getitem, RULES[getitem], (self, _plain_index(index)), {})

    # What a traced array refuses.

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise refusal("assignment to elements of a traced array", "build the new array with np.where or np.concatenate")

    def __float__(self) -> NoReturn:
        raise refusal("float(), int() or .item() of a traced value", "keep the array; take float() of the final result")

    __int__ = __complex__ = __index__ = __float__

    def item(self, *args: Any) -> NoReturn:
        """Refused inside a trace, like `float()`."""
        self.__float__()

    tolist = item

    def sort(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would work in place."""
        raise refusal("x.sort(), which works in place,", "write x = np.sort(x)")

    def partition(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would work in place."""
        raise refusal("x.partition(), which works in place,", "write x = np.partition(x, kth)")

    def fill(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: it would work in place."""
        raise refusal("an array method that works in place", "build a new array with np.where or np.full_like")

    put = resize = setfield = fill

    # Methods with signatures of their own.

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """The array with elements of another floating dtype; of a dtype without derivatives, a plain array."""
        if np.dtype(dtype).kind == "f":
            return cast(self, np.dtype(dtype))
        return _plain(self).astype(dtype, *args, **options)

    def copy(self, order: Any = "C") -> Any:
        """The array itself: traced values are immutable."""
        return self

    def conj(self) -> Any:
        """The array itself: traced values are real."""
        return self

    conjugate = conj


def refusal(what: str, instead: str) -> DifferentiationError:
    """The error for what cannot be differentiated, with what to write instead."""
    return DifferentiationError(f"{what} cannot be differentiated; {instead}")


def check_options(ufunc: Any, method: str, options: dict[str, Any]) -> None:
    """Raise if a ufunc is told to write into an array, or to leave elements of its result unset."""
    if options.get("out") is not None:
        what = f"np.{ufunc.__name__} with out= or an in-place operator"
        raise refusal(what, "write y = f(x) instead of f(x, out=y)")
    if options.get("where", True) is not True and method == "__call__":
        raise refusal(f"np.{ufunc.__name__} with where=", "write np.where(mask, f(x), other)")


def name_of(function: Any) -> str:
    """A function as a user calls it."""
    if isinstance(function, tuple):
        return f"np.{function[0].__name__}.{function[1]}"
    name = getattr(function, "__name__", repr(function))
    module = getattr(function, "__module__", None) or ("numpy" if getattr(np, name, None) is function else "")
    return f"{module.replace('numpy', 'np', 1)}.{name}" if module.startswith("numpy") else name


def missing_rule(name: str) -> MissingRuleError:
    """The error for a function without a rule, with the lines that give it one."""
    mine = f"my_{name.rsplit('.', 1)[-1]}"
    return MissingRuleError(
        f"{name} has no derivative rule. Give it one, and call {mine} instead:\n\n"
        f"    def rule(x):                       # (value, pullback)\n"
        f"        return {name}(x), lambda cotangent: (cotangent * ...,)   # one for each argument\n\n"
        f"    {mine} = pn.custom_vjp({name}, rule)\n\n"
        "If it should count as a constant, call it on pn.stop_gradient(x)."
    )


def _plain(value: Any) -> Any:
    while isinstance(value, ArrayInterface):
        value = value.value
    return value


def _plain_index(index: Any) -> Any:
    """An index whose arrays are plain."""
    if index.__class__ is tuple:
        return tuple([_plain_index(part) for part in index])
    while isinstance(index, ArrayMethods):
        index = index.value
    return index


_OPERANDS = (ArrayMethods, np.ndarray, np.generic, float, int)
_TAKEN_BY_NUMPY = (list, tuple, complex)


def _binary(evaluate: Callable[[Any, Any], Any], function: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An operator and its reflection: carried out on the values by the Python operator, with the function's rule."""
    rule = RULES[function]

    def forwards(self: ArrayInterface, other: Any) -> Any:
        if other.__class__ is self.__class__:
            if other.owner.stamp > self.owner.stamp:
                return other.owner.carry_out(evaluate, rule, (self, other), {})
        elif not isinstance(other, _OPERANDS):
            return function(self, other) if isinstance(other, _TAKEN_BY_NUMPY) else NotImplemented
        return self.owner.carry_out(evaluate, rule, (self, other), {})

    def backwards(self: ArrayInterface, other: Any) -> Any:
        if not isinstance(other, _OPERANDS):
            return function(other, self) if isinstance(other, _TAKEN_BY_NUMPY) else NotImplemented
        return self.owner.carry_out(evaluate, rule, (other, self), {})

    return forwards, backwards


def _unary(evaluate: Callable[[Any], Any], function: Any) -> Callable[[ArrayInterface], Any]:
    rule = RULES[function]
    return lambda self: self.owner.carry_out(evaluate, rule, (self,), {})


def _rounded(_: Any, function: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An operator without a derivative, and its reflection."""
    return lambda self, other: function(self, other), lambda self, other: function(other, self)


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[ArrayInterface, Any], Any]:
    return lambda self, other: compare(_plain(self), _plain(other))


def _in_place(evaluate: Callable[[Any, Any], Any], symbol: str) -> Callable[[ArrayInterface, Any], Any]:
    def assign(self: ArrayInterface, other: Any) -> Any:
        if self.ndim:
            raise refusal(f"the in-place operator {symbol}= on a traced array", f"write x = x {symbol} y")
        return evaluate(self, other)

    return assign


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: ArrayMethods, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = f"`np.{name}`."
    return method


def _install_operators() -> None:
    """Give traced values their operators, and every stand-in the methods of arrays that are one NumPy function each."""
    for name, symbol, function in (
        ("add", "+", np.add),
        ("sub", "-", np.subtract),
        ("mul", "*", np.multiply),
        ("truediv", "/", np.divide),
        ("floordiv", "//", np.floor_divide),
        ("mod", "%", np.remainder),
        ("pow", "**", np.power),
        ("matmul", "@", np.matmul),
    ):
        evaluate = getattr(operator, name)
        forwards, backwards = (_rounded if name == "floordiv" else _binary)(evaluate, function)
        setattr(ArrayInterface, f"__{name}__", forwards)
        setattr(ArrayInterface, f"__r{name}__", backwards)
        setattr(ArrayInterface, f"__i{name}__", _in_place(evaluate, symbol))
    for name, unary in {"neg": np.negative, "pos": np.positive, "abs": np.absolute}.items():
        setattr(ArrayInterface, f"__{name}__", _unary(getattr(operator, name), unary))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(ArrayInterface, f"__{name}__", _comparison(getattr(operator, name)))
    for name in (
        *("all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "cumprod", "cumsum"),
        *("diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ptp", "ravel", "repeat", "round"),
        *("searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var"),
    ):
        setattr(ArrayMethods, name, _method(name))


_install_operators()
