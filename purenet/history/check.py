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
from typing import Any
from zlib import crc32

import numpy as np

from purenet.canonical import leaf_array, little_endian
from purenet.tree import leaves
from purenet.walk import branches, is_leaf

_RUNS = 16
_LARGE = 8_192
_SMALL = _LARGE if sys.byteorder == "little" else -1  # up to this size, an array is hashed where it lies
_MOST_BYTES, _MOST_BITS = 12, 96
_ARRAY, _WORD, _BYTE, _combine = np.ndarray, np.dtype(np.uint64), np.dtype(np.uint8), np.bitwise_xor.reduce
_NUMBER = np.float64 if sys.byteorder == "little" else None  # a scalar that is hashed where it lies
_pack = binary.Struct("<I12s").pack
_packers = tuple(binary.Struct(f"<{count}I").pack for count in range(_MOST_BYTES + 1))


def state_check(state: Any) -> bytes:
    """The check of a state, which is any tree."""
    tags: list[int] = []
    try:
        _collect_tags(state, tags)
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


def _collect_tags(tree: Any, tags: list[int]) -> None:
    """Add the tag of every leaf: `purenet.walk.collect`, written out because it runs at every step."""
    cls: Any = tree.__class__
    fields = getattr(cls, "__purenet_fields__", None)
    if fields is not None:
        for read, _ in fields.child_slots:
            part: Any = read(tree)
            kind = part.__class__
            if kind is _ARRAY:
                tags.append(crc32(part) if part.nbytes <= _SMALL and part.dtype.isnative else _tag(part))
            elif kind is _NUMBER:
                tags.append(crc32(part))
            elif part is not None:
                _collect_tags(part, tags)
    elif isinstance(tree, tuple):
        for part in tree:
            if part is not None:
                _collect_tags(part, tags)
    elif cls is _ARRAY:
        tags.append(crc32(tree) if tree.nbytes <= _SMALL and tree.dtype.isnative else _tag(tree))
    elif is_leaf(tree):
        tags.append(_tag(tree))
    else:
        for _, child in branches(tree):
            _collect_tags(child, tags)


def _tag(leaf: Any) -> int:
    """The tag of a leaf of any kind, size, layout and byte order."""
    array = leaf if leaf.__class__ is _ARRAY and leaf.nbytes > _LARGE else leaf_array(leaf, "")
    data: Any = array if _SMALL > 0 and array.dtype.isnative and array.flags.c_contiguous else little_endian(array)
    size = array.nbytes
    if size <= _LARGE:
        return crc32(data)
    words = _RUNS * (size // (8 * _RUNS) - 1 | 1)
    runs = np.frombuffer(data, _WORD, words).reshape(_RUNS, -1)
    return crc32(np.frombuffer(data, _BYTE, -1, 8 * words), crc32(_combine(runs, 1)))  # type: ignore[arg-type]
