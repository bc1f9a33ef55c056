"""A history opened for writing: records gathered and appended to the journal, snapshots beside it, an index of both."""

from __future__ import annotations

import os
import struct as binary
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import MappingProxyType, TracebackType
from typing import Any, Self

import attrs
import numpy as np

from purenet.errors import ArgumentError, DtypeError, StorageError
from purenet.history.files import check_folder, lock, new_folder, open_plain, raise_write_error, write_all, write_new
from purenet.history.format import (
    CHAIN_SIZE,
    CHECK_SIZE,
    FORMAT,
    MOST_METRICS,
    Index,
    Layout,
    Snapshot,
    chain_value,
    document,
    file_digest,
    index_document,
    is_file_name,
    is_size,
    journal_header,
    problem_of_names,
)
from purenet.history.reader import INDEX, JOURNAL, MANIFEST, SNAPSHOTS, HistoryReader
from purenet.safetensors import PathLike, replace_file
from purenet.storage import save

_RESERVED = ("digest", "files", "format", "metrics", "start")
_BUFFER = 1 << 16
_MOST_UNSAFE = 20_000  # records between two safe points: what opening has to walk through stays small
_SAFE_SECONDS = 2.0  # between two safe points for snapshots: each waits for the disk three times


class HistoryWriter:
    """Writes the records and snapshots of one history; made by `create` and `reopen`.

    Records are gathered, and appended to the journal after `flush_seconds` or when the buffer is full. What was flushed
    survives the end of the process, whatever ends it. What stands before a safe point survives a loss of power too: one
    is set within seconds of a snapshot, every 20,000 records, and at the end. Nobody else can write while this is open.
    It is for one thread.
    """

    def __init__(self, folder: Path, descriptor: int, reader: HistoryReader, flush_seconds: float) -> None:
        layout = reader.layout
        self._folder, self._descriptor, self._layout = folder, descriptor, layout
        self._snapshots = dict(reader.snapshots)
        self._stop = self._expected = reader.stop  # `_expected` is -1 once nothing can be appended any more
        self._flushed, self._safe = reader.stop - layout.start, reader.safe - layout.start
        self._pack, self._size, self._numbers = layout.body.pack_into, layout.record_size, layout.metrics
        # The buffer begins with the chain value that its first record goes on from, as every record in the journal.
        self._buffer = bytearray(CHAIN_SIZE + max(1, _BUFFER // self._size) * self._size)
        self._buffer[:CHAIN_SIZE] = bytes.fromhex(reader.head)
        self._view = memoryview(self._buffer)
        self._position = CHAIN_SIZE
        self._flush_seconds, self._flush_at = flush_seconds, monotonic() + flush_seconds
        self._has_unlisted, self._safe_at = False, monotonic() + _SAFE_SECONDS

    @classmethod
    def create(
        cls,
        path: PathLike,
        about: Mapping[str, Any],
        *,
        metrics: Sequence[str] = (),
        start: int = 0,
        trees: Mapping[str, Any] = MappingProxyType({}),
        state: Any = attrs.NOTHING,
        flush_seconds: float = 0.25,
    ) -> HistoryWriter:
        """A new history, which appears at `path` in one step, and is open for writing.

        Args:
            path: a folder that is not there yet, or is empty.
            about: what the run is, as values of JSON, with names of their own in the manifest.
            metrics: the names of the metrics that each record has.
            start: the number of the first step.
            trees: what belongs to the history beside its states, by names in small letters.
            state: the state before the first step; left out by a history whose parent has it.
            flush_seconds: how long a record may wait in memory.

        Raises:
            ArgumentError: if a name cannot be used, or `about` is not JSON.
            DtypeError: if a tree holds what a file cannot.
            WriteError: if it cannot be written, or something is there already; nothing is left then.
        """
        _check_names(about, metrics, trees)
        if not is_size(start):
            raise ArgumentError(f"expected the number of the first step, got {start!r:.60}", path="start")
        with new_folder(path) as folder:
            (folder / SNAPSHOTS).mkdir()
            files = {name: list(_save(tree, folder / f"{name}.safetensors")) for name, tree in trees.items()}
            own = {"files": files, "format": FORMAT, "metrics": list(metrics), "start": start}
            manifest, digest = document({**about, **own}, indent=1)
            write_new(folder / MANIFEST, manifest)
            header = journal_header(Layout(digest, start, len(metrics)))
            write_new(folder / JOURNAL, header)
            snapshots: tuple[Snapshot, ...] = ()
            if state is not attrs.NOTHING:
                snapshots = (_save_snapshot(folder, start, state),)
            write_new(folder / INDEX, index_document(Index(digest, 0, header[-CHAIN_SIZE:].hex(), snapshots)))
        return cls._open(Path(os.path.realpath(path)), flush_seconds)

    @classmethod
    def reopen(cls, path: PathLike, flush_seconds: float = 0.25) -> HistoryWriter:
        """A history open for writing where it stopped; what a killed writer left half done is removed.

        Raises:
            StorageError: if it is damaged, or there is none.
            WriteError: if another writer has it open, or it cannot be written.
        """
        folder = Path(os.path.realpath(path))
        HistoryReader.open(folder)  # says what is wrong with what is no history
        return cls._open(folder, flush_seconds)

    @classmethod
    def _open(cls, folder: Path, flush_seconds: float) -> HistoryWriter:
        descriptor = open_plain(folder / JOURNAL, write=True)
        try:
            lock(descriptor, folder)
            check_folder(folder / SNAPSHOTS)
            reader = HistoryReader.open(folder)  # as the last writer left it
            reader = attrs.evolve(reader, records=np.empty(0))  # Windows shortens no file that is mapped
            if reader.torn:
                os.ftruncate(descriptor, reader.layout.offset(reader.stop - reader.start))
            _remove_leftovers(folder, reader.snapshots)
            return cls(folder, descriptor, reader, flush_seconds)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and not isinstance(error, StorageError):
                raise_write_error(error, folder / JOURNAL)
            raise

    @property
    def start(self) -> int:
        """The number of the first step."""
        return self._layout.start

    @property
    def stop(self) -> int:
        """The number of the next step."""
        return self._stop

    @property
    def snapshots(self) -> Mapping[int, Snapshot]:
        """The stored states, by how many steps they are after."""
        return MappingProxyType(self._snapshots)

    def append(self, step: int, loss: float, check: bytes, metrics: Sequence[float] = ()) -> None:
        """Add the record of a step.

        Args:
            step: its number, which is `stop`.
            loss: what it computed.
            check: at most 16 bytes that stand for the state after it.
            metrics: a number for each metric.

        Raises:
            ArgumentError: if it is not the next step, or what it has does not fit a record.
            DtypeError: if a number is none.
            WriteError: if what was gathered cannot be written.
        """
        if step != self._expected or len(check) > CHECK_SIZE or len(metrics) != self._numbers:
            self._refuse(step, check, metrics)
        buffer = self._buffer
        try:
            self._pack(buffer, self._position, step, loss, check, *metrics)
        except (binary.error, TypeError) as error:
            raise DtypeError(f"expected bytes and real numbers, got {(loss, check, metrics)!r:.90}") from error
        self._position += self._size
        self._stop = self._expected = self._expected + 1
        if self._position == len(buffer) or monotonic() >= self._flush_at:
            self.flush()

    def flush(self) -> None:
        """Hand what was gathered to the system: readers see it, and it survives the end of the process."""
        self._write()
        self._set_safe_point_if_due()

    def snapshot(self, step: int, state: Any) -> None:
        """Store the state after `step` steps, whose records are appended; nothing happens if it is stored already.

        The index lists it from the next safe point on, which is not far: seconds, or the end of the writer.

        Raises:
            ArgumentError: if there are no such steps.
            DtypeError: if the state holds what a file cannot.
            WriteError: if it cannot be written; the history is as before, and can be written on.
        """
        self._check_open()
        if step in self._snapshots:
            return
        if not (is_size(step) and self.start <= step <= self._stop):
            raise ArgumentError(f"expected a step from {self.start} to {self._stop}, got {step!r:.60}", path="step")
        self._snapshots[step] = _save_snapshot(self._folder, step, state)
        self._has_unlisted = True
        self._set_safe_point_if_due()

    def remove_snapshots(self, steps: Iterable[int]) -> None:
        """Remove stored states, first from the index and then from the disk.

        Raises:
            ArgumentError: if one of them is not stored.
            WriteError: if the index cannot be written; then none is removed.
        """
        self._check_open()
        gone = set(steps)
        if gone - set(self._snapshots):
            problem = f"no state is stored after {sorted(gone - set(self._snapshots))!r:.60} steps"
            raise ArgumentError(f"{problem}, only after {sorted(self._snapshots)!r:.200}", path="steps")
        names = [self._snapshots[step].name for step in gone]
        self._set_safe_point({step: saved for step, saved in self._snapshots.items() if step not in gone})
        for name in names:
            with suppress(OSError):
                (self._folder / name).unlink()

    def close(self) -> None:
        """Write what was gathered, set a safe point, and let others write; after a failure only the last."""
        if self._descriptor < 0:
            return
        try:
            if self._expected >= 0 and (self._has_unlisted or self._stop - self.start > self._safe):
                self._set_safe_point(self._snapshots)
        finally:
            descriptor, self._descriptor, self._expected = self._descriptor, -1, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self) -> None:
        """Append the buffer to the journal. A failed write leaves right records there, the last one perhaps torn."""
        self._check_open()
        self._chain()
        try:
            # At its own offset, so that a write that was interrupted after it took place is only done once more.
            os.lseek(self._descriptor, self._layout.offset(self._flushed), os.SEEK_SET)
            write_all(self._descriptor, self._view[CHAIN_SIZE : self._position])
        except OSError as error:
            self._fail(error)
        self._flush_at = monotonic() + self._flush_seconds
        # No call from here on, so that an interrupt finds nothing of this done or everything.
        self._buffer[:CHAIN_SIZE] = self._buffer[self._position - CHAIN_SIZE : self._position]
        self._flushed, self._position = self._stop - self._layout.start, CHAIN_SIZE

    def _chain(self) -> None:
        """Put in the chain values: of all records at once, which is quicker than one after each step."""
        buffer, view, size = self._buffer, self._view, self._size
        for begin in range(0, self._position - CHAIN_SIZE, size):
            buffer[begin + size : begin + size + CHAIN_SIZE] = chain_value(view[begin : begin + size])

    def _set_safe_point_if_due(self) -> None:
        is_late = self._has_unlisted and monotonic() >= self._safe_at
        if is_late or self._flushed - self._safe >= _MOST_UNSAFE:
            self._set_safe_point(self._snapshots)

    def _set_safe_point(self, snapshots: dict[int, Snapshot]) -> None:
        """Make all records durable, and write down in the index that they and these snapshots are."""
        self._write()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._fail(error)
        chain = bytes(self._buffer[:CHAIN_SIZE]).hex()
        ordered = {step: snapshots[step] for step in sorted(snapshots)}
        index = Index(self._layout.manifest, self._flushed, chain, tuple(ordered.values()))
        replace_file(self._folder / INDEX, [index_document(index)])
        self._snapshots, self._safe, self._has_unlisted = ordered, self._flushed, False
        self._safe_at = monotonic() + _SAFE_SECONDS

    def _fail(self, error: OSError) -> None:
        self._expected = -1
        advice = "make room or mend the disk, then resume; what was written before is as it was"
        raise_write_error(error, self._folder / JOURNAL, f"cannot be written: {error.strerror or error}; {advice}")

    def _check_open(self) -> None:
        if self._expected < 0:
            raise ArgumentError("this writer is closed or has failed; open the history for writing again")

    def _refuse(self, step: int, check: bytes, metrics: Sequence[float]) -> None:
        """Say why a record is not appended."""
        self._check_open()
        if step != self._expected:
            raise ArgumentError(f"expected step {self._expected}, the next one, got {step!r:.60}", path="step")
        if len(check) > CHECK_SIZE:
            raise ArgumentError(f"expected at most {CHECK_SIZE} bytes, got {len(check)}", path="check")
        raise ArgumentError(f"expected {self._layout.metrics} numbers, got {len(metrics)}", path="metrics")


def _check_names(about: Mapping[str, Any], metrics: Sequence[str], trees: Mapping[str, Any]) -> None:
    """Names that files can have, and that do not collide."""
    taken = sorted(set(about) & set(_RESERVED))
    if taken:
        raise ArgumentError(f"the manifest's own names are {', '.join(_RESERVED)}; rename {taken[0]!r}", path="about")
    problem = problem_of_names(metrics) or (f"expected at most {MOST_METRICS}" if len(metrics) > MOST_METRICS else "")
    if problem:
        raise ArgumentError(problem, path="metrics")
    for name in trees:
        if not is_file_name(name):
            raise ArgumentError(f"expected a word of small letters, digits and _, got {name!r:.60}", path="trees")


def _save(tree: Any, path: Path) -> tuple[int, str]:
    """Save a tree; the size and the digest of its file."""
    save(tree, path)
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, file_digest(file.read(107))


def _save_snapshot(folder: Path, step: int, state: Any) -> Snapshot:
    snapshot = Snapshot(step, 0, "")
    size, digest = _save(state, folder / snapshot.name)
    return snapshot._replace(size=size, digest=digest)


def _remove_leftovers(folder: Path, snapshots: Mapping[int, Snapshot]) -> None:
    """Remove what a writer that was killed had not yet put in its place or into the index, and nothing else."""
    known = {snapshot.name for snapshot in snapshots.values()}
    unfinished = [*folder.glob(".purenet-*.tmp"), *(folder / SNAPSHOTS).glob(".purenet-*.tmp")]
    unlisted = [p for p in (folder / SNAPSHOTS).glob("?" * 12 + ".safetensors") if f"{SNAPSHOTS}/{p.name}" not in known]
    for path in [*unfinished, *(path for path in unlisted if path.stem.isdecimal())]:
        with suppress(OSError):
            path.unlink()
