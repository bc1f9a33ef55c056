"""The bytes of a history: JSON documents with a digest, and the journal's header and records.

`docs/history-format.md` specifies them; nothing here opens a file. What is read is not trusted: every size and type is
checked, and a `StorageError` says what is wrong.
"""

from __future__ import annotations

import struct as binary
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from purenet.errors import ArgumentError, StorageError
from purenet.safetensors import parse_json

FORMAT = "purenet history 1"
"""What a manifest and an index say they are. A change of what the page says is a change of this text."""

CHECK_SIZE = 16
CHAIN_SIZE = 16
HEADER_SIZE = 80
MOST_METRICS = 1000

_MAGIC = b"purenet journal\n"
_VERSION = 1
_HEADER = binary.Struct("<16sIIQ32s")
_BEFORE_DIGEST = b'{"digest":"'
_NO_DIGEST = b"0" * 64
_BEFORE_FILE_DIGEST = b'{"__metadata__":{"purenet.digest":"'  # in a file that `purenet.save` wrote, after 8 bytes


class Layout(NamedTuple):
    """What the header of a journal says."""

    manifest: str
    start: int
    metrics: int

    @property
    def record_size(self) -> int:
        """Bytes of a record: step, loss, check, metrics, chain."""
        return 16 + CHECK_SIZE + 8 * self.metrics + CHAIN_SIZE

    @property
    def dtype(self) -> np.dtype[Any]:
        """A record as NumPy reads it."""
        check, chain = ("check", "u1", (CHECK_SIZE,)), ("chain", "u1", (CHAIN_SIZE,))
        return np.dtype([("step", "<u8"), ("loss", "<f8"), check, ("metrics", "<f8", (self.metrics,)), chain])

    @property
    def body(self) -> binary.Struct:
        """A record without its chain value, as `struct` writes it."""
        return binary.Struct(f"<Qd{CHECK_SIZE}s{self.metrics}d")

    def offset(self, count: int) -> int:
        """Where the record after the first `count` begins in the journal."""
        return HEADER_SIZE + count * self.record_size


class Snapshot(NamedTuple):
    """A stored state: after how many steps, the size of its file, and the digest in it."""

    step: int
    size: int
    digest: str

    @property
    def name(self) -> str:
        """The file, within the history."""
        return f"snapshots/{self.step:012d}.safetensors"


class Index(NamedTuple):
    """What is safely on the disk: so many records, the chain value after them, and these snapshots."""

    manifest: str
    records: int
    chain: str
    snapshots: tuple[Snapshot, ...]


def chain_value(data: bytes | memoryview) -> bytes:
    """The chain value of what stands before it: 16 bytes of the value before and the body of a record."""
    return sha256(data).digest()[:CHAIN_SIZE]


def invalid_records(journal: memoryview, layout: Layout, begin: int, end: int) -> Iterator[int]:
    """Which of the records `begin` to `end` (excluded) do not follow from the bytes before them."""
    size = layout.record_size
    at = layout.offset(begin) - CHAIN_SIZE
    for record in range(begin, end):
        after = at + size
        right = chain_value(journal[at:after]) == journal[after : after + CHAIN_SIZE]
        step = int.from_bytes(journal[at + CHAIN_SIZE : at + CHAIN_SIZE + 8], "little")
        if not right or step != layout.start + record:
            yield record
        at = after


def journal_header(layout: Layout) -> bytes:
    """The beginning of a journal; its last 16 bytes are the chain value that the first record goes on from."""
    header = _HEADER.pack(_MAGIC, _VERSION, layout.metrics, layout.start, bytes.fromhex(layout.manifest))
    return header + chain_value(header)


def parse_journal_header(header: bytes) -> Layout:
    """What the beginning of a journal says."""
    if len(header) < HEADER_SIZE:
        raise StorageError(f"it has {len(header)} bytes, and its header alone {HEADER_SIZE}: it is truncated")
    magic, version, metrics, start, manifest = _HEADER.unpack_from(header)
    if magic != _MAGIC:
        raise StorageError(f"bytes 0 to 16 are {magic!r}, not {_MAGIC!r}: it is damaged or no journal")
    if chain_value(header[:64]) != header[64:HEADER_SIZE]:
        raise StorageError("bytes 0 to 80: the header does not agree with its chain value; it is damaged")
    if version != _VERSION:
        raise StorageError(f"it has version {version}, this version of purenet reads {_VERSION}")
    return Layout(manifest.hex(), start, metrics)


def document(contents: Mapping[str, Any], indent: int | None = None) -> tuple[bytes, str]:
    """A JSON document that begins with its own digest, and that digest."""
    import json

    try:
        separators = (",", ":") if indent is None else (",", ": ")
        text = json.dumps(
            contents, indent=indent, separators=separators, sort_keys=True, ensure_ascii=False, allow_nan=False
        )
        same = parse_json(text, "the manifest") == contents
        data = _BEFORE_DIGEST + _NO_DIGEST + b'",' + text[1:].encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:  # StorageError and UnicodeEncodeError are ValueErrors
        raise ArgumentError(f"expected values of JSON, got what it cannot hold: {error!s:.200}", path="about") from None
    if not same:
        problem = "expected values of JSON (None, bool, int, finite float, str, list, dict with str keys)"
        raise ArgumentError(f"{problem}, got others, such as tuples or keys that are numbers", path="about")
    digest = sha256(data).hexdigest()
    return data.replace(_NO_DIGEST, digest.encode(), 1), digest


def parse_document(data: bytes) -> dict[str, Any]:
    """The contents of a JSON document, with its digest, which is right."""
    begin = len(_BEFORE_DIGEST)
    digest = data[begin : begin + 64]
    blank = data[:begin] + _NO_DIGEST + data[begin + 64 :]
    if not data.startswith(_BEFORE_DIGEST) or sha256(blank).hexdigest().encode() != digest:
        problem = "the content does not match its digest: it is damaged, truncated, or was changed by hand"
        raise StorageError(f"bytes 0 to {len(data)}: {problem}")
    contents = parse_json(data, "it")
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        got = contents.get("format") if isinstance(contents, dict) else contents
        raise StorageError(f"it has the format {got!r:.80}, this version of purenet reads {FORMAT!r}")
    return contents


def parse_manifest(data: bytes) -> dict[str, Any]:
    """A manifest whose own fields are as specified; the others are as they come."""
    manifest = parse_document(data)
    metrics, files, start = (manifest.get(name) for name in ("metrics", "files", "start"))
    if not is_size(start):
        raise StorageError(f"start: expected the number of the first step, got {start!r:.60}")
    if not isinstance(metrics, list) or problem_of_names(metrics) or len(metrics) > MOST_METRICS:
        raise StorageError(f"metrics: expected at most {MOST_METRICS} different names, got {metrics!r:.80}")
    if not isinstance(files, dict) or not all(_is_file(name, entry) for name, entry in files.items()):
        raise StorageError(f"files: expected names with [size, digest], got {files!r:.200}")
    return manifest


def index_document(index: Index) -> bytes:
    """An index as JSON."""
    snapshots = [list(snapshot) for snapshot in index.snapshots]
    return document({**index._asdict(), "format": FORMAT, "snapshots": snapshots})[0]


def parse_index(data: bytes) -> Index:
    """An index that is as specified."""
    contents = parse_document(data)
    contents = {name: value for name, value in contents.items() if name not in ("digest", "format")}
    if set(contents) != set(Index._fields):
        raise StorageError(f"expected the fields {list(Index._fields)}, got {sorted(contents)!r:.200}")
    manifest, records, chain, snapshots = (contents[name] for name in Index._fields)
    if not (_is_hex(manifest, 64) and is_size(records) and _is_hex(chain, 2 * CHAIN_SIZE)):
        raise StorageError(f"expected a digest, a number and a chain value, got {(manifest, records, chain)!r:.200}")
    if not isinstance(snapshots, list) or not all(_is_snapshot(entry) for entry in snapshots):
        raise StorageError(f"snapshots: expected a list of [step, size, digest], got {snapshots!r:.80}")
    steps = [entry[0] for entry in snapshots]
    if any(b <= a for a, b in pairwise(steps)):
        raise StorageError(f"snapshots: expected rising steps, got {steps!r:.80}")
    return Index(manifest, records, chain, tuple(Snapshot(*entry) for entry in snapshots))


def file_digest(beginning: bytes) -> str:
    """The digest in a file that `purenet.save` wrote, from its first 107 bytes."""
    begin = 8 + len(_BEFORE_FILE_DIGEST)
    if beginning[8:begin] != _BEFORE_FILE_DIGEST or not _is_hex(beginning[begin:107].decode("latin1"), 64):
        raise StorageError("bytes 8 to 107 are not the digest of a file that purenet saved; it is damaged")
    return beginning[begin:107].decode()


def blank_file_digest(beginning: bytes) -> bytes:
    """The first 107 bytes of a saved file as they were when its digest was computed."""
    return beginning[: 8 + len(_BEFORE_FILE_DIGEST)] + _NO_DIGEST


def problem_of_names(names: Sequence[Any]) -> str:
    """What is wrong with the names of metrics; empty if nothing is."""
    for name in names:
        if not isinstance(name, str) or not name:
            return f"expected a name, got {name!r:.60}"
    return "a name occurs twice" if len(set(names)) < len(names) else ""


def is_file_name(name: Any) -> bool:
    """Whether `name` can be the name of a tree beside the journal: a word in small letters, so no path at all."""
    return isinstance(name, str) and name.isascii() and name.isidentifier() and name.islower() and len(name) <= 60


def is_size(value: Any) -> bool:
    """Whether `value` is an int that fits any file."""
    return type(value) is int and 0 <= value < 2**62


def _is_file(name: Any, entry: Any) -> bool:
    return is_file_name(name) and isinstance(entry, list) and len(entry) == 2 and _is_snapshot([0, *entry])


def _is_snapshot(entry: Any) -> bool:
    is_triple = isinstance(entry, list) and len(entry) == 3
    return is_triple and is_size(entry[0]) and is_size(entry[1]) and _is_hex(entry[2], 64)


def _is_hex(text: Any, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and not set(text) - set("0123456789abcdef")
