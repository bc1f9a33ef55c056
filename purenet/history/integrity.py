"""Every byte of a history compared with what the chain and the digests say: what is damaged, in which file, where."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from purenet.errors import StorageError
from purenet.history.files import check_folder, open_file
from purenet.history.format import HEADER_SIZE, Index, Layout, blank_file_digest, file_digest, invalid_records
from purenet.history.reader import (
    INDEX,
    JOURNAL,
    MANIFEST,
    SNAPSHOTS,
    check_index,
    check_parts,
    check_saved,
    map_journal,
    read_index,
    read_manifest,
)
from purenet.safetensors import PathLike

_PIECE = 1 << 20


class Problem(NamedTuple):
    """One place in a file of a history that is not as it was written.

    `is_tail` marks what stands in the journal after the last safe point: a writer that was killed leaves the like, and
    it is removed when the history is next written.
    """

    file: str
    begin: int
    end: int
    what: str
    is_tail: bool = False

    def __str__(self) -> str:
        place = f"{self.file}, bytes {self.begin} to {self.end}" if self.end else self.file
        return f"{place}: {self.what}" if place else self.what


def problems(path: PathLike) -> Iterator[Problem]:
    """Everything that is wrong with the bytes of a history, file by file; nothing of it is executed or built.

    A single changed byte is found wherever it is; so are files that are missing, cut short, exchanged or of another
    history. A history that someone has rewritten as a whole, digests included, is another history: its digest differs.
    """
    folder = Path(path)
    try:
        manifest = read_manifest(folder)
    except StorageError as error:
        yield Problem("", 0, 0, error.problem) if error.path == str(folder) else _whole(folder, MANIFEST, error)
        return
    try:
        index = read_index(folder)
    except StorageError as error:
        yield _whole(folder, INDEX, error)
        return
    try:
        layout, journal = map_journal(folder)
        check_parts(manifest, layout, index)
    except StorageError as error:
        yield _whole(folder, JOURNAL, error)
    else:
        yield from _journal_problems(folder, layout, journal, index)
    for name, (size, digest) in manifest["files"].items():
        yield from _saved_problems(folder, f"{name}.safetensors", size, digest)
    for snapshot in index.snapshots:
        yield from _saved_problems(folder, snapshot.name, snapshot.size, snapshot.digest)


def _journal_problems(folder: Path, layout: Layout, journal: memoryview, index: Index) -> Iterator[Problem]:
    whole = (len(journal) - HEADER_SIZE) // layout.record_size
    runs = list(_runs(invalid_records(journal, layout, 0, whole)))
    for begin, end in runs:
        steps = f"step {layout.start + begin}" + (f" to {layout.start + end - 1}" if end > begin + 1 else "")
        what = f"the record of {steps} does not follow from what stands before it; it is damaged"
        is_tail = begin >= index.records
        yield Problem(JOURNAL, layout.offset(begin), layout.offset(end), what, is_tail)
    if layout.offset(whole) < len(journal):
        what = "a record that is not whole: its writer was killed, or the file is truncated"
        yield Problem(JOURNAL, layout.offset(whole), len(journal), what, whole >= index.records)
    try:
        check_index(journal, layout, index)
    except StorageError as error:
        if not any(begin < index.records <= end for begin, end in runs):
            yield _whole(folder, JOURNAL, error)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Rising numbers as the ranges that they make up."""
    begin = end = -1
    for number in numbers:
        if number != end:
            if end > begin:
                yield begin, end
            begin = number
        end = number + 1
    if end > begin:
        yield begin, end


def _saved_problems(folder: Path, name: str, size: int, digest: str) -> Iterator[Problem]:
    path = folder / name
    try:
        check_folder((folder / SNAPSHOTS) if name.startswith(SNAPSHOTS) else folder.resolve())
        check_saved(path, size, digest)
        actual = _digest_of(path)
        if actual != digest:
            raise StorageError(f"its content has the digest {actual}, not {digest}; it is damaged")
    except StorageError as error:
        yield _whole(folder, name, error)


def _digest_of(path: Path) -> str:
    """The digest of a saved file, computed from its content."""
    with open_file(path) as file:
        beginning = file.read(107)
        file_digest(beginning)
        sha = sha256(blank_file_digest(beginning))
        while piece := file.read(_PIECE):
            sha.update(piece)
    return sha.hexdigest()


def _whole(folder: Path, name: str, error: StorageError) -> Problem:
    """A problem that concerns a file as a whole."""
    try:
        size = os.lstat(folder / name).st_size
    except OSError:
        size = 0
    return Problem(name, 0, size, error.problem)
