"""`forward`: one function that applies any layer, open to layers of one's own.

A layer is a record. Its *forward function* `(layer, x)` or `(layer, x, *, key=None)` is plain NumPy and is all that a
layer needs; every transformation goes through it. A *pullback rule* of the same arguments may be added for speed: it
returns `(value, pullback)`, where `pullback(cotangent)` returns the cotangents of the layer and of `x`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from typing import Any, NamedTuple, TypeAlias, TypeVar, get_type_hints, overload

import numpy as np

from purenet import tree
from purenet.arithmetic.modes import Portable
from purenet.errors import DtypeError
from purenet.records import is_struct, is_struct_type
from purenet.transforms.linearise import UNTRACED, Pullback, checked, is_plain, linearise
from purenet.transforms.tracer import zeros

LayerFunction: TypeAlias = Callable[..., Any]

LayerPull: TypeAlias = Callable[[Any, bool], tuple[Sequence[Any], Any]]
"""`pull(cotangent, wants_x)`: the cotangents of the layer's leaves, in order, and that of its input if it is wanted.

The arrays are new, or read-only: whoever is given one that can be written to may do so. Those of purenet's own are new.
"""

LayerRule: TypeAlias = Callable[..., tuple[Any, LayerPull]]
"""`rule(layer, x) -> (value, pull)`, or `rule(layer, x, key)`."""


class ForeignPull:
    """A pull that runs code of a user's, which may be any function of the cotangent: `custom_vjp` allows it.

    All other pulls are linear: to pull back the cotangent times a factor is to pull it back and multiply.
    """

    __slots__ = ("pull",)

    def __init__(self, pull: LayerPull) -> None:
        self.pull = pull

    def __call__(self, cotangent: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        """What the pull inside returns."""
        return self.pull(cotangent, wants_x)


class Kernel(NamedTuple):
    """A layer for inputs of one form, as two functions of plain arrays that ask no questions.

    `value(x, *leaves)` is the output `y`. `pull(g, wants_x, x, y, *leaves)` returns the cotangents of the leaves and,
    as the last, that of `x`, or None if it is not wanted. The results are new arrays in C order.
    """

    value: Callable[..., Any]
    pull: Callable[..., tuple[Any, ...]]
    takes_operand: bool = False
    """Whether `x` may be an `Operand` of portable products instead of an array."""
    is_bounded: bool = False
    """Whether an `OutOfRangeError` is raised unless the first leaf is below 2**450, and its cotangent below 2**911."""


F = TypeVar("F", bound=Callable[..., Any])


class Entry(NamedTuple):
    """What is registered for a type of layer."""

    function: LayerFunction
    takes_key: bool
    rule: LayerRule | None = None
    is_composed: bool = False


class Forward:
    """Apply a layer to an input: `forward(layer, x, *, key=None)`.

    A network is a layer whose fields hold layers, so this is also how a network predicts.

    Args:
        layer: a record whose type has a registered forward function.
        x: what the layer takes, usually an array of shape (batch, features).
        key: for layers that draw random numbers, such as `Dropout`; without a key they work in inference mode.

    Returns:
        What the layer makes of `x`.

    Raises:
        DtypeError: if the type of `layer` has no forward function.
        ShapeError: if `x` does not fit; it names the layer's path in the network.

    Example:
        >>> import purenet as pn
        >>> net = pn.mlp(pn.key(0), (20, 100, 10))
        >>> pn.forward(net, np.ones((64, 20))).shape
        (64, 10)
    """

    __slots__ = ("_entries", "_kernels", "_own", "version")
    __name__ = "forward"
    __rule_is_traceable__ = True

    def __init__(self) -> None:
        self._entries: dict[type, Entry] = {}
        self._kernels: dict[type, Callable[[Any, Any, Portable | None], Kernel | None]] = {}
        self._own: set[type] = set()
        self.version = 0  # how often something was registered

    def __call__(self, layer: Any, x: Any, *, key: Any = None) -> Any:
        """Apply `layer` to `x`."""
        entry = self._entries.get(type(layer)) or self.entry(type(layer))
        if x.__class__ is not np.ndarray:
            x = as_input(x)
        return entry.function(layer, x, key=key) if entry.takes_key else entry.function(layer, x)

    @overload
    def register(self, target: type) -> Callable[[LayerFunction], LayerFunction]: ...
    @overload
    def register(self, target: LayerFunction) -> LayerFunction: ...
    def register(self, target: Any) -> Any:
        """Register the forward function of a type of layer, named by its first annotation or given as argument.

        Example:
            >>> import purenet as pn
            >>> @pn.struct
            ... class Shift:
            ...     offset: pn.Array
            >>> @pn.forward.register
            ... def _(layer: Shift, x, *, key=None):
            ...     return x + layer.offset
            >>> pn.forward(Shift(np.array(1.0)), np.zeros(2))
            array([1., 1.])
        """
        if is_struct_type(target) if isinstance(target, type) else False:
            return lambda function: self._add(target, function)
        return self._add(_first_annotation(target), target)

    @overload
    def register_rule(self, target: type) -> Callable[[LayerFunction], LayerFunction]: ...
    @overload
    def register_rule(self, target: LayerFunction) -> LayerFunction: ...
    def register_rule(self, target: Any) -> Any:
        """Register the pullback rule of a type of layer that has a forward function.

        The rule takes the arguments of the forward function and returns `(value, pullback)`; `pullback(cotangent)`
        returns `(cotangent of the layer, cotangent of x)`, the first with the structure of the layer. It must be the
        true derivative. It is called with plain arrays and may work in place on what it allocates; the pullback may be
        given a traced cotangent, so it is written in NumPy calls that allocate their results.

        Example:
            >>> import purenet as pn
            >>> @pn.struct
            ... class Times:
            ...     factor: pn.Array
            >>> @pn.forward.register
            ... def _(layer: Times, x):
            ...     return x * layer.factor
            >>> @pn.forward.register_rule
            ... def _(layer: Times, x):
            ...     return x * layer.factor, lambda g: (Times(np.sum(g * x)), g * layer.factor)
        """
        if isinstance(target, type):
            return lambda rule: self._add_rule(target, rule, _from_records(rule))
        return self._add_rule(_first_annotation(target), target, _from_records(target))

    def register_own_rule(self, rule: LayerRule, cls: type | None = None, *, is_composed: bool = False) -> LayerRule:
        """Register one of purenet's own rules, which deal in leaves instead of records.

        The rule of a layer made of layers `is_composed` of theirs: it takes `plain` besides, to pass it on to them, and
        leaves it to them what is traced.
        """
        layer = cls or _first_annotation(rule)
        self._add_rule(layer, rule, rule, is_composed)
        self._own.add(layer)
        return rule

    def has_own_rule(self, layer: Any) -> bool:
        """Whether the rule of a layer is one of purenet's own."""
        return type(layer) in self._own

    def register_kernels(self, cls: type, choose: Callable[[Any, Any, Portable | None], Kernel | None]) -> None:
        """Register `choose(layer, x, mode)`: the kernel of a layer for an array like `x` in an arithmetic, if any."""
        self._kernels[cls] = choose

    def kernel(self, layer: Any, x: Any, mode: Portable | None) -> Kernel | None:
        """The kernel of a layer for arrays like `x` in an arithmetic, native if None; None if it has none."""
        choose = self._kernels.get(type(layer))
        return None if choose is None else choose(layer, x, mode)

    def entry(self, cls: type) -> Entry:
        """What is registered for a type of layer."""
        try:
            return self._entries[cls]
        except KeyError:
            raise _unregistered(cls) from None

    def takes_key(self, layer: Any) -> bool:
        """Whether the forward function of a layer takes a key."""
        return self.entry(type(layer)).takes_key

    def linearise(self, layer: Any, x: Any, key: Any = None, plain: bool = False) -> tuple[Any, LayerPull]:
        """The value of a layer and its pull: by its rule, or by tracing its forward function.

        Args:
            layer: a layer.
            x: its input.
            key: for layers that draw random numbers.
            plain: whether it is known that no leaf of the layer stands for one in a transformation.
        """
        entry = self._entries.get(layer.__class__) or self.entry(type(layer))
        rule = entry.rule
        if rule is not None:
            if entry.is_composed:
                return rule(layer, x, key, plain)
            if x.__class__ in UNTRACED and (plain or is_plain(layer)):
                return rule(layer, x, key) if entry.takes_key else rule(layer, x)
        return _by_tracing(entry, layer, x, key)

    def __vjp_rule__(self, layer: Any, x: Any, *, key: Any = None) -> tuple[Any, Pullback]:
        value, pull = self.linearise(layer, x if x.__class__ is np.ndarray else as_input(x), key)

        def pullback(cotangent: Any) -> tuple[Any, Any]:
            leaves, d_x = pull(cotangent, True)
            return tree.with_leaves(layer, leaves), d_x

        return value, pullback

    def _forget(self, cls: type) -> None:
        """Forget what was known of the functions of a type of layer that had others before."""
        self.version += 1
        self._own.discard(cls)
        self._kernels.pop(cls, None)

    def _add(self, cls: type, function: LayerFunction) -> LayerFunction:
        parameters = signature(function).parameters
        takes_key = "key" in parameters or any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
        self._entries[cls] = Entry(function, takes_key)
        self._forget(cls)
        return function

    def _add_rule(self, cls: type, rule: F, used: LayerRule, is_composed: bool = False) -> F:
        self._entries[cls] = self.entry(cls)._replace(rule=used, is_composed=is_composed)
        self._forget(cls)
        return rule


def _from_records(rule: LayerFunction) -> LayerRule:
    """A user's rule as purenet's own are; cotangents are copied if anybody else could hold them."""

    def from_records(layer: Any, x: Any, *key: Any) -> tuple[Any, LayerPull]:
        value, pullback = rule(layer, x, key=key[0]) if key else rule(layer, x)
        place = f"pullback of {type(layer).__name__}"
        return value, _in_leaves(layer, lambda g: checked(place, pullback(g), (layer, x)))

    return from_records


def _by_tracing(entry: Entry, layer: Any, x: Any, key: Any) -> tuple[Any, LayerPull]:
    kwargs = {"key": key} if entry.takes_key else {}
    value, pullback = linearise(entry.function, (layer, x), kwargs, (True, _is_floating(x)))
    return value, _in_leaves(layer, pullback)


def _in_leaves(layer: Any, pullback: Pullback) -> LayerPull:
    def pull(cotangent: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        d_layer, d_x = pullback(cotangent)
        return zero_leaves(layer) if d_layer is None else tree.leaves(d_layer), d_x

    return ForeignPull(pull)


def composed(pull: LayerPull, parts: Sequence[LayerPull]) -> LayerPull:
    """A pull made of other pulls: foreign if one of them is."""
    return ForeignPull(pull) if ForeignPull in map(type, parts) else pull


def zero_leaves(layer: Any) -> list[Any]:
    """The cotangents of the leaves of a layer that nothing depends on."""
    return [zeros(leaf) for leaf in tree.leaves(layer)]


def _first_annotation(function: Any) -> type:
    """The struct that annotates the first parameter of a function."""
    place = "pn.forward.register"
    if not callable(function):
        raise DtypeError(f"expected a function or a struct, got {function!r:.60}", path=place)
    first = next(iter(signature(function).parameters.values()), None)
    if first is None or first.annotation is Parameter.empty:
        raise DtypeError(
            "the first parameter needs its struct as annotation, as in def _(layer: Scale, x); "
            "or write @pn.forward.register(Scale)",
            path=place,
        )
    annotation = first.annotation
    if isinstance(annotation, str):
        try:
            annotation = get_type_hints(function)[first.name]
        except NameError:
            raise DtypeError(
                f"cannot resolve the annotation {annotation!r} from here; write @pn.forward.register({annotation})",
                path=place,
            ) from None
    if not (isinstance(annotation, type) and is_struct_type(annotation)):
        raise DtypeError(
            f"expected a struct as annotation, got {annotation!r}; decorate the class with @pn.struct", path=place
        )
    return annotation


def _unregistered(cls: type) -> DtypeError:
    name = cls.__name__
    if not is_struct_type(cls):
        return DtypeError(f"expected a layer, that is a record made with @pn.struct, got {name}", path="forward")
    return DtypeError(
        f"{name} has no forward function. Give it one:\n\n"
        "    @pn.forward.register\n"
        f"    def _(layer: {name}, x, *, key=None):\n"
        "        return ...",
        path="forward",
    )


def as_input(x: Any) -> Any:
    """Numbers, lists of numbers and other libraries' tables as an array; a tree of arrays stays as it is."""
    if hasattr(type(x), "__array_function__"):  # an array, or what stands for one in a transformation
        return x
    if hasattr(type(x), "__array__") or isinstance(x, float | int):
        return np.asarray(x)
    return np.asarray(x) if isinstance(x, list) and not any(map(is_struct, x)) else x


def _is_floating(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "f") == "f"


forward = Forward()
