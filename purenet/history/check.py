"""The check of a state: 16 bytes that the journal keeps for each step, computed in microseconds.

Each leaf, in the order of `purenet.tree.leaves`, has a tag: the CRC-32 of its bytes in C order, little-endian. A leaf
of more than 8,192 bytes is made shorter first: it is cut into 16 equal runs of as many words of 8 bytes as there are
for each, or one less, so that their number is odd; the words of a run are combined by exclusive or; the 16 results and
the bytes left over are what is hashed. All of this is linear, so that one flipped bit, wherever it is, always changes
the tag of its leaf; and so does a bit that flips in every word, such as the sign, because the numbers are odd.

The check is the CRC-32 of the tags (4 bytes each, little-endian) in 4 bytes, little-endian, and 12 bytes of marks,
which tell leaves apart where two checks differ. Up to 12 leaves: byte i is the lowest byte of tag i, and 0 behind the
last one. Up to 96: leaf i has the `96 // count` lowest bits of its tag, leaf 0 in the lowest bits of a little-endian
integer. More: all zero. Leaves whose marks differ do differ; a leaf that differs may have the same mark by chance.
"""

from __future__ import annotations

import struct as binary
import sys
from collections.abc import Iterable
from typing import Any
from zlib import crc32

import numpy as np

from purenet.canonical import leaf_array, little_endian
from purenet.training import State
from purenet.tree import leaves
from purenet.walk import branches, is_leaf

_RUNS = 16
_LARGE = 8_192
_IS_LITTLE = sys.byteorder == "little"  # then native arrays are hashed where they lie
_MOST_BYTES, _MOST_BITS = 12, 96
_ARRAY, _WORD, _BYTE, _combine = np.ndarray, np.dtype(np.uint64), np.dtype(np.uint8), np.bitwise_xor.reduce
_NUMBER = np.float64 if _IS_LITTLE else None
_pack = binary.Struct("<I12s").pack
_packers = tuple(binary.Struct(f"<{count}I").pack for count in range(_MOST_BYTES + 1))


def state_check(state: Any) -> bytes:
    """The check of a state, which is any tree."""
    tags: list[int] = []
    try:
        # A state that a step made remembers the leaves of its network.
        remembered = state.leaves if state.__class__ is State else None
    except AttributeError:
        remembered = None
    parts = (state,) if remembered is None else (*remembered, state.optimizer, state.key, state.loss)
    try:
        _add_tags(parts, tags)
    except (BufferError, ValueError):  # a leaf that does not lie in C order
        tags = [_tag(leaf) for leaf in leaves(state)]
    count = len(tags)
    if count <= _MOST_BYTES:
        packed = _packers[count](*tags)
        return _pack(crc32(packed), packed[::4])
    marks = 0
    if count <= _MOST_BITS:
        width = _MOST_BITS // count
        mask = (1 << width) - 1
        for tag in reversed(tags):
            marks = marks << width | tag & mask
    return _pack(crc32(binary.pack(f"<{count}I", *tags)), marks.to_bytes(12, "little"))


def leaves_that_differ(a: bytes, b: bytes, count: int) -> list[int]:
    """The numbers of those leaves that two checks of trees of `count` leaves show to differ; there may be more."""
    width = 8 if count <= _MOST_BYTES else _MOST_BITS // count
    different = int.from_bytes(a[4:], "little") ^ int.from_bytes(b[4:], "little")
    return [i for i in range(count) if different >> (i * width) & ((1 << width) - 1)]


def _add_tags(trees: Iterable[Any], tags: list[int]) -> None:
    """Add the tag of every leaf of some trees: `purenet.walk.collect`, written out because it runs at every step."""
    for tree in trees:
        cls: Any = tree.__class__
        if cls is _ARRAY and _IS_LITTLE and tree.dtype.isnative:
            size = tree.nbytes
            tags.append(crc32(tree) if size <= _LARGE else _folded(tree, size))
        elif tree is None:
            continue
        elif cls is _NUMBER:
            tags.append(crc32(tree))
        elif isinstance(tree, tuple):
            _add_tags(tree, tags)
        elif (fields := getattr(cls, "__purenet_fields__", None)) is not None:
            _add_tags([read(tree) for read, _ in fields.child_slots], tags)
        elif is_leaf(tree):
            tags.append(_tag(tree))
        else:
            _add_tags([child for _, child in branches(tree)], tags)


def _tag(leaf: Any) -> int:
    """The tag of a leaf of any kind, size, layout and byte order."""
    data = little_endian(leaf_array(leaf, ""))
    return crc32(data) if len(data) <= _LARGE else _folded(data, len(data))


def _folded(data: Any, size: int) -> int:
    """The tag of a large leaf, from its bytes."""
    words = _RUNS * (size // (8 * _RUNS) - 1 | 1)
    runs = np.frombuffer(data, _WORD, words).reshape(_RUNS, -1)
    rest: Any = np.frombuffer(data, _BYTE, -1, 8 * words)
    return crc32(rest, crc32(_combine(runs, 1)))
