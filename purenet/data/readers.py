"""Files of data: CSV tables, plain or gzipped, and NumPy's NPY and NPZ. Nothing in a file is ever run or unpickled."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from purenet.data.tables import Table, column_index, reads_as_number
from purenet.errors import DataError
from purenet.records import Array, frozen

if TYPE_CHECKING:
    from array import array as compact
    from zipfile import ZipFile, ZipInfo

LONGEST_HEADER = 10_100
"""How many bytes of a file are looked at for the header of an array; NumPy itself accepts one of 10,000."""


def read_csv(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    ignore: Sequence[str] = (),
    delimiter: str = ",",
) -> Table:
    """Read a table of numbers: comma-separated UTF-8 text, column names in its first line; gzipped if it ends in `.gz`.

    Quoted fields, either kind of line ending, a byte order mark and blank lines are all fine. Every cell must be a
    finite number, except that the target column may hold text (class names).

    Args:
        path: the file.
        target: the column that may hold text; None if there is none.
        ignore: columns to leave out, whatever they hold.
        delimiter: what stands between cells.

    Raises:
        DataError: if the file is no such table; it names the line (counted from 1, the header being line 1) and the
            column.
        OSError: if the file cannot be opened.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "iris.csv")
        >>> _ = path.write_text("petal,kind\\n1.4,setosa\\n4.7,versicolor\\n")
        >>> table = read_csv(path, target="kind")
        >>> table.columns, table.values, table.categories
        (('petal', 'kind'), array([[1.4, 0. ],
               [4.7, 1. ]]), (None, ('setosa', 'versicolor')))
    """
    source = os.fspath(path)
    with _csv_rows(source, delimiter) as rows:
        header = _header(rows, source, delimiter)
        kept = _kept_columns(header, target, ignore, source)
        columns = tuple(header[i] for i in kept)
        text = None if target is None else columns.index(target)
        cells, labels, lines = _read_cells(rows, len(header), kept, columns, text, source)
    values = np.frombuffer(cells, np.float64).reshape(len(lines), len(columns))
    categories: list[tuple[str, ...] | None] = [None] * len(columns)
    if text is not None:
        values[:, text], categories[text] = _numbered(labels)
    _check_finite(values, columns, lines, source)
    return Table(columns, values, tuple(categories), np.frombuffer(lines, np.int64), source)


def read_npy(path: str | os.PathLike[str], mmap: bool = True) -> Array:
    """Read one array from an NPY file.

    Args:
        path: the file.
        mmap: True maps the file, so that only the rows that are used are read; it must then stay as it is for as long
            as the array lives. False reads it into memory.

    Returns:
        a read-only array.

    Raises:
        DataError: if the file is damaged, or holds anything but numbers.
        OSError: if the file cannot be opened.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.arange(3.0))
        >>> read_npy(path)
        array([0., 1., 2.])
    """
    source = os.fspath(path)
    with open(source, "rb") as file:  # noqa: PTH123
        if not mmap:
            return _array(file.read(), source)
        start, shape, order, dtype = _layout(file.read(LONGEST_HEADER), os.fstat(file.fileno()).st_size, source)
        return np.asarray(np.memmap(file, dtype, "r", start, shape, order))


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read all arrays of an NPZ archive, as `np.savez` and `np.savez_compressed` write it.

    Returns:
        the arrays by name, read-only and in memory: `Dataset(**read_npz(path))` if they are named x and y.

    Raises:
        DataError: if the archive is damaged, or holds anything but arrays of numbers.
        OSError: if the file cannot be opened.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "data.npz")
        >>> np.savez(path, x=np.ones((2, 3)), y=np.zeros(2))
        >>> {name: array.shape for name, array in read_npz(path).items()}
        {'x': (2, 3), 'y': (2,)}
    """
    import zlib
    from zipfile import BadZipFile, ZipFile

    source = os.fspath(path)
    with open(source, "rb") as file:  # noqa: PTH123
        try:
            with ZipFile(file) as archive:
                members = archive.infolist()
                arrays = {info.filename.removesuffix(".npy"): _member(archive, info, source) for info in members}
        except DataError:
            raise
        except (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, zlib.error) as error:
            raise DataError(f"the archive is damaged or no NPZ archive: {error}", path=source) from None
    if len(arrays) < len(members):
        raise DataError("two arrays in the archive have the same name", path=source)
    return arrays


# CSV


@contextmanager
def _csv_rows(source: str, delimiter: str) -> Iterator[Any]:
    """A reader of the file's rows; whatever is wrong with the file as a whole becomes a `DataError`."""
    import csv
    import gzip
    import zlib

    is_gzipped = source.lower().endswith(".gz")
    with gzip.open(source) if is_gzipped else open(source, "rb") as file:  # noqa: PTH123
        rows = csv.reader(_lines(file, source), delimiter=delimiter, strict=True)
        try:
            yield rows
        except csv.Error as error:
            problem = f"{error}; a quote stands before and after a cell, and is doubled within it"
            raise DataError(problem, path=f"{source}, line {rows.line_num}") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"the compressed file is damaged: {error}", path=source) from None


def _lines(file: Iterable[bytes], source: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = f"the text is not UTF-8 (byte 0x{line[error.start]:02x}); save the file as UTF-8"
            raise DataError(problem, path=f"{source}, line {number}") from None
        yield from StringIO(text, newline="")  # also where a line ends in CR alone


def _header(rows: Any, source: str, delimiter: str) -> list[str]:
    """The names in the first line that is not blank."""
    names = [name.strip() for name in next(filter(None, rows), [])]
    if not names:
        raise DataError("the file is empty; expected a line of column names, then a line per example", path=source)
    other = next((sign for sign in ";\t" if sign in names[0]), None)
    twice = next((name for name in names if names.count(name) > 1), None)
    if len(names) == 1 and delimiter == "," and other:
        problem = f"one column, {names[0]!r:.60}; for cells divided by {other!r} pass delimiter={other!r}"
    elif all(map(reads_as_number, names)) and names != [str(i) for i in range(len(names))]:
        problem = f"expected column names, got only numbers ({', '.join(names):.60}); put a line of names first"
    elif "" in names:
        problem = f"column {names.index('') + 1} has no name; give it one, or leave the column out of the file"
    elif twice is not None:
        problem = f"two columns are named {twice!r}; give each a name of its own"
    else:
        return names
    raise DataError(problem, path=f"{source}, line {rows.line_num}")


def _kept_columns(header: list[str], target: str | None, ignore: Sequence[str], source: str) -> list[int]:
    """Where the columns that are not ignored stand."""
    ignored = {column_index(header, name, source) for name in ([ignore] if isinstance(ignore, str) else ignore)}
    if target is not None and column_index(header, target, source) in ignored:
        raise DataError(f"the target column {target!r} is among the ignored ones", path=source)
    kept = [i for i in range(len(header)) if i not in ignored]
    if not kept:
        raise DataError("every column is ignored", path=source)
    return kept


def _read_cells(
    rows: Any, width: int, kept: list[int], columns: Sequence[str], text: int | None, source: str
) -> tuple[compact[float], list[str], compact[int]]:
    """All cells of the kept columns row by row (0 for the target's), the target's as text, and the line of each row."""
    from array import array as compact

    cells, labels, lines = compact("d"), [], compact("q")
    end = rows.line_num
    for row in rows:
        line, end = end + 1, rows.line_num
        if not row:
            continue
        if len(row) != width:
            problem = f"expected {width} cells as in the header, got {len(row)}"
            raise DataError(problem, path=f"{source}, line {line}")
        if len(kept) < width:
            row = [row[i] for i in kept]
        label = None if text is None else row[text].strip()
        if label:
            labels.append(label)
            row[text] = "0"
        try:
            cells.extend(map(float, row))
            fine = "_" not in "".join(row)  # float() reads 1_000, which no table means
        except ValueError:
            fine = False
        if not fine:
            raise _bad_cell(row, columns, f"{source}, line {line}", text is None)
        lines.append(line)
    if not lines:
        raise DataError("there is a line of column names but no data below it", path=source)
    return cells, labels, lines


def _bad_cell(row: list[str], columns: Sequence[str], place: str, no_target: bool) -> DataError:
    """The error for the first cell of a row that is no number."""
    name, cell = next((name, cell) for name, cell in zip(columns, row, strict=True) if not reads_as_number(cell))
    problem = f"expected a number, got {cell!r:.60}; mend it, or leave the column out with ignore"
    if no_target:
        problem += ", or name it with target if it is what to predict"
    if not cell.strip():
        problem = "the cell is empty; fill it in or remove the line"
    return DataError(problem, path=f"{place}, column {name!r}")


def _numbered(labels: list[str]) -> tuple[list[float], tuple[str, ...] | None]:
    """The labels as numbers, if all are; else the index of each among the distinct ones in sorted order, and those."""
    distinct = sorted(set(labels))
    if all(map(reads_as_number, distinct)):
        return list(map(float, labels)), None
    codes = {label: float(i) for i, label in enumerate(distinct)}
    return [codes[label] for label in labels], tuple(distinct)


def _check_finite(values: Array, columns: Sequence[str], lines: Sequence[int], source: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        found = "NaN" if np.isnan(values[row, column]) else "an infinite number"
        place = f"{source}, line {lines[row]}, column {columns[column]!r}"
        raise DataError(f"expected a finite number, got {found}; fill it in or remove the line", path=place)


# NPY and NPZ


def _layout(beginning: bytes, size: int, source: str) -> tuple[int, tuple[int, ...], Any, np.dtype[Any]]:
    """Where the elements begin in a file of `size` bytes, and the array's shape, order and dtype, by its first bytes.

    NumPy's parser sees no more than these, because it takes as much memory as a header claims to need.
    """
    from numpy.lib import format as npy

    file = BytesIO(beginning)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        shape, fortran, dtype = readers[npy.read_magic(file)](file)
    except Exception as error:  # a hostile header has more ways to fail than NumPy names
        raise DataError(f"this is no array in NPY format, or damaged: {error!s:.200}", path=source) from None
    if dtype.kind not in "biufc":
        raise DataError(f"expected numbers, got dtype {dtype!s:.80}; save it with .astype(np.float64)", path=source)
    start = file.tell()
    needed = math.prod(shape) * dtype.itemsize
    if needed != size - start or min(shape, default=0) < 0:
        problem = f"the file is damaged: {dtype} of shape {shape!s:.80} needs {needed} bytes, it has {size - start}"
        raise DataError(problem, path=source)
    return start, shape, "F" if fortran else "C", dtype


def _array(content: bytes, source: str) -> Array:
    start, shape, order, dtype = _layout(content[:LONGEST_HEADER], len(content), source)
    array = np.frombuffer(content, dtype, offset=start).reshape(shape, order=order)
    return frozen(np.asarray(array, order="C"))  # type: ignore[no-any-return]


def _member(archive: ZipFile, info: ZipInfo, source: str) -> Array:
    """One array of an archive; `read` takes no more memory than there is data."""
    from zipfile import ZIP_DEFLATED, ZIP_STORED

    place = f"{source}, {info.filename}"
    if info.comment:  # one wrong byte in the directory makes the following members a comment
        raise DataError("the archive is damaged: NumPy writes no comments", path=place)
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise DataError(f"compression method {info.compress_type}, which NumPy does not write", path=place)
    return _array(archive.read(info), place)
