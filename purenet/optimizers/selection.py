"""Parts that treat some leaves of a tree unlike others, and how to say which leaves are meant.

Leaves are selected by their paths, as `tree.paths` shows them: `layers[0].weight`, `["encoder"].bias`. A selection is

- a pattern: a path in which `[*]` stands for any one index or key, and any other `*` for any run of characters; a path
  to a branch selects every leaf in the branch (`layers[*].bias`, `*.bias`, `layers[0]`, `*`);
- a tuple of patterns, which selects what any of them does;
- a function of the path that returns a bool.

A selection that selects nothing is an error, and so is a pattern in it that does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any, TypeAlias

import numpy as np

from purenet import tree
from purenet.arguments import check_flag, check_number
from purenet.errors import ArgumentError, DtypeError, StructureError
from purenet.optimizers.leafwise import LeafPart, Updates, leafwise, scaled
from purenet.optimizers.part import Part, check_part
from purenet.records import rebuild, static, struct

Selection: TypeAlias = str | Sequence[str] | Callable[[str], bool]
"""A pattern of paths, several of them, or a function of the path."""

_SHOWN = 20


@struct
class Chosen:
    """What a part that treats leaves differently keeps: its choice, made once by `init`.

    Attributes:
        values: what was chosen for each leaf, in order: whether it takes part, or its factor.
        inner: the state of the part inside, for the leaves that take part.
    """

    values: tuple[Any, ...] = static()
    inner: Any = None


@struct
class Masked:
    """The part that `masked` makes."""

    part: Any
    where: Any = static()

    def init(self, net: Any) -> Chosen:
        """The choice of leaves, and the state of the part inside for them."""
        chosen = select(net, self.where, "masked.where")
        return Chosen(chosen, self.part.init(_only(net, chosen)))

    def update(self, updates: Any, state: Chosen, net: Any, step: int) -> tuple[Any, Chosen]:
        """The update by the part inside, where chosen, and the update as it came, elsewhere."""
        chosen = state.values
        leaves, build = _flatten(updates, chosen, "masked")
        inner, inner_state = self.part.update(_only(updates, chosen), state.inner, _only(net, chosen), step)
        return build(_merged(chosen, tree.leaves(inner), leaves)), rebuild(state, (inner_state,))


@struct
class ScaleLeaves:
    """The part that `scale_leaves` makes."""

    factors: tuple[tuple[str, float], ...] = static()

    def init(self, net: Any) -> Chosen:
        """The factor of every leaf."""
        return Chosen(_factors(net, self.factors))

    def update(self, updates: Any, state: Chosen, net: Any, step: int) -> tuple[Any, Chosen]:
        """The update with every leaf multiplied by its factor."""
        leaves, build = _flatten(updates, state.values, "scale_leaves")
        pairs = zip(leaves, state.values, strict=True)
        return build([leaf if factor == 1.0 else _scaled(leaf, factor) for leaf, factor in pairs]), state


@struct
class AddDecayedWeights(LeafPart):
    """The part that `add_decayed_weights` makes."""

    rate: float = static()

    def init(self, net: Any) -> None:
        """Nothing."""

    def act(self, updates: Updates, state: None, net: Any, step: int) -> tuple[Updates, None]:
        """The update plus the parameters times the rate."""
        place = "add_decayed_weights"
        return leafwise(_add_decayed, (self.rate,), 1, place, updates, tree.leaves(net))[0], None


def _scaled(leaf: Any, factor: float) -> Any:
    return scaled(Updates([leaf], lambda leaves: leaves[0], owned=False), factor).tree()


def masked(part: Part, where: Selection) -> Masked:
    """Let a part see and change some leaves only; the others pass through it as they are.

        `u -> part(u)` for the selected leaves, `u -> u` for the others

    What passes is not left out of training: behind `masked(sgd(0.1), where)` the other leaves still hold a gradient.
    To leave leaves as they are, scale them by 0 at the end: `chain(sgd(0.1), scale_leaves({"layers[0]": 0.0}))`.

    Args:
        part: an optimizer part.
        where: which leaves; see `purenet.optimizers.selection`.

    Raises:
        ArgumentError: in `init`, if a pattern selects no leaf.

    Example:
        >>> from purenet.optimizers import scale
        >>> part = masked(scale(10.0), '["b"]')
        >>> net = {"b": np.ones(1), "w": np.ones(1)}
        >>> part.update(net, part.init(net), net, 0)[0]
        {'b': array([10.]), 'w': array([1.])}
    """
    check_part("masked.part", part)
    return Masked(part, as_selection("masked.where", where))


def scale_leaves(factors: Mapping[str, float]) -> ScaleLeaves:
    """Multiply some leaves of the update by factors of their own.

        `u -> factors[pattern] * u` for the leaves that `pattern` selects, `u -> u` for the others

    Args:
        factors: a factor for each pattern of paths; see `purenet.optimizers.selection`.

    Raises:
        ArgumentError: if a factor is not finite; in `init`, if a pattern selects no leaf, or two the same one.

    Example:
        >>> part = scale_leaves({"*.bias": 1 / 64})
        >>> part
        ScaleLeaves(factors=(('*.bias', 0.015625),))
    """
    place = "scale_leaves.factors"
    if not isinstance(factors, Mapping) or not factors:
        raise DtypeError(f'expected a dict like {{"*.bias": 0.5}}, got {factors!r:.60}', path=place)
    return ScaleLeaves(
        tuple((_as_pattern(place, p), check_number(f'{place}["{p}"]', factor)) for p, factor in factors.items())
    )


def add_decayed_weights(rate: float, where: Selection | None = None) -> AddDecayedWeights | Masked:
    """Add the parameters themselves to the update: weight decay, if it comes before the learning rate.

        `u -> u + rate * p`

    Args:
        rate: at least 0.
        where: which leaves decay, such as `"*.weight"`; all if None.

    Raises:
        ArgumentError: if `rate` is out of bounds; in `init`, if a pattern selects no leaf.

    Example:
        >>> part = add_decayed_weights(0.5)
        >>> part.update({"w": np.ones(1)}, None, {"w": np.full(1, 4.0)}, 0)[0]
        {'w': array([3.])}
    """
    part = AddDecayedWeights(check_number("add_decayed_weights.rate", rate, at_least=0))
    return part if where is None else Masked(part, as_selection("add_decayed_weights.where", where))


def select(net: Any, where: Selection, place: str = "where") -> tuple[bool, ...]:
    """Whether each leaf of a tree is selected, in order.

    Args:
        net: any tree.
        where: a pattern of paths, several, or a function of the path.
        place: the name of the argument, for error messages.

    Raises:
        ArgumentError: if a pattern, or the function, selects no leaf; it lists the paths there are.
        DtypeError: if the function returns something other than a bool.
    """
    names = tree.paths(net)
    if callable(where):
        chosen = [check_flag(f"{place}({name})", where(name)) for name in names]
        if not any(chosen):
            raise ArgumentError(f"the function selects no leaf; the leaves are {_listed(names)}", path=place)
        return tuple(chosen)
    patterns = (where,) if isinstance(where, str) else tuple(where)
    matches = [_matches(names, pattern, place) for pattern in patterns]
    return tuple(any(row) for row in zip(*matches, strict=True))


def _factors(net: Any, factors: tuple[tuple[str, float], ...]) -> tuple[float, ...]:
    """The factor of every leaf: that of the one pattern that selects it, or 1."""
    names = tree.paths(net)
    found = [1.0] * len(names)
    by: dict[int, str] = {}
    for pattern, factor in factors:
        for i in compress(range(len(names)), _matches(names, pattern, "scale_leaves.factors")):
            if i in by:
                problem = f'"{by[i]}" and "{pattern}" both select {names[i]}; give each leaf one factor'
                raise ArgumentError(problem, path="scale_leaves.factors")
            by[i] = pattern
            found[i] = factor
    return tuple(found)


def _matches(names: list[str], pattern: str, place: str) -> list[bool]:
    expression = _compiled(pattern)
    found = [expression.match(name) is not None for name in names]
    if not any(found):
        raise ArgumentError(f'no leaf is selected by "{pattern}"; the leaves are {_listed(names)}', path=place)
    return found


def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression that matches the path of a selected leaf, or of a branch that holds it."""
    pieces = re.split(r"(\[\*\]|\*)", pattern)
    meaning = {"[*]": r"\[[^\]]*\]", "*": ".*"}
    return re.compile("".join(meaning.get(piece) or re.escape(piece) for piece in pieces) + r"(?=[.\[]|$)", re.DOTALL)


def _flatten(updates: Any, values: tuple[Any, ...], place: str) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """`tree.flatten` of updates that must have a leaf for each value chosen by `init`."""
    leaves, build = tree.flatten(updates)
    if len(leaves) != len(values):
        problem = f"expected updates of {len(values)} leaves, as init was given, got {len(leaves)}"
        raise StructureError(problem, path=place)
    return leaves, build


def _only(full: Any, chosen: tuple[bool, ...]) -> Any:
    """The tree with None in place of the leaves that are not chosen."""
    leaves, build = tree.flatten(full)
    return build([leaf if take else None for take, leaf in zip(chosen, leaves, strict=True)])


def _merged(chosen: tuple[bool, ...], changed: list[Any], leaves: list[Any]) -> list[Any]:
    """The changed leaves where chosen, and the others elsewhere."""
    supply = iter(changed)
    return [next(supply) if take else leaf for take, leaf in zip(chosen, leaves, strict=True)]


def _add_decayed(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
    update, parameter = operands
    return (np.add(update, parameter * constants[0], out=out[0]),)


def as_selection(place: str, where: Any) -> Any:
    """A selection as a record holds it: a pattern, a tuple of patterns or a function."""
    if callable(where):
        return where
    if isinstance(where, list | tuple):
        if not where:
            raise ArgumentError('expected at least one pattern, such as "*.bias"', path=place)
        return tuple(_as_pattern(place, pattern) for pattern in where)
    return _as_pattern(place, where)


def _as_pattern(place: str, pattern: Any) -> str:
    if not isinstance(pattern, str):
        kind = type(pattern).__name__
        raise DtypeError(f'expected a pattern of paths such as "*.bias", got {kind} {pattern!r:.60}', path=place)
    if not pattern:
        raise ArgumentError('expected a pattern of paths such as "*.bias", got ""; "*" selects all', path=place)
    return pattern


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) or "none"
    return shown if len(names) <= _SHOWN else f"{shown}, and {len(names) - _SHOWN} more"
