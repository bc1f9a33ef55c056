"""A history on the disk, opened for reading: the manifest, the journal mapped, the snapshots by their steps."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from purenet.errors import ArgumentError, StorageError
from purenet.history.files import check_folder, open_file, open_plain, read_plain
from purenet.history.format import (
    CHAIN_SIZE,
    HEADER_SIZE,
    Index,
    Layout,
    Snapshot,
    file_digest,
    invalid_records,
    parse_index,
    parse_journal_header,
    parse_manifest,
)
from purenet.records import Array
from purenet.safetensors import PathLike
from purenet.storage import load

MANIFEST, JOURNAL, INDEX, SNAPSHOTS = "manifest.json", "journal", "index.json", "snapshots"

_LARGEST_DOCUMENT = 1 << 26


@attrs.frozen(eq=False)
class HistoryReader:
    """The whole records and the snapshots of a history, as they were when it was opened.

    Record t has the loss that step t computed and the check of the state after it. A history that is being written
    shows what was flushed; open it again to see more.

    Attributes:
        path: the folder, as it was named.
        folder: the same from the root, so that it is found when the process is elsewhere.
        manifest: what the run is, as JSON values.
        layout: what the header of the journal says.
        stop: the number of the step after the last record.
        safe: the number of the step after the last record that a loss of power cannot take.
        snapshots: the stored states, by how many steps they are after.
        torn: how many bytes stand in the journal after the last whole record: what a killed writer left.
    """

    path: Path
    folder: Path
    manifest: dict[str, Any]
    layout: Layout
    stop: int
    safe: int
    snapshots: Mapping[int, Snapshot]
    torn: int
    _records: Array = attrs.field(repr=False)
    head: str

    @classmethod
    def open(cls, path: PathLike) -> HistoryReader:
        """Open a history without reading all of it: what lies before the last safe point is taken as it is.

        Raises:
            StorageError: if it is damaged or hostile, or there is none.
        """
        folder = Path(path)
        manifest, index = read_manifest(folder), read_index(folder)
        layout, journal = map_journal(folder)
        try:
            check_parts(manifest, layout, index)
            whole = (len(journal) - HEADER_SIZE) // layout.record_size
            count = next(invalid_records(journal, layout, index.records, check_index(journal, layout, index)), whole)
        except StorageError as error:
            raise error.within(str(folder / JOURNAL)) from None
        end = layout.offset(count)
        return cls(
            path=folder,
            folder=folder.absolute(),
            manifest=manifest,
            layout=layout,
            stop=layout.start + count,
            safe=layout.start + index.records,
            snapshots=MappingProxyType({snapshot.step: snapshot for snapshot in index.snapshots}),
            torn=len(journal) - end,
            records=np.frombuffer(journal, layout.dtype, count, HEADER_SIZE),
            head=bytes(journal[end - CHAIN_SIZE : end]).hex(),
        )

    @property
    def start(self) -> int:
        """The number of the first step."""
        return self.layout.start

    @property
    def digest(self) -> str:
        """The digest of the manifest, by which other histories refer to this one."""
        return self.layout.manifest

    @property
    def losses(self) -> Array:
        """The loss that each step from `start` to `stop` computed, mapped from the disk."""
        return self._records["loss"]

    @property
    def metrics(self) -> dict[str, Array]:
        """The metrics of each step, by name, mapped from the disk."""
        return {name: self._records["metrics"][:, i] for i, name in enumerate(self.manifest["metrics"])}

    @property
    def checks(self) -> Array:
        """The check of the state after each step: a row of bytes."""
        return self._records["check"]

    @property
    def chain(self) -> Array:
        """The chain value of each record: a row of bytes, which stands for all before it too."""
        return self._records["chain"]

    def load_snapshot(self, step: int, classes: Iterable[Any] = ()) -> Any:
        """The state that was stored after `step` steps.

        Raises:
            ArgumentError: if there is none.
            StorageError: if its file is missing, damaged, or of another state.
        """
        if step not in self.snapshots:
            problem = f"no state is stored after {step!r:.60} steps, only after {list(self.snapshots)!r:.200}"
            raise ArgumentError(problem, path="step")
        self._check_there()
        check_folder(self.folder / SNAPSHOTS)
        snapshot = self.snapshots[step]
        return _load(self.folder / snapshot.name, snapshot.size, snapshot.digest, classes)

    def lacks(self, step: int) -> bool:
        """Whether the file of a state that was stored when this was opened is gone, and not all of the history."""
        there = self.folder / SNAPSHOTS
        return there.is_dir() and not os.path.lexists(self.folder / self.snapshots[step].name)

    def load(self, name: str, classes: Iterable[Any] = ()) -> Any:
        """A tree that the history holds beside its states.

        Raises:
            ArgumentError: if there is none of that name.
            StorageError: if its file is missing or damaged.
        """
        files = self.manifest["files"]
        if name not in files:
            raise ArgumentError(f"it holds no {name!r:.60}, only {sorted(files)!r:.200}", path="name")
        size, digest = files[name]
        self._check_there()
        return _load(self.folder / f"{name}.safetensors", size, digest, classes)

    def _check_there(self) -> None:
        if not self.folder.is_dir():
            raise StorageError("it is missing; it was moved or removed after it was opened", path=str(self.folder))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a history."""
    try:
        is_there = folder.is_dir()
    except (OSError, ValueError) as error:  # of a folder above without permission, a name that is too long, ...
        raise StorageError(f"cannot be looked at: {error}", path=str(folder)) from None
    if not is_there:
        raise StorageError("there is no such folder, and so no history", path=str(folder))
    path = folder / MANIFEST
    try:
        return parse_manifest(read_plain(path, _LARGEST_DOCUMENT))
    except StorageError as error:
        raise error if error.path else error.within(str(path)) from None


def read_index(folder: Path) -> Index:
    """The index of a history."""
    path = folder / INDEX
    try:
        return parse_index(read_plain(path, _LARGEST_DOCUMENT))
    except StorageError as error:
        raise error if error.path else error.within(str(path)) from None


def map_journal(folder: Path) -> tuple[Layout, memoryview]:
    """The header of a journal, and all of its bytes, mapped from the disk."""
    path = folder / JOURNAL
    descriptor = open_plain(path)
    try:
        size = os.fstat(descriptor).st_size
        layout = parse_journal_header(os.read(descriptor, HEADER_SIZE))
        if sys.version_info >= (3, 13) and sys.platform != "win32":
            return layout, memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ, trackfd=False))
        return layout, memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
    except StorageError as error:
        raise error.within(str(path)) from None
    except (OSError, ValueError) as error:  # it became shorter meanwhile, or there is no room for its addresses
        raise StorageError(f"it cannot be mapped: {error}", path=str(path)) from error
    finally:
        os.close(descriptor)


def check_parts(manifest: Mapping[str, Any], layout: Layout, index: Index) -> None:
    """Refuse a journal or index of another history."""
    digest = manifest["digest"]
    if layout.manifest != digest:
        raise StorageError(f"it belongs to another history: the manifest {layout.manifest}, and here is {digest}")
    if index.manifest != digest:
        raise StorageError(f"{INDEX} belongs to another history: the manifest {index.manifest}, and here is {digest}")
    if (layout.start, layout.metrics) != (manifest["start"], len(manifest["metrics"])):
        raise StorageError("its header and the manifest disagree about the first step or the number of metrics")
    for snapshot in index.snapshots:
        if not layout.start <= snapshot.step <= layout.start + index.records:
            steps = f"{layout.start} to {layout.start + index.records}"
            raise StorageError(f"{INDEX} has a snapshot after {snapshot.step} steps, and safe are {steps}")


def check_index(journal: memoryview, layout: Layout, index: Index) -> int:
    """The number of whole records, if the journal reaches to where the index says it is safe, with its chain value."""
    whole = (len(journal) - HEADER_SIZE) // layout.record_size
    end = layout.offset(index.records)
    if whole < index.records:
        raise StorageError(f"it has {len(journal)} bytes, and {end} were safely written: it is truncated")
    if bytes(journal[end - CHAIN_SIZE : end]).hex() != index.chain:
        place = f"bytes {end - CHAIN_SIZE} to {end}"
        raise StorageError(f"{place}: not the chain value that {INDEX} has: it is damaged, or from another history")
    return whole


def check_saved(path: Path, size: int, digest: str) -> None:
    """Refuse a file that is not the one of this size and digest; its content is not read."""
    with open_file(path) as file:
        actual = os.fstat(file.fileno()).st_size
        if actual != size:
            raise StorageError(f"it has {actual} bytes, expected {size}: it is truncated or another", path=str(path))
        try:
            found = file_digest(file.read(107))
        except StorageError as error:
            raise error.within(str(path)) from None
    if found != digest:
        raise StorageError(f"bytes 43 to 107: expected the digest {digest}, got {found}: it is another", path=str(path))


def with_advice(error: StorageError) -> StorageError:
    """An error about a name that is not known here, with the function that takes classes for a history."""
    return StorageError(error.problem.replace(" load(path, classes=", " pn.open_history(path, classes="), error.path)


def _load(path: Path, size: int, digest: str, classes: Iterable[Any]) -> Any:
    check_saved(path, size, digest)
    try:
        return load(path, classes)
    except StorageError as error:
        raise with_advice(error) from None
    except OSError as error:
        raise StorageError(f"it cannot be read: {error.strerror or error}", path=str(path)) from error
