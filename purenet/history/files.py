"""Files and folders of a history: opened only if plain, locked while they are written, made whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from purenet.errors import DtypeError, StorageError, WriteError
from purenet.safetensors import PathLike

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def check_path(place: str, value: Any) -> None:
    """Refuse what is no path."""
    if not isinstance(value, str | os.PathLike):
        raise DtypeError(f"expected a path, got {type(value).__name__} {value!r:.60}", path=place)


def open_plain(path: Path, write: bool = False) -> int:
    """The descriptor of a plain file: no link, folder, pipe or device.

    Raises:
        StorageError: if there is no such file, or it cannot be opened; a `WriteError` if `write` is not allowed.
    """
    try:
        if path.is_symlink():
            raise StorageError("it is a symbolic link; a history holds plain files alone", path=str(path))
        descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _NO_FOLLOW)
    except FileNotFoundError:
        raise StorageError("it is missing; this is no history, or a damaged one", path=str(path)) from None
    except OSError as error:
        if write:
            raise_write_error(error, path)
        raise StorageError(f"it cannot be opened: {error.strerror or error}", path=str(path)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError("it is no plain file", path=str(path))
    return descriptor


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """A plain file open for reading.

    Raises:
        StorageError: as `open_plain`, and if the block cannot read it.
    """
    with os.fdopen(open_plain(path), "rb") as file:
        try:
            yield file
        except OSError as error:
            raise StorageError(f"it cannot be read: {error.strerror or error}", path=str(path)) from error


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a plain file that has at most `limit`."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise StorageError(f"it has {size} bytes, more than the {limit} that are read", path=str(path))
        return file.read(size)


def check_folder(path: Path) -> None:
    """Refuse what is not a folder itself, such as a link to one."""
    if not os.path.lexists(path):
        raise StorageError("it is missing; the history is damaged", path=str(path))
    if path.is_symlink() or not path.is_dir():
        raise StorageError("expected a folder, and no link to one; the history is damaged", path=str(path))


def lock(descriptor: int, path: Path) -> None:
    """Keep other writers out for as long as the file is open; the system lets go when the process ends, however.

    Raises:
        WriteError: if another writer is there.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 2**62, os.SEEK_SET)  # beyond the content, which others may go on reading
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            raise_write_error(error, path, "another writer has it open; wait until that has ended, or write elsewhere")
        # Some network file systems have no locks.


@contextmanager
def new_folder(path: PathLike) -> Iterator[Path]:
    """A folder to fill, which takes its place at `path` in one step when the block ends, or vanishes if it fails.

    Raises:
        WriteError: if something is at `path` already (an empty folder is replaced), or the disk refuses.
    """
    from shutil import rmtree

    target = Path(os.path.realpath(path))
    temporary = target.parent / f".purenet-{os.urandom(8).hex()}.tmp"
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise FileExistsError(errno.EEXIST, "something is there already")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        if os.name == "nt" and target.is_dir():
            target.rmdir()
        sync_folder(temporary)
        temporary.rename(target)
        sync_folder(target.parent)
    except BaseException as error:
        rmtree(temporary, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        taken = error.errno in (errno.EEXIST, errno.ENOTEMPTY)
        raise_write_error(error, target, "something is there already; choose another place, or resume it" * taken)


def write_new(path: Path, data: bytes) -> None:
    """A new file in a folder that is not in its place yet, durable but for its name."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of the data where the file stands, however little the system takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def raise_write_error(error: OSError, path: Path, problem: str = "") -> NoReturn:
    """Raise a `WriteError` with the number of the `OSError` behind it."""
    advice = "check that the folder exists, is writable and has space"
    failure = WriteError(problem or f"cannot be written: {error.strerror or error}; {advice}", path=str(path))
    failure.errno, failure.strerror, failure.filename = error.errno, error.strerror, str(path)
    raise failure from error
