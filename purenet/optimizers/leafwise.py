"""How updates go through the parts of an optimizer: leaf by leaf, in place where the leaves are nobody else's.

`Updates` are the leaves on their way. A part that acts on leaves derives from `LeafPart` and states its formula as a
*kernel*, which `leafwise` carries out: `kernel(constants, operands, out) -> results`. Its operands are one leaf each of
the updates and of the trees that belong to them. `out` has room for each result; the kernel may use it as scratch space
on the way. The first room may be the update itself, so a kernel reads the update for the last time before it writes
there. `out` is None for each result where NumPy must allocate, because an operand is not a plain array but stands for
one in a transformation. The constants are Python floats, which do not change the dtype of an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from purenet import tree
from purenet.errors import DtypeError, ShapeError, StructureError
from purenet.records import frozen, shape_repr

Kernel: TypeAlias = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], tuple[Any, ...]]

Leaves: TypeAlias = tuple[Any, ...]
"""The leaves of a tree, in order, without the tree. This is how parts remember arrays: a record of the network might
refuse to hold a moment where a parameter belongs."""

_ARRAYS = frozenset({np.ndarray})

_SMALL = 1 << 12
"""Elements of a leaf that is small enough to be packed with others into one vector."""

_BLOCK = 1 << 17
"""Elements of a large leaf that go through a kernel together: few enough for what is written to be still in the
processor's cache when it is read again, many enough for the calls not to count."""


class Updates:
    """The leaves of an update on their way through the parts.

    Attributes:
        leaves: the leaves, in order.
        build: makes a tree like the update from as many leaves.
        owned: whether the leaves are new arrays that nobody else holds, so that the next part may work in place.
        whole: the arrays that the leaves are views of, if they are packed; else the leaves.
    """

    __slots__ = ("build", "leaves", "owned", "whole")

    def __init__(
        self,
        leaves: Sequence[Any],
        build: Callable[[Sequence[Any]], Any],
        owned: bool,
        whole: Sequence[Any] | None = None,
    ) -> None:
        self.leaves = leaves
        self.build = build
        self.owned = owned
        self.whole = leaves if whole is None else whole

    def tree(self) -> Any:
        """The update as a tree; arrays that are nobody else's are read-only from now on."""
        if self.owned:
            for leaf in self.leaves:
                frozen(leaf)
        return self.build(self.leaves)


class LeafPart:
    """A part that acts on leaves. It states `act`; its `update` follows."""

    __slots__ = ()

    def act(self, updates: Updates, state: Any, net: Any, step: int) -> tuple[Updates, Any]:
        """The updates after this part, and its new state."""
        raise NotImplementedError

    def update(self, updates: Any, state: Any, net: Any, step: int) -> tuple[Any, Any]:
        """The updates after this part as a tree, and its new state."""
        acted, after = self.act(Updates(*tree.flatten(updates), owned=False), state, net, step)
        return acted.tree(), after


class Factor(LeafPart):
    """A part without state that multiplies by a number. It states `factor_at`; the rest follows."""

    __slots__ = ()

    def init(self, net: Any) -> None:
        """Nothing."""

    def factor_at(self, step: int) -> float:
        """The number at a step."""
        raise NotImplementedError

    def act(self, updates: Updates, state: None, net: Any, step: int) -> tuple[Updates, None]:
        """The updates times the factor."""
        return scaled(updates, self.factor_at(step)), None


def leafwise(
    kernel: Kernel, constants: Sequence[float], results: int, place: str, updates: Updates, *others: Sequence[Any]
) -> tuple[Updates, list[Leaves]]:
    """Apply a kernel to every leaf of `updates` together with the same leaf of `others`.

    The kernel has as many `results`; the first comes back as updates that are owned, in the arrays of the given ones if
    those are; of each further one the leaves, new and read-only. `place` names the part in error messages.
    """
    columns = [updates.leaves, *others]
    plain = _are_arrays(columns)
    if not plain:
        columns = [[_as_array(leaf) for leaf in column] for column in columns]
    for column in columns[1:]:
        _check_match(columns[0], column, updates, place)
    made, kept = _carried_out(kernel, constants, results, columns, plain, updates.owned)
    return Updates(made, updates.build, plain), kept


def _carried_out(
    kernel: Kernel, constants: Sequence[float], results: int, columns: Sequence[Sequence[Any]], plain: bool, reuse: bool
) -> tuple[list[Any], list[Leaves]]:
    """The first result of a kernel for each row of the columns, and the further results."""
    rows = zip(*columns, strict=True)
    if plain:
        made = [_on_array(kernel, constants, results, operands, reuse) for operands in rows]
    else:
        made = [_on_traced(kernel, constants, results, operands) for operands in rows]
    first, *kept = zip(*made, strict=True) if made else [()] * results
    for column in kept:
        for leaf in column:
            frozen(leaf)
    return list(first), kept


def _are_arrays(columns: Sequence[Sequence[Any]]) -> bool:
    for column in columns:
        for leaf in column:
            if leaf.__class__ is not np.ndarray:
                return False
    return True


def scaled(updates: Updates, factor: float) -> Updates:
    """The updates multiplied by a number."""
    if not updates.owned:
        return leafwise(_multiply, (factor,), 1, "scale", updates)[0]
    for array in updates.whole:
        _multiply(_in_precision((factor,), array), (array,), (array,))
    return updates


def packed(
    kernel: Kernel, constants: Sequence[float], results: int, place: str, updates: Updates, net: Any, *state: Leaves
) -> tuple[Updates, list[Leaves]]:
    """`leafwise` for parts that treat every element alike: small leaves go through the kernel together.

    The state and the further results are vectors, as `initial_vectors` makes them.
    """
    given = updates.leaves if updates.owned else [_as_array(leaf) for leaf in updates.leaves]
    groups = _groups(given)
    vectors = [_vector(given, group) for group in groups]
    columns = [vectors, *state]
    if not all([_alike(vectors, column) for column in state]):
        _check_match(given, tree.leaves(net), updates, place)
        raise StructureError("the state belongs to another net; make it with init(net)", path=place)
    plain = _are_arrays(columns)
    reuse = updates.owned or min(map(len, groups), default=0) > 1
    made, kept = _carried_out(kernel, constants, results, columns, plain, reuse)
    leaves: list[Any] = [None] * len(given)
    for vector, group in zip(made, groups, strict=True):
        start = 0
        for i in group:
            leaf = given[i]
            end = start + leaf.size
            leaves[i] = vector[start:end].reshape(leaf.shape)
            start = end
    return Updates(leaves, updates.build, plain, made), kept


def _alike(vectors: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether vectors have the sizes and dtypes of others."""
    if len(vectors) != len(others):
        return False
    for vector, other in zip(vectors, others, strict=True):
        if vector.size != other.size or vector.dtype != other.dtype:
            return False
    return True


def initial_vectors(net: Any, place: str, initial: float = 0.0) -> Leaves:
    """What a part that uses `packed` remembers before the first step."""
    leaves = initial_leaves(net, place, initial)
    return tuple([frozen(_vector(leaves, group)) for group in _groups(leaves)])


def _groups(leaves: Sequence[Any]) -> list[list[int]]:
    """Which leaves are packed into a vector together: the small ones of a dtype; any other is alone."""
    groups: list[list[int]] = []
    small: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        group = small.get(leaf.dtype) if leaf.size <= _SMALL else None
        if group is not None:
            group.append(i)
            continue
        groups.append([i])
        if leaf.size <= _SMALL:
            small[leaf.dtype] = groups[-1]
    return groups


def _vector(leaves: Sequence[Any], group: list[int]) -> Any:
    if len(group) == 1:
        return leaves[group[0]].reshape(-1)
    return np.concatenate([leaves[i].ravel() for i in group])


def initial_leaves(net: Any, place: str, initial: float = 0.0) -> Leaves:
    """Zeros, or another number, in the shape and dtype of every leaf of `net`, read-only.

    Raises:
        DtypeError: if a leaf is not of floating-point numbers.
    """
    found = []
    for path, leaf in tree.items(net):
        array = _as_array(leaf)
        if array.dtype.kind != "f":
            problem = f"{place} needs floating-point parameters, got {shape_repr(array)}; leave it out with masked()"
            raise DtypeError(problem, path=path)
        found.append(frozen(np.full(array.shape, initial, array.dtype)))
    return tuple(found)


def _multiply(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
    return (np.multiply(operands[0], constants[0], out=out[0]),)


def _on_traced(kernel: Kernel, constants: Sequence[float], results: int, operands: Sequence[Any]) -> Sequence[Any]:
    return kernel(_in_precision(constants, operands[0]), operands, (None,) * results)


def _on_array(
    kernel: Kernel, constants: Sequence[float], results: int, operands: Sequence[Any], reuse: bool
) -> Sequence[Any]:
    leaf = operands[0]
    shape, dtype = leaf.shape, leaf.dtype
    out = [leaf] if reuse else []
    while len(out) < results:
        out.append(np.empty(shape, dtype))
    if not shape:
        constants = _in_precision(constants, leaf)
    if leaf.size <= _BLOCK:
        kernel(constants, operands, out)
        return out
    flat, flat_out = [operand.reshape(-1) for operand in operands], [array.reshape(-1) for array in out]
    for start in range(0, leaf.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        kernel(constants, [operand[block] for operand in flat], [array[block] for array in flat_out])
    return out


def _in_precision(constants: Sequence[float], leaf: Any) -> Sequence[Any]:
    """NumPy 1 would widen a float32 without dimensions to the double that a Python float is."""
    return constants if leaf.shape else [leaf.dtype.type(constant) for constant in constants]


def _check_match(leaves: Sequence[Any], others: Sequence[Any], updates: Updates, place: str) -> None:
    """Raise an error that names the leaf, if the leaves of two trees do not fit one to one."""
    if len(leaves) != len(others):
        raise StructureError(f"expected updates of {len(others)} leaves, got {len(leaves)}", path=place)
    for i, (leaf, like) in enumerate(zip(leaves, others, strict=True)):
        if leaf.shape != like.shape:
            problem = f"{place} expected an update {shape_repr(like)}, got {shape_repr(leaf)}"
            raise ShapeError(problem, path=tree.paths(updates.tree())[i])
        if leaf.dtype != like.dtype:
            problem = f"{place} expected an update {shape_repr(like)}, got {shape_repr(leaf)}; use .astype"
            raise DtypeError(problem, path=tree.paths(updates.tree())[i])


def _as_array(leaf: Any) -> Any:
    """A leaf as something with a dtype; a Python number is a leaf, too."""
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
