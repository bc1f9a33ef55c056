"""A run as a history holds it: its structure in the manifest, its arrays in a file beside it, large data where it lies.

An array that is mapped from a file (`purenet.read_npy`) and has more than `LARGE` bytes stays in its file: the
manifest has its path, place, form and the SHA-256 of its bytes, which is compared before any of them is used. Every
other array is stored with the history.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from purenet import storage
from purenet.canonical import digest, little_endian
from purenet.errors import ReplayError, StorageError
from purenet.history.reader import HistoryReader, with_advice
from purenet.history.run import Run
from purenet.records import Array
from purenet.safetensors import DTYPES, PathLike, dtype_code
from purenet.structure import Builder, Describer

LARGE = 1 << 24
ARRAYS = "run"
_KEYS = {"array", "dtype", "file", "offset", "relative", "sha256", "shape"}
_PIECE = 1 << 20


def describe(run: Run, folder: PathLike) -> tuple[dict[str, Any], dict[str, Array]]:
    """What the manifest of a history in `folder` says of a run, and the arrays to store with it."""
    describer = Describer(storage.builtins)
    structure = describer.describe(run)
    arrays, references = {}, []
    for path, array in describer.arrays.items():
        found = _mapped(array) if array.nbytes > LARGE else None
        if found is None:
            arrays[path] = array
        else:
            references.append({"array": path, **_reference(array, *found, folder)})
    arithmetic = type(run.arithmetic).__name__.lower()
    about = {"run": structure, "run_digest": digest(run), "steps": run.steps, "arithmetic": arithmetic}
    return {**about, "data": references}, arrays


def build(reader: HistoryReader, classes: Iterable[Any] = ()) -> Run:
    """The run that a history holds.

    Raises:
        StorageError: if it is damaged, or names what is not known here.
        ReplayError: if data that it refers to is missing, or is not as it was.
    """
    place = str(reader.path)
    arrays = dict(reader.load(ARRAYS, classes))
    references = reader.manifest.get("data", [])
    if not isinstance(references, list):
        problem = f"its manifest has data {references!r:.120}, expected a list of references to files"
        raise StorageError(problem, path=place)
    for reference in references:
        name = reference.get("array") if isinstance(reference, dict) else None
        if not _is_reference(reference) or name in arrays:
            raise StorageError(f"its manifest has data {reference!r:.120}, which purenet does not write", path=place)
        arrays[name] = _referred(reference, reader)
    try:
        builder = Builder(arrays, tuple(classes), storage.builtins)
        run = builder.build(reader.manifest["run"])
    except StorageError as error:
        raise StorageError(f"{with_advice(error)}", path=place) from error
    if not isinstance(run, Run) or builder.arrays:
        raise StorageError("its manifest and its arrays do not make up a run", path=place)
    return run


def relative_path(path: PathLike, folder: PathLike) -> str:
    """Where a file is from a folder, with slashes; empty if there is no way, as from one drive to another."""
    try:
        return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()
    except ValueError:
        return ""


def _mapped(array: Array) -> tuple[str, int] | None:
    """The file that an array is mapped from, and where in it the array begins; None if it is not mapped."""
    owner: Any = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    file = getattr(owner, "filename", None)
    if not isinstance(owner, np.memmap) or file is None or not array.flags.c_contiguous:
        return None
    if array.dtype != array.dtype.newbyteorder("<"):
        return None
    first, begin = (a.__array_interface__["data"][0] for a in (owner, array))
    return os.fspath(file), owner.offset + begin - first


def _reference(array: Array, file: str, offset: int, folder: PathLike) -> dict[str, Any]:
    """What a manifest says of an array in a file of its own."""
    from hashlib import sha256

    path = os.path.realpath(file)
    form = {"dtype": dtype_code(array.dtype), "shape": list(array.shape), "offset": offset}
    where = {"file": path, "relative": relative_path(path, folder)}
    return {**where, **form, "sha256": sha256(little_endian(array)).hexdigest()}


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == _KEYS
        and all(isinstance(value[name], str) and "\0" not in value[name] for name in _KEYS - {"offset", "shape"})
        and isinstance(value["shape"], list)
        and len(value["shape"]) <= 32
        and all(type(size) is int and 0 <= size < 2**63 for size in [value["offset"], *value["shape"]])
        and value["dtype"] in DTYPES
    )


def _referred(reference: Mapping[str, Any], reader: HistoryReader) -> Array:
    """The array that a manifest refers to, mapped, after its bytes were compared with its digest."""
    from hashlib import sha256

    dtype, shape = np.dtype(DTYPES[reference["dtype"]]), tuple(reference["shape"])
    size = math.prod(shape) * dtype.itemsize
    problem = "is not there; put it back"
    for path in _places(reference, reader.folder):
        with suppress(OSError, ValueError):  # a name that no file can have, or that is no place for such an array
            found = path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size < reference["offset"] + size:
                problem = f"is no file, or too short ({path})"
                continue
            array = np.asarray(np.memmap(path, dtype, "r", reference["offset"], shape))
            sha = sha256()
            for piece in _pieces(array):
                sha.update(piece)
            if sha.hexdigest() == reference["sha256"]:
                return array
            problem = f"has other contents now ({path})"
    raise ReplayError(f"it was recorded with data in {reference['file']}, which {problem}", path=str(reader.path))


def _places(reference: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    if reference["relative"]:
        yield Path(os.path.realpath(folder), reference["relative"])
    yield Path(reference["file"])


def _pieces(array: Array) -> Iterator[memoryview]:
    data = little_endian(array)
    for begin in range(0, len(data), _PIECE):
        yield data[begin : begin + _PIECE]
