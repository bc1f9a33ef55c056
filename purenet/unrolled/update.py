"""The lines of a step from the gradient to the new parameters, through parts of an optimizer that have kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from purenet.optimizers.leafwise import BLOCK, Factor, PackedPart, Packing
from purenet.optimizers.part import Chain, parts_of
from purenet.state import State
from purenet.unrolled.text import Source, listed


def has_kernels(optimizer: Any) -> bool:
    """Whether all parts of an optimizer can be written out."""
    return all(isinstance(part, Factor | PackedPart) for part in parts_of(optimizer))


def is_packed(optimizer: Any) -> bool:
    """Whether an optimizer can be written out, and takes the leaves in vectors."""
    return has_kernels(optimizer) and any(isinstance(part, PackedPart) for part in parts_of(optimizer))


def write_update(source: Source, optimizer: Any, parts: Sequence[Any], leading: int, state: State) -> list[str]:
    """Write what makes new parameters of the gradient, and the new state of the optimizer.

    Returns the names of the vectors that all of these are in, if they are in vectors.

    Args:
        source: what to write to.
        optimizer: a chain, or a part alone.
        parts: its parts; the number that part `i` multiplies by, if it does only that, is known as `factor{i}`.
        leading: how many parts at the head are in the gradient already.
        state: a state like those that the step is for.
    """
    count, vectors = len(state.leaves), []
    if is_packed(optimizer):
        vectors = _Vectors(source, parts, leading, optimizer.__class__ is Chain, Packing(state.leaves)).write()
    else:
        for n in range(count):
            source.write(*(f"d{n} *= factor{i}" for i in range(leading, len(parts))), f"d{n} += p{n}")
        source.write(f"whole = leaves = [{listed('d', range(count))}]")
    source.write(*(f"d{n}.setflags(False)" for n in range(count)))
    after = [f"after{i}" if isinstance(part, PackedPart) else "None" for i, part in enumerate(parts)]
    listed_after = "".join(f"{name}, " for name in after)
    source.write(f"optimizer = ({listed_after})" if optimizer.__class__ is Chain else f"optimizer = {after[0]}")
    return vectors


class _Vectors:
    """Writes how vectors `w0`, `w1` ... of the updates go through the parts and are added to the parameters.

    The results of kernel `i` are `r{i}_{c}_{k}` for its column `c` and vector `k`. A large vector goes in blocks, each
    of which stays in the processor's cache until all is done with it.
    """

    def __init__(self, source: Source, parts: Sequence[Any], leading: int, is_chain: bool, packing: Packing) -> None:
        self.source = source
        self.packing = packing
        self.vectors = range(len(packing.pieces))
        self.remaining = list(enumerate(parts))[leading:]
        self.kernels = [(i, part) for i, part in self.remaining if isinstance(part, PackedPart)]
        self.states = {i: f"state.optimizer[{i}]" if is_chain else "state.optimizer" for i, _ in self.kernels}

    def write(self) -> list[str]:
        """Write all; return the names of the vectors."""
        source, vectors = self.source, [f"w{k}" for k in self.vectors]
        for i, part in self.kernels:
            constants = source.name(f"constants_at{i}", part.constants)
            columns = source.name(f"columns_of{i}", part.columns)
            source.name(f"kernel{i}", part.kernel)
            source.write(f"constants{i}, columns{i} = {constants}(t), {columns}({self.states[i]})")
        for k in self.vectors:
            self._write_vector(k)
        source.write(f"leaves = [{listed('d', range(self.packing.count))}]", f"whole = [{listed('w', self.vectors)}]")
        for i, part in self.kernels:
            made = [[f"r{i}_{c}_{k}" for k in self.vectors] for c in range(part.results - 1)]
            source.write(*(f"{array}.setflags(False)" for column in made for array in column))
            vectors += [array for column in made for array in column]
            remembered = source.name(f"remembered{i}", part.remembered)
            results = "".join(f"({''.join(f'{array}, ' for array in column)}), " for column in made)
            source.write(f"after{i} = {remembered}({self.states[i]}, ({results}))")
        return vectors

    def _write_vector(self, k: int) -> None:
        source, group, (size, dtype) = self.source, self.packing.pieces[k], self.packing.forms[k]
        members = listed("d", [n for n, *_ in group])
        if len(group) > 1:
            source.write(f"w{k} = {source.name('concatenate', np.concatenate)}(({members}), None)")
        else:
            source.write(f"w{k} = {members}.reshape(-1)")
        empty, of_dtype = source.name("empty", np.empty), source.name(f"dtype{k}", dtype)
        for i, part in self.kernels:
            source.write(*(f"r{i}_{c}_{k} = {empty}({size}, {of_dtype})" for c in range(part.results - 1)))
        if size > BLOCK:
            source.write(f"for begin in range(0, {size}, {BLOCK}):", f"    end = begin + {BLOCK}")
            source.write(*(f"    {line}" for line in self._passes(k, "[begin:end]")))
        else:
            source.write(*self._passes(k, ""))
        source.write(f"w{k}.setflags(False)")
        for n, begin, end, shape in group if len(group) > 1 else ():
            source.write(f"d{n} = w{k}[{begin}:{end}].reshape({shape})")

    def _passes(self, k: int, block: str) -> list[str]:
        """The lines that do to a vector, or a block of it, all that is to be done."""
        lines = [f"u = w{k}{block}"]
        for i, part in self.remaining:
            if isinstance(part, PackedPart):
                operands = "".join(f", columns{i}[{c}][{k}]{block}" for c in range(part.results - 1))
                results = "".join(f", r{i}_{c}_{k}{block}" for c in range(part.results - 1))
                lines.append(f"kernel{i}(constants{i}, (u{operands}), (u{results}))")
            else:
                lines.append(f"u *= factor{i}")
        return [*lines, f"u += state.whole[{k}]{block}"]
