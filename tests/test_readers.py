"""Readers: what they accept, what they return, and how they name what is wrong with a file."""

import contextlib
import csv
import gzip
import hashlib
import io
import pathlib
import pickle
import random
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from purenet.data import read_csv, read_npy, read_npz, to_dataset
from purenet.errors import DataError

DIGITS = pathlib.Path(__file__).parent.parent / "examples" / "digits" / "digits.csv.gz"
HEADER_LIMIT = 4 << 20


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file and return its path."""

    def to_file(content, name="t.csv"):
        content = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return to_file


# CSV

PLAIN = "a,b\n1,2\n3,4\n"
SAME_TABLE = {
    "plain": PLAIN,
    "no newline at the end": "a,b\n1,2\n3,4",
    "blank lines": "\n\na,b\n\n1,2\n\n3,4\n\n\n",
    "CRLF": "a,b\r\n1,2\r\n3,4\r\n",
    "CR": "a,b\r1,2\r3,4\r",
    "byte order mark": "\ufeffa,b\n1,2\n3,4\n",
    "quoted": '"a","b"\n"1","2"\n3,"4"\n',
    "spaces": "a , b\n 1,2 \n3 ,  4\n",
    "number formats": "a,b\n1.0,2e0\n+3,.4E1\n",
}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV.GZ"])
@pytest.mark.parametrize("text", SAME_TABLE.values(), ids=SAME_TABLE.keys())
def test_ways_to_write_a_table(write, text, name):
    """The same table however it is written, plain or gzipped."""
    path = write(text, name) if name.islower() else write(gzip.compress(text.encode()), name)
    table = read_csv(path)
    assert table.columns == ("a", "b")
    assert table.values.tolist() == [[1, 2], [3, 4]]
    assert table.values.dtype == np.float64
    assert not table.values.flags.writeable
    assert table.categories == (None, None)


def test_lines_are_those_of_the_file(write):
    """Each row knows its line, past blank lines and cells that go over several lines."""
    table = read_csv(write('a,kind\n1,x\n\n2,"one\nof two"\n3,y\n'), target="kind")
    assert table.lines.tolist() == [2, 4, 6]
    assert table.categories[1] == ("one\nof two", "x", "y")


def test_odd_names_and_cells(write):
    """Names and text may hold commas, quotes and any script; numeric names 0, 1, 2 are names."""
    table = read_csv(write('"größe, cm",kind\n1,"a ""b"", c"\n2,猫\n'), target="kind")
    assert table.columns == ("größe, cm", "kind")
    assert table.categories[1] == ('a "b", c', "猫")
    assert read_csv(write("0,1\n5,6\n")).columns == ("0", "1")
    assert read_csv(write("a\tb\n1\t2\n"), delimiter="\t").values.tolist() == [[1, 2]]


def test_the_target_may_be_text_or_numbers(write):
    """A target that is all numbers is a number column; otherwise its texts are categories."""
    numbers = read_csv(write("a,y\n1,3\n2,-1\n"), target="y")
    assert (numbers.categories, numbers.column("y").tolist()) == ((None, None), [3, -1])
    mixed = read_csv(write("y,a\n1,3\nx,-1\n"), target="y")
    assert (mixed.categories, mixed.column("y").tolist()) == ((("1", "x"), None), [0, 1])


def test_ignored_columns(write):
    """Ignored columns may hold anything and are not in the table; a single name will do."""
    path = write("id,a,note,y\nx1,1,,yes\nx2,2,hm,no\n")
    table = read_csv(path, "y", ignore=["id", "note"])
    assert table.columns == ("a", "y")
    assert table.values.tolist() == [[1, 1], [2, 0]]
    assert read_csv(write("id,a\nx,1\n"), ignore="id").columns == ("a",)


def test_numbers_round_trip(write):
    """Numbers written by `repr` come back with the same bits."""
    values = np.random.RandomState(0).normal(size=(50, 3)) * [1e-300, 1, 1e300]
    text = "a,b,c\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist())
    assert read_csv(write(text)).values.tobytes() == values.tobytes()


def table_text(line, text):
    """A table of 20 rows of two columns with one line replaced."""
    lines = ["price,size"] + [f"{i},{i}.5" for i in range(20)]
    lines[line - 1] = text
    return "\n".join(lines)


BAD_CSV = {
    "empty": ("", {}, r"t.csv: the file is empty"),
    "blank": ("\n\n", {}, r"t.csv: the file is empty"),
    "header only": ("a,b\n", {}, r"t.csv: .*no data"),
    "too few cells": (table_text(17, "1"), {}, r"t.csv, line 17: expected 2 cells as in the header, got 1"),
    "too many cells": (table_text(17, "1,2,3"), {}, r"line 17: expected 2 cells as in the header, got 3"),
    "text": (table_text(17, "1,abc"), {}, r"t.csv, line 17, column 'size': expected a number, got 'abc'; .*ignore"),
    "text with target": (table_text(9, "x,y"), {"target": "size"}, r"line 9, column 'price': .*number, got 'x'"),
    "underscore": (table_text(9, "1_000,2"), {}, r"line 9, column 'price': expected a number, got '1_000'"),
    "decimal comma": (table_text(9, '"1,5",2'), {}, r"line 9, column 'price': expected a number, got '1,5'"),
    "empty cell": (table_text(4, "1,"), {}, r"line 4, column 'size': the cell is empty"),
    "blank cell": (table_text(4, " ,1"), {}, r"line 4, column 'price': the cell is empty"),
    "empty target": (table_text(4, "1,"), {"target": "size"}, r"line 4, column 'size': the cell is empty"),
    "empty target among text": ("a,y\n1,u\n2,\n", {"target": "y"}, r"line 3, column 'y': the cell is empty"),
    "NaN": (table_text(6, "1,nan"), {}, r"line 6, column 'size': expected a finite number, got NaN"),
    "text, no target": (table_text(6, "a,1"), {}, r"line 6, column 'price': expected a number, got 'a'.*with target"),
    "text elsewhere": (table_text(6, "a,1"), {"target": "size"}, r"'price': expected a number, got 'a'.*ignore$"),
    "infinity": (table_text(6, "-inf,1"), {}, r"line 6, column 'price': expected a finite number, got an infinite"),
    "too large": (table_text(6, "1e999,1"), {}, r"line 6, column 'price': expected a finite number"),
    "NaN target": (table_text(6, "1,NaN"), {"target": "size"}, r"line 6, column 'size': expected a finite number"),
    "unknown target": (PLAIN, {"target": "c"}, r"t.csv: no column 'c'; .*The columns are: a, b"),
    "misspelt target": (table_text(3, "1,2"), {"target": "Prise"}, r"did you mean 'price'\? The columns are: price, "),
    "unknown ignored": (PLAIN, {"ignore": ["z"]}, r"no column 'z'"),
    "target ignored": (PLAIN, {"target": "a", "ignore": ["a"]}, r"'a' is among the ignored"),
    "all ignored": (PLAIN, {"ignore": ["a", "b"]}, r"every column is ignored"),
    "same names": ("a,b, a\n1,2,3\n", {}, r"line 1: two columns are named 'a'"),
    "no name": (",a\n0,1\n", {}, r"line 1: column 1 has no name"),
    "no header": ("5.1,3.5\n4.9,3.0\n", {}, r"line 1: expected column names, got only numbers \(5.1, 3.5\)"),
    "semicolons": ("a;b\n1;2\n", {}, r"line 1: one column, 'a;b'; .*delimiter=';'"),
    "Latin-1": ("größe,b\n1,2\n".encode("latin-1"), {}, r"t.csv, line 1: the text is not UTF-8 \(byte 0xf6\)"),
    "UTF-16": (PLAIN.encode("utf-16"), {}, r"line 1: the text is not UTF-8"),
    "late Latin-1": (b"a,b\n" + b"1,2\n" * 9000 + b"\xff,2\n", {}, r"line 9002: the text is not UTF-8 \(byte 0xff\)"),
    "zero bytes": (b"a,b\n1,\x00\n", {}, r"line 2, column 'b': expected a number"),
    "open quote": ('a,b\n1,"2\n3,4\n', {}, r"t.csv, line 3: unexpected end of data"),
    "text after a quote": ('a,b\n1,"2"3\n', {}, r"t.csv, line 2: "),
    "huge cell": ("a,b\n1," + "2" * 200_000, {}, r"t.csv, line 2: field larger"),
    "binary": (bytes(range(256)) * 8, {}, r"t.csv"),
}


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(("content", "options", "message"), BAD_CSV.values(), ids=BAD_CSV.keys())
def test_bad_tables(write, content, options, message, name):
    """What is wrong with a table is named by file, line and column."""
    with pytest.raises(DataError, match=message.replace("t.csv", name)):
        read_csv(write(content, name), **options)


def test_long_lists_of_columns_are_cut(write):
    """The message about an unknown column lists at most 50 columns."""
    names = [f"column_{i}" for i in range(2000)]
    with pytest.raises(DataError, match="and 1950 more") as caught:
        read_csv(write(",".join(names) + "\n" + ",".join("0" * 2000)), target="z")
    assert len(str(caught.value)) < 1000


def test_damaged_gzip(tmp_path):
    """A gzip file that is cut short, altered, or no gzip at all raises an error that says so, or reads as it was."""
    whole = gzip.compress(PLAIN.encode(), mtime=0)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(PLAIN.encode())
    with pytest.raises(DataError, match=r"t.csv.gz: the compressed file is damaged"):
        read_csv(path)
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"damaged"):
            read_csv(path)
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        with contextlib.suppress(DataError):
            assert read_csv(path).values.tolist() == [[1, 2], [3, 4]]


def test_missing_files(tmp_path):
    """A file that is not there is the operating system's own error, with its name."""
    for read in (read_csv, read_npy, read_npz):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read(tmp_path / "nowhere")


def test_the_csv_reader_agrees_with_the_writer_of_the_standard_library(write):
    """Text that the `csv` module writes, with any quoting, is read as it was."""
    generator = random.Random(0)
    labels = ["".join(generator.choice("ab\",\n\r ;'é") for _ in range(6)).strip() or "x" for _ in range(60)]
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC):
        text = io.StringIO(newline="")
        csv.writer(text, quoting=quoting).writerows([["n", "label"], *enumerate(labels)])
        table = read_csv(write(text.getvalue()), target="label")
        names = table.categories[1]
        assert [names[int(code)] for code in table.column("label")] == labels
        assert table.column("n").tolist() == list(range(60))


# The digits


def test_the_digits():
    """The digits in the examples: 1,797 images of 64 pixels from 0 to 16, ten classes, the known content."""
    made = to_dataset(read_csv(DIGITS, target="digit"), "digit", "classification")
    dataset = made.dataset
    assert made.inputs[:9] == (*(f"pixel_0{i}" for i in range(8)), "pixel_10")
    assert made.classes == tuple(range(10))
    assert dataset.x.shape == (1797, 64)
    assert (dataset.x.min(), dataset.x.max()) == (0, 16)
    assert np.bincount(dataset.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    content = hashlib.sha256(gzip.decompress(DIGITS.read_bytes())).hexdigest()
    assert content == "15e5b7f1b1c124cbf207cc9400f1b514276c9ca12ca8b1fb62f445bab3d02aa3"


def test_the_digits_are_those_of_scikit_learn():
    """The digits are number for number those of `sklearn.datasets.load_digits`."""
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    table = read_csv(DIGITS)
    assert np.array_equal(table.values[:, :64], original.data)
    assert np.array_equal(table.column("digit"), original.target)


def quickest(f, times=3):
    def once():
        start = time.process_time()
        f()
        return time.process_time() - start

    return min(once() for _ in range(times))


@pytest.mark.longer
def test_reading_is_quick(write):
    """The digits take less than 0.3 s of processor time, 100,000 rows of 10 columns less than 1.5 s."""
    values = np.random.RandomState(0).normal(size=(100_000, 10)).tolist()
    rows = "\n".join(",".join(map(repr, row)) for row in values)
    path = write(",".join("abcdefghij") + "\n" + rows)
    assert quickest(lambda: read_csv(DIGITS, target="digit")) < 0.3
    assert quickest(lambda: read_csv(path)) < 1.5


# NPY and NPZ

ARRAYS = {
    "float64": np.random.RandomState(0).normal(size=(5, 3)),
    "float32": np.random.RandomState(1).normal(size=7).astype(np.float32),
    "integers": np.arange(6, dtype=np.int8).reshape(1, 2, 3),
    "booleans": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "big-endian": np.arange(4.0).astype(">f8"),
    "Fortran order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "empty": np.ones((0, 3)),
    "single": np.float64(3.5),
}
every_array = pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@every_array
@pytest.mark.parametrize("mmap", [True, False])
def test_npy_round_trip(tmp_path, array, mmap):
    """An array comes back with dtype, shape and bits, read-only."""
    np.save(tmp_path / "a.npy", array)
    back = read_npy(tmp_path / "a.npy", mmap)
    assert same(back, array)
    assert not back.flags.writeable


@pytest.mark.parametrize("write_archive", [np.savez, np.savez_compressed])
def test_npz_round_trip(tmp_path, write_archive):
    """Every array of an archive comes back by name with dtype, shape and bits, read-only."""
    write_archive(tmp_path / "a.npz", **ARRAYS)
    back = read_npz(tmp_path / "a.npz")
    assert back.keys() == ARRAYS.keys()
    assert all(same(back[name], array) and not back[name].flags.writeable for name, array in ARRAYS.items())


def header(descr="'<f8'", shape="(2, 3)", fortran="False", version=(1, 0)):
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text


def npy_of(value):
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


class Bomb:
    """Reports when it is unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


BAD_NPY = {
    "empty": b"",
    "text": b"a,b\n1,2\n",
    "pickle": pickle.dumps([1, 2, 3]),
    "objects": npy_of(np.array([Bomb(), None])),
    "strings": npy_of(np.array(["a", "b"])),
    "records": npy_of(np.zeros(2, [("a", "f8"), ("b", "i4")])),
    "dates": npy_of(np.array(["2020-01-01"], "M8[D]")),
    "too short": header() + bytes(47),
    "too long": header() + bytes(49),
    "two arrays": npy_of(np.ones(3)) + npy_of(np.ones(3)),
    "huge shape": header(shape=f"({2**62},)") + bytes(48),
    "shape beyond 64 bits": header(shape=f"({2**40}, {2**40})") + bytes(48),
    "negative shape": header(shape="(-2, -3)") + bytes(48),
    "shape of text": header(shape="('a',)") + bytes(48),
    "shape is no tuple": header(shape="6") + bytes(48),
    "unknown dtype": header(descr="'<q9'") + bytes(48),
    "code as header": header(descr="__import__('os').getcwd()") + bytes(48),
    "deep header": header(descr="(" * 3000) + bytes(48),
    "long header": header(descr="'" + "f8" * 20_000 + "'", version=(2, 0)) + bytes(48),
    "header beyond the end": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "version 3": header(version=(3, 0)) + bytes(48),
    "version 9": header(version=(9, 0)) + bytes(48),
}


@pytest.mark.parametrize("content", BAD_NPY.values(), ids=BAD_NPY.keys())
def test_bad_npy(write, content, capsys):
    """A damaged or hostile array file raises a `DataError` with its name; nothing runs, no memory is taken for it."""
    path = write(content, "bad.npy")
    archive = path.with_name("bad.npz")
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("x.npy", content)
    tracemalloc.start()
    try:
        for read in (read_npy, lambda path: read_npy(path, mmap=False)):
            with pytest.raises(DataError, match=r"bad.npy: "):
                read(path)
        with pytest.raises(DataError, match=r"bad.npz, x.npy: "):
            read_npz(archive)
        assert tracemalloc.get_traced_memory()[1] < HEADER_LIMIT
    finally:
        tracemalloc.stop()
    assert capsys.readouterr().out == ""


def test_damaged_npz(tmp_path):
    """An archive that is cut short or has a byte altered raises a `DataError`, or reads as it was."""
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.arange(2)}
    path = tmp_path / "a.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, **arrays)
        whole = path.read_bytes()
        damaged = [whole[:end] for end in range(0, len(whole), 7)]
        for position in range(len(whole)):
            flip = 1 << position % 8
            damaged.append(whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :])
        for content in damaged:
            path.write_bytes(content)
            try:
                back = read_npz(path)
            except DataError as error:
                assert "a.npz" in str(error)  # noqa: PT017
            else:
                assert sorted(array.tobytes() for array in back.values()) == sorted(
                    array.tobytes() for array in arrays.values()
                )


def test_npz_members(tmp_path):
    """Two arrays of one name, a member that is no array, and a compression that NumPy does not write are refused."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_of(np.ones(3)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", npy_of(np.zeros(3)))
    with pytest.raises(DataError, match=r"a.npz: two arrays .* same name"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README", "hello")
    with pytest.raises(DataError, match=r"a.npz, README: this is no array"):
        read_npz(path)
    pytest.importorskip("bz2")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", npy_of(np.ones(3)))
    with pytest.raises(DataError, match=r"a.npz, x.npy: compression"):
        read_npz(path)
