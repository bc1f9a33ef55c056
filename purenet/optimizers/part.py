"""What an optimizer is: a part with two methods, `init` and `update`; and `chain`, which makes one part of several.

A part turns updates into updates. The first part of a chain is given the gradient; what comes out of the last is added
to the parameters, so a descent ends by multiplying with minus the learning rate. A part is a struct with

    init(net) -> state
        what it must remember, as a tree: None if it is nothing.
    update(updates, state, net, step) -> (updates, state)
        new updates and the new state. `updates` has the structure of `net`; `step` is a Python int counted from 0.
        Nothing that is given is changed. The state has the same structure at every step.

Any struct with these methods is a part. purenet's own act on the leaves alone, which may be theirs to overwrite
(`leafwise.py`); a part of one's own sees trees of read-only arrays. A part's numbers are static fields, so it prints as
what it does. A part never counts steps: what depends on the step is computed from `step`.
"""

from __future__ import annotations

from typing import Any, Protocol

from purenet import tree
from purenet.arithmetic.modes import Portable
from purenet.errors import ArgumentError, DtypeError
from purenet.optimizers.leafwise import Factor, LeafPart, Updates
from purenet.records import is_struct, own, rebuild, static, struct
from purenet.schedules import FromFunction, as_rate
from purenet.transforms.portability.array import PortableArray
from purenet.transforms.portability.function import entered, left, mode_outside
from purenet.walk import branches


class Part(Protocol):
    """The two methods of an optimizer part. There is nothing to inherit from."""

    def init(self, net: Any, /) -> Any:
        """The state before the first step."""

    def update(self, updates: Any, state: Any, net: Any, step: int, /) -> tuple[Any, Any]:
        """The updates and the state after step `step`."""


@struct
class Chain(LeafPart):
    """The part that `chain` makes."""

    parts: tuple[Any, ...]

    def init(self, net: Any) -> tuple[Any, ...]:
        """The states of the parts."""
        return tuple([part.init(net) for part in self.parts])

    def act(
        self, updates: Updates, state: tuple[Any, ...], net: Any, step: int, first: int = 0
    ) -> tuple[Updates, tuple[Any, ...]]:
        """The updates after all parts from the `first` on, and the states of all."""
        if len(state) != len(self.parts):
            problem = f"expected a state of {len(self.parts)} parts, got {len(state)}; make it with init(net)"
            raise ArgumentError(problem, path="chain.state")
        states = list(state[:first])
        for part, before in zip(self.parts[first:], state[first:], strict=True):
            updates, after = act(part, updates, before, net, step)
            states.append(after)
        return updates, tuple(states)


def act(part: Any, updates: Updates, state: Any, net: Any, step: int) -> tuple[Updates, Any]:
    """The updates after any part, and its new state; a part of one's own is given a tree, which it may keep."""
    if isinstance(part, LeafPart):
        return part.act(updates, state, net, step)
    tree_of_updates, after = _pair(part, part.update(updates.tree(), state, net, step))
    return Updates(*tree.flatten(tree_of_updates), owned=False), tree.map(own, after)


def _pair(part: Any, returned: Any) -> Any:
    """What a part of one's own has returned, if it is a pair."""
    if isinstance(returned, tuple | list) and len(returned) == 2:
        return returned
    problem = f"expected it to return (updates, state), got {type(returned).__name__}"
    raise DtypeError(problem, path=f"{type(part).__name__}.update")


@struct
class PortablePart:
    """A part of one's own in portable arithmetic."""

    part: Any
    mode: Portable

    def init(self, net: Any) -> Any:
        """The state of the part."""
        return self.part.init(net)

    def update(self, updates: Any, state: Any, net: Any, step: int) -> tuple[Any, Any]:
        """What the part makes of the updates."""
        outside = mode_outside((updates, state, net))
        held = entered((updates, state, net), self.mode)
        return tuple(left(_pair(self.part, self.part.update(*held, PortableArray(step, self.mode))), outside))


@struct
class PortableSchedule:
    """A schedule of one's own in portable arithmetic."""

    schedule: Any = static()
    mode: Portable

    def __call__(self, step: int) -> float:
        """The rate at a step."""
        return as_rate(left(self.schedule(PortableArray(step, self.mode)), None), step)


def portable_parts(part: Any, mode: Portable) -> Any:
    """An optimizer whose parts are all in portable arithmetic. purenet's own are as they are: see `LeafPart`."""
    if isinstance(part, tuple):
        return tuple([portable_parts(child, mode) for child in part])
    if isinstance(part, FromFunction):
        return PortableSchedule(part.function, mode)
    if is_struct(part) and type(part).__module__.startswith("purenet."):
        return rebuild(part, [portable_parts(child, mode) for _, child in branches(part)])
    if callable(getattr(part, "update", None)):
        return PortablePart(part, mode)
    return PortableSchedule(part, mode) if callable(part) else part


def parts_of(optimizer: Any) -> tuple[Any, ...]:
    """The parts of a chain, or the one part that an optimizer is."""
    parts: tuple[Any, ...] = optimizer.parts if optimizer.__class__ is Chain else (optimizer,)
    return parts


def leading_factor(part: Any, step: int) -> float | None:
    """The number that an optimizer begins with multiplying by, or None if it begins with anything else."""
    first = part.parts[0] if part.__class__ is Chain and part.parts else part
    factor = first.factor_at(step) if isinstance(first, Factor) else None
    return factor if isinstance(factor, float) else None


def act_after_factor(part: Any, updates: Updates, state: Any, net: Any, step: int) -> tuple[Updates, Any]:
    """`act` without the factor that the part begins with."""
    if part.__class__ is Chain and len(part.parts) > 1:
        return part.act(updates, state, net, step, first=1)
    return updates, state


def chain(*parts: Part) -> Chain:
    """One part after the other.

        `u -> parts[-1](... parts[1](parts[0](u)))`

    A chain among the parts is taken as the parts that it is made of: `chain(a, chain(b, c))` is `chain(a, b, c)`.

    Args:
        parts: structs with `init` and `update`. No parts leave the updates as they are.

    Raises:
        DtypeError: if one is not an optimizer part.

    Example:
        >>> from purenet.optimizers import clip_by_global_norm, scale
        >>> chain(clip_by_global_norm(1.0), scale(-0.1))
        Chain(parts=(ClipByGlobalNorm(maximum=1.0), Scale(factor=-0.1)))
    """
    flat: list[Any] = []
    for i, part in enumerate(parts):
        check_part(f"chain.parts[{i}]", part)
        flat.extend(part.parts if isinstance(part, Chain) else (part,))
    return Chain(tuple(flat))


def check_part(place: str, part: Any) -> None:
    """Raise a `DtypeError` that names the argument, if it was given something other than an optimizer part."""
    if is_struct(part) and callable(getattr(part, "init", None)) and callable(getattr(part, "update", None)):
        return
    hint = "; call it first" if isinstance(part, type) or callable(part) else ""
    hint = "; give the parts one by one" if isinstance(part, list | tuple) else hint
    problem = f"expected an optimizer part, a struct with init and update, got {type(part).__name__} {part!r:.60}{hint}"
    raise DtypeError(problem, path=place)
