"""Keys: where all randomness comes from.

A key is 128 bits. New keys come from a seed or from another key by SHA-256: the first 16 bytes of the digest of a tag
of 16 bytes, then the parent's 16 bytes (none for a seed), then the canonical bytes of what is folded in.

    key(seed)            b"purenet.key.seed"                  the seed
    split(key, n)[i]     b"purenet.key.part"    parent key    i
    fold_in(key, int)    b"purenet.key.step"    parent key    the int
    fold_in(key, str)    b"purenet.key.name"    parent key    the str in UTF-8

An integer is written little-endian in as few bytes as it needs (0 in none), the words of a key little-endian. Different
derivations hash different bytes, so two keys agree only if SHA-256 cut to 128 bits collides.

Example:
    >>> weights, dropout = split(key(0))
    >>> step_key = fold_in(fold_in(dropout, "noise"), 17)
"""

from __future__ import annotations

import hashlib
import operator
import sys
from typing import Any, NoReturn, TypeAlias

import numpy as np

from purenet.errors import ArgumentError, DtypeError, ShapeError
from purenet.records import Array, assemble, frozen, struct

Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]

_SEED = b"purenet.key.seed"
_PART = b"purenet.key.part"
_STEP = b"purenet.key.step"
_NAME = b"purenet.key.name"


@struct
class Key:
    """The source of one random draw, or of further keys: two uint64 `words`, made by `key`, `split` and `fold_in`.

    Example:
        >>> key(0)
        Key(words: uint64[2])
    """

    words: Array

    def __attrs_post_init__(self) -> None:
        if getattr(self.words, "dtype", None) != np.uint64:
            raise DtypeError("expected two uint64 words; make a key with pn.key(seed)", path="Key.words")
        if self.words.shape != (2,):
            raise ShapeError(f"expected shape (2,), got {self.words.shape}; use pn.key(seed)", path="Key.words")

    def __index__(self) -> NoReturn:
        raise DtypeError("a Key is not a number; derive another with pn.fold_in(key, 1), or draw pn.random.integers")


def key(seed: int) -> Key:
    """The key of a seed, which is any integer >= 0, however large.

    Raises:
        DtypeError: if `seed` is not an integer.
        ArgumentError: if it is negative.

    Example:
        >>> [hex(word) for word in key(0).words.tolist()]
        ['0xd70b5f36828b204a', '0xf0da2afcef2cf930']
    """
    if type(seed) is not int:
        seed = integer(seed, "seed", "key")
    return _derived(_SEED + _integer_bytes(seed, "seed", "key"))


def split(key: Key, n: int = 2) -> tuple[Key, ...]:
    """`n` independent keys. The first keys are the same whatever `n` is.

    Raises:
        DtypeError: if `key` is not a `Key`, or `n` not an integer.
        ArgumentError: if `n` is negative.

    Example:
        >>> a, b, c = split(key(0), 3)
    """
    prefix = _PART + _key_bytes(key, "split")
    count = integer(n, "n", "split")
    if count < 0:
        raise ArgumentError(f"expected n >= 0, got {count}", path="split")
    return tuple([_derived(prefix + _integer_bytes(i, "i", "split")) for i in range(count)])


def fold_in(key: Key, data: int | str) -> Key:
    """The key that belongs to `data` under `key`: a step or an index (an integer >= 0), or a purpose by its name.

    Raises:
        DtypeError: if `key` is not a `Key`, or `data` neither an integer nor a str.
        ArgumentError: if `data` is negative.

    Example:
        >>> step_key = fold_in(fold_in(key(0), "batches"), 17)
    """
    parent = _key_bytes(key, "fold_in")
    if type(data) is str:
        return _derived(_NAME + parent + data.encode("utf-8", "surrogatepass"))
    if type(data) is not int:
        data = integer(data, "data", "fold_in", "an integer >= 0 or a str")
    return _derived(_STEP + parent + _integer_bytes(data, "data", "fold_in"))


def bits(key: Key, count: int) -> Words:
    """The first `count` words of the key's stream, uint64: NumPy's `Philox(key=key.words, counter=0).random_raw`."""
    require_key(key, "bits")
    words: Words = np.random.Philox(key=key.words, counter=0).random_raw(count)
    return words


def _derived(message: bytes) -> Key:
    words = np.frombuffer(hashlib.sha256(message).digest(), "<u8", 2)
    return assemble(Key, {"words": words if sys.byteorder == "little" else frozen(words.astype(np.uint64))})


def _key_bytes(key: Key, place: str) -> bytes:
    require_key(key, place)
    return (key.words if sys.byteorder == "little" else key.words.astype("<u8")).tobytes()


def require_key(key: object, place: str) -> None:
    """Raise a `DtypeError` that names the argument of `place`, unless `key` is a `Key`."""
    if type(key) is not Key:
        fix = f"pn.key({key})" if isinstance(key, int) and not isinstance(key, bool) else "pn.key(0)"
        raise DtypeError(f"expected a Key, got {type(key).__name__} {key!r:.40}; use {fix}", path=f"{place}.key")


def integer(value: Any, name: str, place: str, expected: str = "an integer") -> int:
    """`value` as a Python int, if it is an integer and not a bool."""
    if type(value) is int:
        return value
    if not isinstance(value, bool | np.bool_ | Key) and hasattr(value, "__index__") and not np.ndim(value):
        return operator.index(value)
    raise DtypeError(f"expected {expected}, got {type(value).__name__} {value!r:.40}", path=f"{place}.{name}")


def _integer_bytes(value: int, name: str, place: str) -> bytes:
    if value < 0:
        raise ArgumentError(f"expected an integer >= 0, got {value}", path=f"{place}.{name}")
    return value.to_bytes((value.bit_length() + 7) >> 3, "little")
