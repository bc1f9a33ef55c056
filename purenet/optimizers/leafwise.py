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
from typing import Any, ClassVar, TypeAlias

import numpy as np

from purenet import tree
from purenet.errors import DtypeError, ShapeError, StructureError
from purenet.records import frozen, shape_repr

Kernel: TypeAlias = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], tuple[Any, ...]]

Leaves: TypeAlias = tuple[Any, ...]
"""The leaves of a tree, in order, without the tree. This is how parts remember arrays: a record of the network might
refuse to hold a moment where a parameter belongs."""

_SMALL = 1 << 12
"""Elements of a leaf that is small enough to be packed with others into one vector."""

BLOCK = 1 << 17
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
                frozen_whole(leaf)
        return self.build(self.leaves)


def frozen_whole(array: Any) -> None:
    """Mark an array read-only, and the one that it may be a view of."""
    array.setflags(False)
    if array.base is not None:
        frozen(array.base)


class Packing:
    """Which leaves are packed into a vector together: the small ones of a dtype; any other is alone.

    Attributes:
        pieces: for each vector the leaves in it: (number, begin, end, shape).
        forms: for each vector its size and dtype.
    """

    __slots__ = ("count", "forms", "pieces")

    def __init__(self, leaves: Sequence[Any]) -> None:
        self.count = len(leaves)
        self.pieces: list[list[tuple[int, int, int, Any]]] = []
        small: dict[Any, list[tuple[int, int, int, Any]]] = {}
        for i, leaf in enumerate(leaves):
            group = small.get(leaf.dtype) if leaf.size <= _SMALL else None
            if group is None:
                group = []
                self.pieces.append(group)
                if leaf.size <= _SMALL:
                    small[leaf.dtype] = group
            begin = group[-1][2] if group else 0
            group.append((i, begin, begin + leaf.size, leaf.shape))
        self.forms = [(group[-1][2], leaves[group[0][0]].dtype) for group in self.pieces]

    def vectors(self, leaves: Sequence[Any]) -> list[Any]:
        """The vectors of some leaves: new where several are in one, else views."""
        return [
            np.concatenate([leaves[i] for i, *_ in group], None) if len(group) > 1 else leaves[group[0][0]].reshape(-1)
            for group in self.pieces
        ]

    def leaves(self, vectors: Sequence[Any]) -> list[Any]:
        """The leaves that some vectors hold, as views."""
        found: list[Any] = [None] * self.count
        for vector, group in zip(vectors, self.pieces, strict=True):
            for i, begin, end, shape in group:
                found[i] = vector[begin:end].reshape(shape)
        return found

    def fits(self, vectors: Sequence[Any]) -> bool:
        """Whether vectors have the sizes and dtypes that these have."""
        if len(vectors) != len(self.forms):
            return False
        for vector, (size, dtype) in zip(vectors, self.forms, strict=True):
            if vector.size != size or vector.dtype != dtype:
                return False
        return True


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


class PackedPart(LeafPart):
    """A part that treats every element alike, so that small leaves go through its kernel together.

    It states the kernel, with its constants at a step, and how its state holds the vectors of a `Packing`, which
    `initial_vectors` makes; the rest follows.

    Attributes:
        place: the name of the part in error messages.
        results: how many results the kernel has, the update among them; it reads as many operands.
    """

    __slots__ = ()
    place: ClassVar[str]
    results: ClassVar[int]

    @staticmethod
    def kernel(constants: Sequence[Any], operands: Sequence[Any], out: Sequence[Any]) -> tuple[Any, ...]:
        """What the part does to vectors."""
        raise NotImplementedError

    def constants(self, step: int) -> Sequence[float]:
        """The constants of the kernel at a step."""
        raise NotImplementedError

    def columns(self, state: Any) -> Sequence[Leaves]:
        """What the kernel reads besides the update: the vectors of each operand."""
        raise NotImplementedError

    def remembered(self, state: Any, columns: Sequence[Leaves]) -> Any:
        """The state that holds what the kernel returned besides the update: the vectors of each result."""
        raise NotImplementedError

    def act(self, updates: Updates, state: Any, net: Any, step: int) -> tuple[Updates, Any]:
        """The updates after the kernel, and its new state."""
        given = updates.leaves if updates.owned else [_as_array(leaf) for leaf in updates.leaves]
        packing = Packing(given)
        vectors, others = packing.vectors(given), self.columns(state)
        if not all(map(packing.fits, others)):
            _check_match(given, tree.leaves(net), updates, self.place)
            raise StructureError("the state belongs to another net; make it with init(net)", path=self.place)
        columns = [vectors, *others]
        plain = _are_arrays(columns)
        reuse = updates.owned or all([len(group) > 1 for group in packing.pieces])
        made, kept = _carried_out(self.kernel, self.constants(step), self.results, columns, plain, reuse)
        return Updates(packing.leaves(made), updates.build, plain, made), self.remembered(state, kept)


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


def initial_vectors(net: Any, place: str, initial: float = 0.0) -> Leaves:
    """What a `PackedPart` remembers before the first step."""
    leaves = initial_leaves(net, place, initial)
    return tuple(map(frozen, Packing(leaves).vectors(leaves)))


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
    if leaf.size <= BLOCK:
        kernel(constants, operands, out)
        return out
    flat, flat_out = [operand.reshape(-1) for operand in operands], [array.reshape(-1) for array in out]
    for start in range(0, leaf.size, BLOCK):
        block = slice(start, start + BLOCK)
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
