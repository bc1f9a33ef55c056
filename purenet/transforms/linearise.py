"""A function at a point as (value, pullback): by the chain rule where the parts have pullbacks, else by a tape.

`linearise` is the one place where that is decided. A function has a hand-derived pullback if it carries one
(`with_rule`, `custom_vjp`, `forward`, the losses, an objective), or if it is composed of functions by toolz (`compose`,
`juxt`, `partial`, `curry`): then the pullbacks of its parts are composed. Any other function is traced.

Hand-derived rules work in place on what they allocate, so they take plain arrays only. Where arguments are traced
already (a gradient of a gradient), the function itself is traced instead, which is the same derivative.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import numpy as np
import toolz

from purenet import tree
from purenet.errors import DifferentiationError, DtypeError, ShapeError, StructureError, join_paths
from purenet.records import frozen, own
from purenet.transforms.array_interface import name_of
from purenet.transforms.portability.array import PortableArray
from purenet.transforms.portability.boundary import enter, leave, mode_of
from purenet.transforms.tracer import Tape, Traced, is_of, zeros

F = TypeVar("F", bound=Callable[..., Any])

Pullback: TypeAlias = Callable[[Any], Sequence[Any]]
"""`pullback(cotangent)`: one cotangent for each positional argument, None where it is zero or was not wanted."""

VjpRule: TypeAlias = Callable[..., tuple[Any, Pullback]]
"""`rule(*args, **kwargs) -> (value, pullback)`. A rule with optional parameters may return cotangents for those that a
call leaves out, after the others."""


class Deferred:
    """A cotangent that is computed when somebody asks for it, so that one nobody wants costs nothing."""

    __slots__ = ("compute",)

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.compute = compute


def force(cotangent: Any) -> Any:
    """The cotangent itself, computed now if it was deferred."""
    while type(cotangent) is Deferred:
        cotangent = cotangent.compute()
    return cotangent


def with_rule(rule: VjpRule) -> Callable[[F], F]:
    """Give a function its hand-derived pullback, which must be its true derivative.

    The rule is called with plain arrays only, and may work in place on arrays that it allocates. The pullback may be
    given a traced cotangent, so it is written in NumPy calls that allocate their results. What it returns is new and
    belongs to whoever called it: no cotangent is an array that somebody else holds, and none is there twice.

    Example:
        >>> def rule(x):
        ...     return np.sum(x * x), lambda g: (2 * g * x,)
        >>> @with_rule(rule)
        ... def sum_of_squares(x):
        ...     return np.sum(x * x)
        >>> value, pullback = linearise(sum_of_squares, (np.array([1.0, 2.0]),), {}, (True,))
        >>> pullback(1.0)
        (array([2., 4.]),)
    """

    def attach(function: F) -> F:
        function.__vjp_rule__ = rule  # type: ignore[attr-defined]
        function.__rule_owner__ = function  # type: ignore[attr-defined]
        return function

    return attach


def linearise(
    f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], wanted: Sequence[bool]
) -> tuple[Any, Pullback]:
    """The value of `f(*args, **kwargs)`, and the pullback to those arguments that are wanted."""
    rule: VjpRule | None = getattr(f, "__vjp_rule__", None)
    if (
        rule is not None
        and getattr(f, "__rule_owner__", f) is f
        and (getattr(f, "__rule_is_traceable__", False) or _are_plain(args, kwargs))
    ):
        return rule(*args, **kwargs)
    own = getattr(type(f), "__linearise__", None)
    if own is not None:
        value_and_pull: tuple[Any, Pullback] = own(f, args, kwargs, wanted)
        return value_and_pull
    chain = _CHAIN_RULES.get(f if f is toolz.pipe else type(f))
    if chain is not None:
        return chain(f, args, kwargs, wanted)
    return trace(f, args, kwargs, wanted)


UNTRACED = frozenset({np.ndarray, PortableArray})
"""What is no value of a differentiation, seen at one look."""


def _are_plain(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    for arg in args:
        if arg.__class__ not in UNTRACED and not is_plain(arg):
            return False
    return not kwargs or is_plain(kwargs)


def is_plain(arguments: Any) -> bool:
    """Whether no leaf is traced by a differentiation, so that hand-derived rules may work on all of them."""
    cls = arguments.__class__
    if cls is np.ndarray or arguments is None:
        return True
    if cls is tuple:
        return all([is_plain(argument) for argument in arguments])
    if hasattr(cls, "__purenet_fields__"):
        return all([is_plain(read(arguments)) for read, _ in cls.__purenet_fields__.child_slots])
    return Traced not in {leaf.__class__ for leaf in tree.leaves(arguments)}


def trace(
    f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], wanted: Sequence[bool]
) -> tuple[Any, Pullback]:
    """`linearise` by running `f` on traced values; leaves that are not floating-point stay constants."""
    tape = Tape()
    lifted: list[Any] = []
    variables: list[list[Any] | None] = []
    for arg, is_wanted in zip(args, wanted, strict=True):
        if is_wanted:
            leaves, unflatten = tree.flatten(arg)
            group = [tape.variable(lift(leaf)) if is_differentiable(leaf) else leaf for leaf in leaves]
            variables.append(group)
            lifted.append(unflatten(group))
        else:
            variables.append(None)
            lifted.append(arg)
    try:
        result = f(*lifted, **kwargs)
    finally:
        tape.close()
    outs, unflatten = tree.flatten(result)
    value = unflatten([unwrap(out, tape) for out in outs])
    rebuilds = [tree.flatten(arg)[1] if is_wanted else None for arg, is_wanted in zip(args, wanted, strict=True)]
    marks = [v.mark for group in variables if group for v in group if is_of(v, tape)]

    def pullback(cotangent: Any) -> Sequence[Any]:
        seeds = [along(seed, out) for seed, out in zip(tree.leaves(cotangent), outs, strict=True)]
        supply = iter(tape.pull_back(zip(outs, seeds, strict=True), marks))
        return tuple(
            None
            if rebuild is None or group is None
            else rebuild([finish(next(supply), v.value) if is_of(v, tape) else zeros(v) for v in group])
            for rebuild, group in zip(rebuilds, variables, strict=True)
        )

    return value, pullback


def along(direction: Any, like: Any) -> Any:
    """A tangent or cotangent in the arithmetic of the value that it belongs to."""
    mode = mode_of(like)
    return direction if mode is None or mode_of(direction) is not None else enter(direction, mode)


def unwrap(value: Any, trace: Any) -> Any:
    """What a value stands for in this trace; a value that is not of it as it is."""
    return value.value if is_of(value, trace) else value


def is_differentiable(leaf: Any) -> bool:
    """Whether a leaf is a floating-point number or array, or stands for one."""
    if leaf.__class__ is float:
        return True
    dtype = getattr(leaf, "dtype", None)
    return getattr(dtype, "kind", None) == "f"


def check_differentiable(arg: Any, place: str) -> None:
    """Raise a `DtypeError` that names the first leaf of an argument that is not floating-point, if there is one."""
    for leaf in tree.leaves(arg):  # the test is written out for speed: every step of training comes by
        if leaf.__class__ is not float and (not hasattr(leaf, "dtype") or leaf.dtype.kind != "f"):
            break
    else:
        return
    path, leaf = next((path, leaf) for path, leaf in tree.items(arg) if not is_differentiable(leaf))
    raise DtypeError(
        f"expected floating-point numbers to differentiate with respect to, got {described(leaf)}; convert it with "
        ".astype(np.float64), leave it out of argnums, or declare the field with pn.static()",
        path=join_paths(place, path),
    )


def described(value: Any) -> str:
    """What something is, for an error message."""
    if hasattr(value, "dtype"):
        return f"an array of {value.dtype} and shape {value.shape}"
    return f"{type(value).__name__} {value!r:.60}"


def lift(leaf: Any) -> Any:
    """A differentiable leaf as a value with a shape and a dtype."""
    return np.float64(leaf) if leaf.__class__ is float else leaf


def finish(cotangent: Any, like: Any) -> Any:
    """A cotangent or tangent as a leaf of a tree: zeros for None; an array is contiguous and read-only."""
    if cotangent is None:
        return zeros(like)
    if cotangent.__class__ is PortableArray and mode_of(like) is None:
        cotangent = leave(cotangent)  # of a function in portable arithmetic that saw this leaf from inside
    if isinstance(cotangent, np.ndarray):
        return frozen(np.ascontiguousarray(cotangent)) if cotangent.shape else cotangent[()]
    return cotangent


# The chain rule for toolz's ways to compose.


def _linearise_partial(f: Any, args: Any, kwargs: Any, wanted: Any) -> tuple[Any, Pullback]:
    bound = len(f.args)
    all_wanted = (False,) * bound + tuple(wanted)
    value, pull = linearise(f.func, (*f.args, *args), {**(f.keywords or {}), **kwargs}, all_wanted)
    if callable(value) and isinstance(f, toolz.curry):
        raise DifferentiationError(f"curried {name_of(f.func)} still waits for arguments; pass all of them")
    return value, lambda cotangent: pull(cotangent)[bound:]


def _linearise_compose(f: Any, args: Any, kwargs: Any, wanted: Any) -> tuple[Any, Pullback]:
    value, first = linearise(f.first, args, kwargs, wanted)
    value, pull_rest = _linearise_chain(f.funcs, value)

    def pullback(cotangent: Any) -> Sequence[Any]:
        cotangent = pull_rest(cotangent)
        return (None,) * len(args) if cotangent is None else first(cotangent)

    return value, pullback


def _linearise_pipe(f: Any, args: Any, kwargs: Any, wanted: Any) -> tuple[Any, Pullback]:
    if any(wanted[1:]):
        raise DifferentiationError("pipe is differentiable in what flows through it, its first argument, alone")
    value, pull = _linearise_chain(args[1:], args[0])
    return value, lambda cotangent: (pull(cotangent), *[None] * len(args[1:]))


def _linearise_chain(functions: Sequence[Any], value: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The value of functions applied one after the other, and the pullback from it to where they started."""
    pulls: list[Pullback] = []
    for function in functions:
        value, pull = linearise(function, (value,), {}, (True,))
        pulls.append(pull)

    def pullback(cotangent: Any) -> Any:
        for pull in reversed(pulls):
            cotangent = force(pull(cotangent)[0])
            if cotangent is None:
                break
        return cotangent

    return value, pullback


def _linearise_juxt(f: Any, args: Any, kwargs: Any, wanted: Any) -> tuple[Any, Pullback]:
    parts = [linearise(function, args, kwargs, wanted) for function in f.funcs]

    def pullback(cotangents: Any) -> Sequence[Any]:
        # no longer than the call, see VjpRule
        pulled = [pull(cotangent)[: len(args)] for (_, pull), cotangent in zip(parts, cotangents, strict=True)]
        return tuple(
            functools.reduce(add, map(force, of_one)) if is_wanted else None
            for of_one, is_wanted in zip(zip(*pulled, strict=True), wanted, strict=True)
        )

    return tuple(value for value, _ in parts), pullback


_CHAIN_RULES: MappingProxyType[Any, Callable[..., tuple[Any, Pullback]]] = MappingProxyType(
    {
        functools.partial: _linearise_partial,
        toolz.curry: _linearise_partial,
        toolz.functoolz.Compose: _linearise_compose,
        toolz.juxt: _linearise_juxt,
        toolz.pipe: _linearise_pipe,
    }
)


def add(a: Any, b: Any) -> Any:
    """The sum of two cotangents of one argument; None is zero."""
    if a is None or b is None:
        return b if a is None else a
    return tree.map_fresh(lambda x, y: x + y, a, b)


def checked(place: str, cotangents: Any, args: Sequence[Any]) -> tuple[Any, ...]:
    """What a user's pullback returned, if it has the form of the arguments: in their dtypes, held by nobody else."""
    if not isinstance(cotangents, tuple | list) or len(cotangents) != len(args):
        got = f"{len(cotangents)} values" if isinstance(cotangents, tuple | list) else type(cotangents).__name__
        problem = f"expected a tuple of {len(args)} cotangents, one for each argument, got {got}"
        raise StructureError(problem, path=place)
    forms = []
    for i, (cotangent, arg) in enumerate(zip(map(force, cotangents), args, strict=True)):
        if cotangent is not None:
            check_form("cotangent", cotangent, arg, f"{place}, argument {i}")
            cotangent = tree.map(_as_dtype_of, cotangent, arg)
        forms.append(cotangent)
    return tuple(forms)


def _as_dtype_of(cotangent: Any, leaf: Any) -> Any:
    dtype = getattr(leaf, "dtype", None)
    if not hasattr(cotangent, "dtype"):
        cotangent = np.asarray(cotangent, dtype)[()]
    return own(cotangent if dtype is None or cotangent.dtype == dtype else cotangent.astype(dtype))


def check_form(what: str, values: Any, like: Any, place: str) -> None:
    """Raise unless a tree, whose leaves are each a `what`, has the structure and the shapes of another."""
    try:
        tree.check_same_structure(like, values)
    except StructureError as error:
        raise error.within(place) from None
    for (path, leaf), new in zip(tree.items(like), tree.leaves(values), strict=True):
        shape, wanted = getattr(new, "shape", ()), getattr(leaf, "shape", ())
        if shape != wanted:
            raise ShapeError(f"expected a {what} of shape {wanted}, got {shape}", path=join_paths(place, path))
