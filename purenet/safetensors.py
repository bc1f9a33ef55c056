"""Files in the safetensors layout, written with the same bytes everywhere and read without trusting a word of them.

A file is the length of its header, the header (JSON: for each array its dtype, shape and place in the data), and the
data. purenet adds a digest to the header, so that a single changed byte is noticed. `docs/model-files.md` specifies the
bytes.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from purenet.canonical import little_endian
from purenet.errors import DtypeError, StorageError, WriteError
from purenet.records import Array, frozen

DTYPES = (
    {"BOOL": "|b1", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
    | {"U8": "|u1", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
    | {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
)
"""The dtypes that files hold, by their names there, as NumPy writes them."""

_CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}
_LONGEST_HEADER = 100_000_000  # the limit of the safetensors library itself
_MOST_DIMENSIONS = 64  # what NumPy can have
_ALIGNMENT = 64  # of the data in the file, so that a memory map of it is aligned for any instruction
_METADATA = "__metadata__"
_DIGEST = "purenet.digest"
_BEFORE_DIGEST = f'{{"{_METADATA}":{{"{_DIGEST}":"'.encode()
_NO_DIGEST = b"0" * 64

PathLike = str | os.PathLike[str]


class Entry(NamedTuple):
    """What a header says of one array."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def dtype_code(dtype: np.dtype[Any]) -> str | None:
    """The name of a dtype in a file, or None if files cannot hold it."""
    return _CODES.get(dtype.newbyteorder("="))


def write(path: PathLike, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata to a file, with a digest of the whole, and replace what stood there in one step.

    Raises:
        DtypeError: if a name or text is no Unicode.
        WriteError: if the file cannot be written.
    """
    # Wide elements first, as the safetensors library lays them out: every array is then aligned to its elements.
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    header = _header(ordered, {_DIGEST: _NO_DIGEST.decode(), **metadata})
    sha = _blank_digest(header)
    for _, array in ordered:
        sha.update(little_endian(array))
    header = header.replace(_NO_DIGEST, sha.hexdigest().encode(), 1)
    length = len(header).to_bytes(8, "little")
    replace_file(path, chain([length, header], (little_endian(array) for _, array in ordered)))


def read(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays, read-only, and the metadata of a file.

    Everything that the header says is compared with the size of the file before any memory is taken for it.

    Raises:
        StorageError: if the file is damaged, or not in this layout.
        OSError: if it cannot be opened.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:  # noqa: PTH123 - takes str as well as Path
        try:
            return _read(file)
        except StorageError as error:
            raise error.within(name) from None
        except (MemoryError, ValueError) as error:  # from NumPy: no memory, or no array of that shape
            raise StorageError(f"it cannot be loaded: {error}", path=name) from error


def replace_file(path: PathLike, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file from its parts and put it in the place of what stood there, in one step and durably.

    The parts go to a new file in the same directory, which is flushed to the disk and then renamed. On any failure that
    file is removed, and what stood at `path` is as it was. A symbolic link is followed; an old file's mode is kept.

    Raises:
        WriteError: if the file cannot be written; it has the `errno` and `filename` of the `OSError`.
    """
    target = os.path.realpath(os.fsdecode(path))
    directory = os.path.dirname(target)  # noqa: PTH120
    temporary = os.path.join(directory, f".purenet-{os.urandom(8).hex()}.tmp")  # noqa: PTH118
    try:
        _write_and_rename(temporary, target, parts)
    except OSError as error:
        failure = WriteError(
            f"cannot be written: {error.strerror or error}; check that the directory exists, is writable and has space",
            path=os.fsdecode(path),
        )
        failure.errno, failure.strerror, failure.filename = error.errno, error.strerror, os.fsdecode(path)
        raise failure from error
    with suppress(OSError):  # not every system can flush a directory; the file is in place all the same
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def parse_json(text: str | bytes, what: str) -> Any:
    """Strict JSON in UTF-8: no duplicate names, no NaN or infinity, no deeper nesting than Python's.

    Raises:
        StorageError: naming `what` it is that is damaged.
    """
    import json

    try:
        text = text if isinstance(text, str) else text.decode()
        return json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise StorageError(f"{what} is nested too deeply; the file is damaged or hostile") from None
    except ValueError as error:
        raise StorageError(f"{what} is not valid JSON ({error!s:.200}); the file is damaged") from None


def _write_and_rename(temporary: str, target: str, parts: Iterable[bytes | memoryview]) -> None:
    file = open(temporary, "xb")  # noqa: PTH123, SIM115 - closed below, in any case
    try:
        with file:
            for data in parts:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # there was no old file, or its mode cannot be copied
            os.chmod(temporary, os.stat(target).st_mode & 0o7777)  # noqa: PTH101, PTH116
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _header(arrays: Sequence[tuple[str, Array]], metadata: Mapping[str, str]) -> bytes:
    """The header, padded so that the data after it is aligned."""
    import json

    contents: dict[str, Any] = {_METADATA: metadata}
    end = 0
    for name, array in arrays:
        begin, end = end, end + array.nbytes
        code = dtype_code(array.dtype)
        contents[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [begin, end]}
    try:
        text = json.dumps(contents, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        wrong = error.object[error.start]
        raise DtypeError(f"a file holds Unicode text, which {wrong!r} (a lone surrogate) is not") from None
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > _LONGEST_HEADER:
        raise StorageError(f"the tree is too large for one file: its header would be {len(text)} bytes long")
    return text


def _blank_digest(header: bytes) -> Any:
    """The SHA-256 of the beginning of a file as it is before its digest is put in, open for the data."""
    from hashlib import sha256

    after = len(_BEFORE_DIGEST) + len(_NO_DIGEST)
    return sha256(len(header).to_bytes(8, "little") + _BEFORE_DIGEST + _NO_DIGEST + header[after:])


def _read(file: io.BufferedReader) -> tuple[dict[str, Array], dict[str, str]]:
    size = os.fstat(file.fileno()).st_size
    header = _read_header(file, size)
    contents = parse_json(header, "its header")
    metadata = contents.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise StorageError(f"{_METADATA} is not a JSON object of strings; the file is damaged")
    if _DIGEST in metadata and not header.startswith(_BEFORE_DIGEST):
        raise StorageError("its digest is not at the beginning of the header; the file was changed by another program")
    entries = [_check_entry(name, value) for name, value in contents.items()]
    arrays: dict[str, Array] = {}
    sha = _blank_digest(header)
    for entry in _in_file_order(entries, size - 8 - len(header)):
        arrays[entry.name] = array = np.empty(entry.shape, DTYPES[entry.dtype])
        data = array.reshape(-1).view(np.uint8).data
        if file.readinto(data) != len(data):
            raise StorageError("the file became shorter while it was read")
        if _DIGEST in metadata:
            sha.update(data)
        frozen(array)
    if metadata.get(_DIGEST, sha.hexdigest()) != sha.hexdigest():
        raise StorageError("the content does not match its digest: it is damaged, or was changed by another program")
    return {name: arrays[name] for name in contents}, metadata


def _read_header(file: io.BufferedReader, size: int) -> bytes:
    if size < 8:
        raise StorageError(f"it has {size} bytes, too few for a safetensors file; it is empty or truncated")
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise StorageError(
            f"its first 8 bytes announce a header of {length} bytes, but only {size - 8} follow; "
            "it is truncated or not a safetensors file"
        )
    if length > _LONGEST_HEADER:
        raise StorageError(f"its header of {length} bytes is longer than the {_LONGEST_HEADER} that are read")
    header = file.read(length)
    if not header.startswith(b"{"):
        raise StorageError("its header is not a JSON object; it is damaged or not a safetensors file")
    return header


def _check_entry(name: str, value: Any) -> Entry:
    """What the header says of one array, checked by itself."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise StorageError(f"array {name!r:.80}: expected dtype, shape and data_offsets, got {value!r:.80}")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        problem = f"dtype {dtype!r:.40} is not one of {', '.join(DTYPES)}"
    elif not _are_sizes(shape) or len(shape) > _MOST_DIMENSIONS:
        problem = f"expected a shape of at most {_MOST_DIMENSIONS} integers from 0 up, got {shape!r:.80}"
    elif not _are_sizes(offsets) or len(offsets) != 2:
        problem = f"expected data_offsets [begin, end], got {offsets!r:.80}"
    elif math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != offsets[1] - offsets[0]:
        problem = f"{dtype} of shape {shape!r:.80} does not fill its {offsets[1] - offsets[0]} bytes"
    else:
        return Entry(name, dtype, tuple(shape), *offsets)
    raise StorageError(f"array {name!r:.80}: {problem}")


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _in_file_order(entries: list[Entry], size: int) -> list[Entry]:
    """The entries in the order of their data, which must fill the rest of the file without gap or overlap."""
    ordered = sorted(entries, key=lambda entry: (entry.begin, entry.end))
    end = 0
    for entry in ordered:
        if entry.begin != end:
            problem = f"its data begins at {entry.begin}, not at {end}: it overlaps other data or leaves a gap"
            raise StorageError(f"array {entry.name!r:.80}: {problem}")
        end = entry.end
    if end != size:
        kind = "truncated" if end > size else "followed by bytes that belong to no array"
        raise StorageError(f"its arrays need {end} bytes of data and the file has {size}: it is damaged or {kind}")
    return ordered


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"the name {name!r:.80} occurs twice")
        result[name] = value
    return result


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text:.40} is out of range")
    return value
