"""Tracing: values that record what is done to them, so that it can be differentiated.

A `Traced` stands for an array inside a function that is being differentiated. NumPy hands every call on it over to
`apply`, which looks up the function's rule and lets the value's trace interpret it. There are two traces:

- a `Tape` (reverse mode) carries the call out and writes down, for each traced argument, one *edge*: the result's
  index, the argument's index and the linear map between their cotangents. Walking the edges backwards is the gradient.
- a `Pushforward` (forward mode) carries a tangent along with every value.

Transformations nest because a traced value may hold another one: the value belongs to the innermost trace, which
treats everything else as constant, and carrying out the call on what it holds is the next trace's business. Which of
two traces is the inner one is told by their `stamp`, the order in which they began. There is no stack of traces and
nothing to restore when a function raises: a trace is an object that its values refer to, and it goes when they go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from itertools import count
from typing import Any, NoReturn, TypeAlias

import numpy as np

from purenet.arithmetic.promotion import LEGACY
from purenet.errors import DifferentiationError
from purenet.records import frozen
from purenet.transforms.array_interface import ArrayInterface, check_options, missing_rule, name_of, refusal
from purenet.transforms.rule import (
    Composite,
    Elementwise,
    Linear,
    LinearMap,
    Primitive,
    Rule,
    ZeroDerivative,
    unbroadcast,
)
from purenet.transforms.rules import RULES, Sparse, cast

Edge: TypeAlias = tuple[Any, Any, LinearMap]
"""(result, argument, map): a cotangent of the result becomes one of the argument. Results and arguments are indices, or
tuples of indices where one map serves several at once."""

_next_stamp = count(1).__next__
"""Numbers traces in the order in which they begin; nothing else depends on it."""


class Traced(ArrayInterface):
    """An array inside a function that is being differentiated; its methods and operators are in `array_interface`.

    Attributes:
        value: what it stands for: an array, a NumPy scalar, or the traced value of an enclosing transformation.
        owner: the trace it belongs to.
        mark: its index on a `Tape`, or its tangent under a `Pushforward`.
    """

    __slots__ = ("mark", "owner", "value")

    def __init__(self, value: Any, owner: Tape | Pushforward, mark: Any) -> None:
        self.value = value
        self.owner = owner
        self.mark = mark

    def __repr__(self) -> str:
        return f"Traced({plain(self)!r})"

    # What NumPy asks of an object that takes its calls over.

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            check_options(ufunc, method, kwargs)
        for a in args:
            if a.__class__ is list or a.__class__ is tuple:
                args = tuple([np.asarray(a) if a.__class__ in (list, tuple) else a for a in args])
                break
        return apply(ufunc if method == "__call__" else (ufunc, method), args, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise refusal(f"{name_of(function)} with out=", "write y = f(x) instead of f(x, out=y)")
        return apply(function, args, kwargs)

    @staticmethod
    def __purenet_apply__(function: Any, args: Any, kwargs: Any) -> Any:
        return apply(function, args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise refusal(
            "turning a traced value into a plain array (np.array, np.asarray, assignment into an array)",
            "collect traced values with np.stack or np.concatenate, and use np.where instead of assignment",
        )


def apply(function: Any, args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> Any:
    """Carry out a call that has a traced value among its arguments, by the function's rule."""
    kwargs = kwargs or {}
    rule = RULES.get(function)
    if rule is None:
        raise missing_rule(name_of(function))
    if type(rule) is Composite:
        return rule.definition(*args, **kwargs)
    if type(rule) is ZeroDerivative:
        return function(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})
    if kwargs and Traced in [value.__class__ for value in kwargs.values()]:
        if isinstance(rule, Primitive) and rule.by_keyword is not None:
            return rule.by_keyword(*args, **kwargs)
        args, kwargs = _by_position(function, args, kwargs)
    trace = innermost(args)
    if trace is None:
        raise refusal(f"{name_of(function)} with traced values within its arguments", "pass each on its own")
    return trace.carry_out(function, rule, args, kwargs)


def innermost(values: Sequence[Any]) -> Tape | Pushforward | None:
    """The innermost of the traces that any of the values belongs to."""
    trace = None
    for value in values:
        if value.__class__ is Traced and (trace is None or value.owner.stamp > trace.stamp):
            trace = value.owner
    return trace


def is_of(value: Any, trace: Any) -> bool:
    """Whether a value is traced by this very trace."""
    return value.__class__ is Traced and value.owner is trace


def plain(value: Any) -> Any:
    """A value without its traces; also inside lists and tuples."""
    while value.__class__ is Traced:
        value = value.value
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    return value


class Tape:
    """A reverse-mode trace: the list of edges that a function leaves behind."""

    __slots__ = ("__edges", "count", "record", "stamp")

    def __init__(self) -> None:
        self.stamp = _next_stamp()
        self.count = 0
        self.__edges: list[Edge] = []
        self.record: Callable[[Edge], None] = self.__edges.append

    def variable(self, value: Any) -> Traced:
        """A new traced value, that no edge leads to yet."""
        index = self.count
        self.count = index + 1
        return Traced(value, self, index)

    def carry_out(self, function: Any, rule: Rule, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call the function on what this tape's values hold, and record how cotangents flow back."""
        values = [a.value if a.__class__ is Traced and a.owner is self else a for a in args]
        out = function(*values, **kwargs)
        if type(rule) is not Elementwise:
            return self._carry_out_primitive(out, rule, args, values, kwargs)
        index = self.count
        self.count = index + 1
        shape, dtype = out.shape, out.dtype
        for position, a in enumerate(args):
            if a.__class__ is Traced and a.owner is self:
                formula = rule.partials[position]
                if formula is not None:
                    pull = formula(out, *values)
                    value = values[position]
                    if value.dtype is not dtype or value.shape != shape or (LEGACY and not shape):
                        pull = _fitting(pull, value, out)
                    self.record((index, a.mark, pull))
        return Traced(out, self, index)

    def _carry_out_primitive(
        self, out: Any, rule: Rule, args: Sequence[Any], values: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        assert isinstance(rule, Primitive)
        several = out.__class__ is not np.ndarray and isinstance(out, tuple | list)
        outs = [self.variable(o) for o in out] if several else [self.variable(out)]
        target = tuple([o.mark for o in outs]) if several else outs[0].mark
        for position, a in enumerate(args):
            if a.__class__ is Traced and a.owner is self:
                pull = rule.pull(position, out, values, kwargs)
                if pull is not None:
                    value = values[position]
                    if several:
                        pull = _with_zeros(pull, out)
                    elif value.dtype is not out.dtype or (LEGACY and not (value.shape and out.shape)):
                        pull = _fitting(pull, value, out)
                    self.record((target, a.mark, pull))
        if several:
            return type(out)(*outs) if hasattr(out, "_fields") else type(out)(outs)
        return outs[0]

    def join(self, outs: Sequence[Any], marks: tuple[int, ...], pull: LinearMap) -> list[Traced]:
        """Results of the variables `marks`, given the map from all of their cotangents to those of the variables."""
        results = [self.variable(out) for out in outs]
        self.record((tuple([r.mark for r in results]), marks, _with_zeros(pull, outs)))
        return results

    def close(self) -> None:
        """End the trace: a value of it that was smuggled out of the function raises when it is used."""
        self.record = _refuse_leak

    def pull_back(self, seeds: Iterable[tuple[Any, Any]], wanted: Sequence[int]) -> list[Any]:
        """The cotangents of the variables `wanted` (None where zero), from `seeds`: results with their cotangents."""
        cotangents: list[Any] = [None] * self.count
        for result, seed in seeds:
            if is_of(result, self):
                before = cotangents[result.mark]
                cotangents[result.mark] = seed if before is None else before + seed
        keep = set(wanted)
        last = -1
        for result, argument, pull in reversed(self.__edges):
            if result.__class__ is int:
                if result != last:
                    if last >= 0 and last not in keep:
                        cotangents[last] = None
                    last = result
                cotangent = cotangents[result]
                if cotangent is None:
                    continue
                if cotangent.__class__ is Sparse:
                    cotangent = cotangents[result] = cotangent.add_up()
            else:
                cotangent = tuple([_added_up(cotangents[r]) for r in result])
                if all(c is None for c in cotangent):
                    continue
            contribution = pull(cotangent)
            if argument.__class__ is int:
                before = cotangents[argument]
                cotangents[argument] = contribution if before is None else before + contribution
            else:
                for a, c in zip(argument, contribution, strict=True):
                    if c is not None:
                        before = cotangents[a]
                        cotangents[a] = c if before is None else before + c
        return [_added_up(cotangents[index]) for index in wanted]


class Pushforward:
    """A forward-mode trace: every value carries its tangent."""

    __slots__ = ("is_open", "stamp")

    def __init__(self) -> None:
        self.stamp = _next_stamp()
        self.is_open = True

    def carry_out(self, function: Any, rule: Rule, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call the function on what this trace's values hold, and push their tangents through."""
        if not self.is_open:
            _refuse_leak()
        values = [a.value if a.__class__ is Traced and a.owner is self else a for a in args]
        out = function(*values, **kwargs)
        tangents = {p: a.mark for p, a in enumerate(args) if a.__class__ is Traced and a.owner is self}
        total: Any = None
        if type(rule) is Linear and rule.variadic:
            total = rule.push_together(tangents, function, values, kwargs)
            tangents = {}
        for position, tangent in tangents.items():
            push = _push(rule, position, function, out, values, kwargs)
            if push is not None:
                pushed = push(tangent)
                total = pushed if total is None else _add_tangents(total, pushed)
        if total is None:
            return out
        if isinstance(out, tuple | list):
            results = [Traced(o, self, t) for o, t in zip(out, total, strict=True)]
            return type(out)(*results) if hasattr(out, "_fields") else type(out)(results)
        if LEGACY and total.dtype != out.dtype:
            total = cast(total, out.dtype)
        return Traced(out, self, total)

    def join(self, outs: Sequence[Any], tangents: Sequence[Any], pull: LinearMap) -> list[Traced]:
        """Results of values with `tangents`, given the map from all of their cotangents to those of the values."""
        pushed = transpose(pull, outs)(tangents)
        return [Traced(out, self, tangent) for out, tangent in zip(outs, pushed, strict=True)]

    def close(self) -> None:
        """End the trace, as that of a `Tape`."""
        self.is_open = False


def _push(rule: Rule, position: int, function: Any, out: Any, values: Any, kwargs: Any) -> LinearMap | None:
    """The map from the tangent of the argument at `position` to the result's; None if it is zero."""
    if type(rule) is Elementwise:
        formula = rule.partials[position]
        return None if formula is None else _stretched(formula(out, *values), out)
    assert isinstance(rule, Primitive)
    if rule.forward is not None:
        formula = rule.forward[position] if position < len(rule.forward) else None
        return None if formula is None else formula(out, *values, **kwargs)
    pull = rule.pull(position, out, values, kwargs)
    if pull is None:
        return None
    if type(rule) is Linear:
        return lambda t: function(*values[:position], t, *values[position + 1 :], **kwargs)
    if isinstance(out, tuple | list):
        return lambda t: transpose(lambda cotangents: [pull(cotangents)], out)([t])
    fitting = _fitting(pull, values[position], out)
    return lambda t: transpose(lambda cotangents: [fitting(cotangents[0])], [out])([t])[0]


def transpose(pull: LinearMap, outs: Sequence[Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """The transpose of a linear map from arrays like `outs` to a list of arrays, in which None is zero."""
    tape = Tape()
    variables = [tape.variable(zeros(out)) for out in outs]
    try:
        results = pull(variables)
    finally:
        tape.close()
    marks = [variable.mark for variable in variables]

    def transposed(tangents: Sequence[Any]) -> list[Any]:
        pushed = tape.pull_back(zip(results, tangents, strict=True), marks)
        return [zeros(out) if t is None else t for t, out in zip(pushed, outs, strict=True)]

    return transposed


def zeros(leaf: Any) -> Any:
    """Zeros like a leaf, read-only, whatever transformations the leaf is in."""
    array = plain(leaf)
    dtype = getattr(array, "dtype", None)
    if dtype is None:
        array = np.asarray(array)
        dtype = array.dtype
    return frozen(np.zeros(array.shape, dtype if dtype.kind in "fiub" else np.float64))[()]


def _add_tangents(a: Any, b: Any) -> Any:
    return [x + y for x, y in zip(a, b, strict=True)] if isinstance(a, tuple | list) else a + b


def _stretched(push: LinearMap, out: Any) -> LinearMap:
    """A map whose result is broadcast and cast to the form of `out`."""
    shape, dtype = out.shape, _real(out.dtype)

    def stretched(tangent: Any) -> Any:
        pushed = push(tangent)
        if pushed.dtype != dtype:
            pushed = cast(pushed, dtype)
        return pushed if pushed.shape == shape else np.broadcast_to(pushed, shape)

    return stretched


def _fitting(pull: LinearMap, value: Any, out: Any) -> LinearMap:
    """A map whose result is summed over broadcast axes and cast to the form of an argument."""
    shape, dtype, _ = value.shape, value.dtype, _real(out.dtype)

    def fitting(cotangent: Any) -> Any:
        pulled = unbroadcast(pull(cotangent), shape)
        return pulled if pulled.dtype == dtype else cast(pulled, dtype)

    return fitting


def _real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind != "f":
        raise refusal(f"a function whose result is of {dtype}", "derivatives are of real floating-point numbers")
    return dtype


def _added_up(cotangent: Any) -> Any:
    return cotangent.add_up() if cotangent.__class__ is Sparse else cotangent


def _with_zeros(pull: LinearMap, outs: Sequence[Any]) -> LinearMap:
    """A map of a tuple of cotangents that is given zeros where a result was not used."""
    forms = [(out.shape, out.dtype) for out in outs]
    return lambda cotangents: pull(
        tuple(np.zeros(*form) if c is None else c for c, form in zip(cotangents, forms, strict=True))
    )


def _by_position(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """The same call with its keyword arguments given by position, as far as there is no gap."""
    what = f"{name_of(function)} with {' and '.join(n for n, v in kwargs.items() if v.__class__ is Traced)}= traced"
    try:
        bound = signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        raise refusal(what, "pass it by position") from None
    if any([value.__class__ is Traced for value in bound.kwargs.values()]):
        raise refusal(what, "there is no derivative with respect to it")
    return bound.args, bound.kwargs


def _refuse_leak(*_: Any) -> NoReturn:
    raise DifferentiationError(
        "a traced value was used after the function that it belongs to had returned; return what you need from the "
        "function (has_aux=True returns more than the value) instead of keeping it in a variable outside"
    )
