"""Laws of save and load: the same bits come back, the same tree gives the same file, and no file can do harm."""

import errno
import hashlib
import json
import os
import stat
import struct as binary
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest
from toolz import take

import purenet as pn
from purenet import safetensors as layout
from purenet.canonical import same_bits
from purenet.errors import ArgumentError, DtypeError, ShapeError, StorageError, TreeError, WriteError
from purenet.records import assemble
from purenet.registry import name_of, register
from purenet.storage import builtins, load, save
from purenet.structure import is_named_tuple_type, is_record_type


@pn.struct
class Scale:
    factor: pn.Array


@pn.struct
class Setting:
    value: Any = pn.static(default=None)


@pn.struct
class Affine:
    weight: pn.Array
    bias: pn.Array | None = None
    name: str = pn.static(default="affine", validator=attrs.validators.instance_of(str))

    def __attrs_post_init__(self):
        if self.bias is not None and self.bias.shape != self.weight.shape[1:]:
            problem = f"expected shape {self.weight.shape[1:]}, got {self.bias.shape}"
            raise ShapeError(problem, path="Affine.bias")


@register("tests.storage.Nest")
@pn.struct
class Nest:
    inner: Any
    mode: Any = pn.static(default=None)


@register("tests.storage.Private")
@pn.struct
class Private:
    _hidden: Any
    derived: Any = attrs.field(init=False, default=2.0)


class Point(NamedTuple):
    x: Any
    y: Any


register("tests.storage.arcsinh")(np.arcsinh)


@register("tests.storage.halve")
def halve(x):
    return x / 2


@register("tests.storage.halve_rule")
def halve_rule(x):
    return x / 2, lambda g: (g / 2,)


CLASSES = (Scale, Setting, Affine, Point)
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def nan(payload):
    return binary.unpack("<d", binary.pack("<Q", payload))[0]


def dtype_arrays():
    bits = np.random.RandomState(0).randint(0, 256, 8 * 24).astype(np.uint8)
    for dtype in DTYPES:
        source = bits % 2 if dtype == "bool" else bits
        yield dtype, source.view(dtype)[:24].reshape(2, 3, 4)


STATIC = (
    *(None, True, False, 0, 1, -1, 2**63, -(2**64), 10**5000, "", 'é\0\n"\\', b"", b"\0\xff"),
    *(0.0, -0.0, 0.1, 5e-324, 1e22, 1.7976931348623157e308, float("inf"), -float("inf")),
    *(nan(0x7FF8000000000001), nan(0xFFF0000000000001), (), (1,), (1.0, ("a", (None, True)))),
    *(halve, Nest, np.arcsinh, (halve, 1), "tests.storage.halve"),
)
TREES = {
    "None": None,
    "empty tuple": (),
    "empty list": [],
    "empty dict": {},
    "nested": {"a": [1.0, (None, [])], "b": {"c": {}, "d": ()}},
    "python numbers": [True, False, 0, -1, 2**63 - 1, -(2**63), 0.0, -0.0, 1e-320, float("inf"), -float("inf")],
    "NaN payloads": [nan(0x7FF8000000000001), nan(0xFFF0000000000123), np.float32("nan")],
    "root leaf": np.arange(3.0),
    "root number": 1.5,
    "keys": {1: 1.0, 2**70: 2.0, -5: 3.0},
    "text keys": {'"]["': 1.0, '"': 2.0, "\\": 3.0, "a": {"b": 4.0}, 'a"]["b': 5.0, "": 6.0, "é\n\0": 7.0},
    "odd keys": {"__metadata__": 8.0, "purenet.tree": 9.0, "[0]": 10.0},
    "tuple keys": {(1, "a"): 1.0, (1, "b"): 2.0, (2, "\u2028"): [3.0]},
    "other keys": [{None: 1.0}, {b"x": 1.0}, {1.5: 1.0, -0.0: 2.0}, {True: 1.0, False: 2.0}, {(): 1}],
    "dtypes": dict(dtype_arrays()),
    "scalars": {dtype: array[0, 0, 0] for dtype, array in dtype_arrays()},
    "zero-dimensional": {dtype: np.array(array[0, 0, 0]) for dtype, array in dtype_arrays()},
    "empty arrays": [np.zeros((0,)), np.zeros((0, 5), np.int8), np.zeros((3, 0), bool), np.zeros((0, 2**40))],
    "many dimensions": np.zeros((1,) * 32),
    "memory layouts": [np.arange(6.0).reshape(2, 3).T, np.arange(9)[::-2]],
    "byte orders": [np.arange(4, dtype=">f8"), np.arange(3, dtype=">u2"), np.arange(3, dtype="<i4")],
    "records in static fields": Setting((Affine(np.ones((2, 3)), name="a"), (Setting(Setting(halve)), 1))),
    "records": Nest((Affine(np.ones((2, 3)), np.zeros(3), "first"), Affine(np.ones((3, 1)))), ("mode", 1)),
    "record in containers": {"net": [Nest(Nest(None))], "point": Point(np.ones(2), Scale(2.0))},
    "private and derived fields": Private(np.ones(2)),
    "static values": [Setting(value) for value in STATIC],
}  # fmt: skip


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def file(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("case", TREES)
def test_load_after_save_is_the_same_bits(case, file):
    """What is loaded has the bits of the tree, the kinds of its leaves, and read-only arrays; saved again, one file."""
    tree = TREES[case]
    save(tree, file)
    loaded = load(file, CLASSES)
    assert same_bits(loaded, tree), list(pn.canonical.differences(loaded, tree))
    for (path, before), (_, after) in zip(pn.tree.items(tree), pn.tree.items(loaded), strict=True):
        assert type(after) is type(before), path
        assert not isinstance(after, np.ndarray) or not after.flags.writeable
        assert not isinstance(after, np.ndarray) or after.dtype.isnative
        assert not isinstance(after, np.ndarray) or pn.records.own(after) is after
    written = file.read_bytes()
    save(loaded, file)
    assert file.read_bytes() == written
    assert names_in(file.parent) == [file.name]


def test_order_of_insertion_does_not_count(file):
    """The same tree gives the same file, whatever the order in which its dicts were filled."""
    save({"b": 1.0, "a": np.ones(2, np.float32)}, file)
    written = file.read_bytes()
    save({"a": np.ones(2, np.float32), "b": 1.0}, file)
    assert file.read_bytes() == written


def test_bytes_are_golden(file):
    """The file of one fixed tree never changes; if it must, the format number changes with it."""
    save({"net": Nest([np.arange(3.0), None], ("m", 0.5)), "step": 3}, file)
    data = file.read_bytes()
    assert hashlib.sha256(data).hexdigest() == "ae7db906d7a8db8987337bcd598dc5518c53dd0f2b39963af97177f039fe8e8a"
    assert len(data) == 8 + int.from_bytes(data[:8], "little") + 32


def test_file_is_as_specified(file):
    """Read by the specification alone: length, JSON header, aligned contiguous data, structure, digest."""
    tree = {"net": Nest((np.arange(6, dtype=np.int16).reshape(2, 3), 1.5, None), -0.0), "flag": np.True_}
    save(tree, file)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert (8 + length) % 64 == 0
    assert header == {
        '["net"].inner[1]': {"dtype": "F64", "shape": [], "data_offsets": [0, 8]},
        '["net"].inner[0]': {"dtype": "I16", "shape": [2, 3], "data_offsets": [8, 20]},
        '["flag"]': {"dtype": "BOOL", "shape": [], "data_offsets": [20, 21]},
    }
    assert data[8 + length :] == binary.pack("<d6h?", 1.5, 0, 1, 2, 3, 4, 5, True)
    assert json.loads(metadata["purenet.tree"]) == {
        "dict": [
            ["flag", "scalar"],
            ["net", {
                "record": "tests.storage.Nest",
                "fields": {"inner": {"tuple": ["array", "scalar", None]}},
                "static": {"mode": -0.0},
            }],
        ]
    }  # fmt: skip
    assert metadata["purenet.format"] == "1"
    blank = data.replace(metadata["purenet.digest"].encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == metadata["purenet.digest"]


def test_arguments_keep_their_bytes(file):
    """Saving changes neither the arrays nor their flags."""
    array = np.arange(6.0).reshape(2, 3).T
    before = array.tobytes(), array.strides, array.flags.writeable
    save([array], file)
    assert (array.tobytes(), array.strides, array.flags.writeable) == before


# --- classes of one's own ---------------------------------------------------------------------------------------------


def test_unknown_class_is_named_with_the_fix(file):
    """A record whose class is neither passed nor registered is refused with both ways to make it known."""
    save({"a": [Scale(np.ones(2))]}, file)
    with pytest.raises(StorageError) as info:
        load(file)
    name = f"{__name__}.Scale"
    assert f'["a"][0]: the file holds a record named {name!r}, which is not known here' in str(info.value)
    assert f"load(path, classes=(Scale,)), or register it with @pn.register({name!r})" in str(info.value)
    assert str(file) in str(info.value)
    assert same_bits(load(file, classes=(Scale,)), {"a": [Scale(np.ones(2))]})
    assert same_bits(load(file, classes=[Affine, Scale]), {"a": [Scale(np.ones(2))]})


def test_class_that_moved_is_found_by_its_bare_name(file, tmp_path):
    """A class saved as __main__.Moved loads when the class of that name is passed from a module, if there is one."""
    script = (
        "import sys, numpy as np, purenet as pn\nfrom purenet.storage import save\n"
        "@pn.struct\nclass Moved:\n    x: pn.Array\n"
        "save(Moved(np.ones(2)), sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True, cwd=Path(__file__).parent.parent)
    moved = pn.struct(type("Moved", (), {"__annotations__": {"x": pn.Array}, "__module__": "somewhere"}))
    other = pn.struct(type("Moved", (), {"__annotations__": {"x": pn.Array}, "__module__": "elsewhere"}))
    assert same_bits(load(file, (moved,)), moved(np.ones(2)))
    with pytest.raises(StorageError, match="which is not known here"):
        load(file, (moved, other))
    with pytest.raises(StorageError, match=r"'__main__\.Moved', which is not known here"):
        load(file, (Scale,))


def test_changed_class_is_refused(file):
    """A class that has other fields than when the file was written is refused, naming both."""
    save(Scale(np.ones(2)), file)
    changed = pn.struct(type("Scale", (), {"__annotations__": {"gain": pn.Array}, "__module__": __name__}))
    with pytest.raises(StorageError, match=r"Scale has the fields \['gain'\], the file gives \['factor'\]"):
        load(file, (changed,))


def test_classes_must_be_a_tuple(file):
    """A class that is passed bare is a mistake worth a word."""
    save(Scale(np.ones(2)), file)
    with pytest.raises(ArgumentError, match=r"classes: expected a tuple of classes.*write \(Scale,\)"):
        load(file, Scale)


def test_passed_functions_need_a_name(file):
    """A static function is stored by its registered name; without one, saving says so and leaves no file."""
    with pytest.raises(ArgumentError, match=r"\[0\]\.value: .*<lambda> has no name"):
        save([Setting(lambda x: x)], file)
    assert names_in(file.parent) == []


# --- what cannot be saved ---------------------------------------------------------------------------------------------


@pn.struct
class Normalised:
    values: Any

    def __attrs_post_init__(self):
        if abs(float(np.sum(self.values)) - 1) > 1e-9:
            raise ValueError("the values must sum to 1")


@pn.struct
class Rounded:
    values: Any = attrs.field(converter=np.round)


def deep(levels):
    tree: Any = 1.0
    for _ in range(levels):
        tree = [tree]
    return tree


def deep_tuple(levels):
    value: Any = None
    for _ in range(levels):
        value = (value,)
    return value


REFUSED = {
    "complex": ({"a": [1.0, 1j]}, DtypeError, '["a"][1]: a file cannot hold dtype complex128'),
    "complex array": ({"a": np.ones(1, np.complex64)}, DtypeError, '["a"]: a file cannot hold dtype complex64'),
    "object": ([np.array([None])], DtypeError, "[0]: a file cannot hold dtype object"),
    "text array": ([np.array(["a"])], DtypeError, "[0]: a file cannot hold dtype <U1"),
    "long double": ([np.zeros(1, np.longdouble)], DtypeError, "[0]: a file cannot hold dtype"),
    "dates": ([np.zeros(1, "M8[s]")], DtypeError, "[0]: a file cannot hold dtype datetime64[s]"),
    "text leaf": (["x"], DtypeError, "[0]: expected an array or a number, got str 'x'"),
    "large int": ([2**63], DtypeError, "[0]: expected an array or a number, got int"),
    "masked": ([np.ma.masked_array([1.0], [True])], DtypeError, "[0]: expected an array or a number"),
    "static list": (Nest(Setting([1])), DtypeError, "inner.value: expected None, a bool"),
    "static array": (Setting(np.ones(1)), DtypeError, "value: expected None, a bool"),
    "static in tuple": (Setting((1, {})), DtypeError, "value[1]: expected None, a bool"),
    "lone surrogate": (Setting("\ud800"), DtypeError, "a file holds Unicode text"),
    "lone surrogate key": ({"\ud800": 1.0}, DtypeError, "a file holds Unicode text"),
    "unsortable keys": ([{1: 1.0, "a": 2.0}], TreeError, "[0]: the keys of a dict in a tree must be sortable"),
    "too deep": (deep(101), TreeError, "[0][0]"),
    "too deep a static value": (Setting(deep_tuple(101)), TreeError, "value[0][0]"),
    "NaN as a key": ([{nan(0x7FF8000000000000): 1.0}], TreeError, "[0]: a key of a dict is NaN"),
    "function as a key": ([{halve: 1.0}], DtypeError, "[0][<function halve"),
    "far too deep": (deep(5000), TreeError, "[0][0]"),
    "refused by its constructor": (
        [assemble(Normalised, {"values": np.ones(2)})],
        StorageError,
        "[0]: Normalised refuses the values of its fields: the values must sum to 1",
    ),
    "changed by its constructor": (
        assemble(Rounded, {"values": np.array([0.5])}),
        StorageError,
        "the constructor of Rounded makes another value of the field values",
    ),
    "subclass of dict": ([type("MyDict", (dict,), {})()], DtypeError, "[0]: expected an array or a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_save_with_the_path(case, file):
    """What a file cannot give back is refused with its path, before anything is written."""
    tree, error, message = REFUSED[case]
    file.write_bytes(b"old")
    with pytest.raises(error) as info:
        save(tree, file)
    assert str(info.value).startswith(message), str(info.value)
    assert file.read_bytes() == b"old"
    assert names_in(file.parent) == [file.name]


def test_deepest_tree_comes_back(file):
    """A tree of as many levels as are allowed is saved and loaded."""
    tree = deep(100)
    save(tree, file)
    assert same_bits(load(file), tree)


# --- writing ----------------------------------------------------------------------------------------------------------


class FullDisk:
    """A file that takes some bytes and then fails as a full disk does."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            self.file.write(bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.write(data)

    def flush(self):
        self.file.flush()

    def fileno(self):
        return self.file.fileno()


def failing(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


FAILURES = {
    "no room for the header": ("open", lambda *args: FullDisk(open(*args), 10), errno.ENOSPC),  # noqa: PTH123, SIM115
    "no room for the data": ("open", lambda *args: FullDisk(open(*args), 1000), errno.ENOSPC),  # noqa: PTH123, SIM115
    "failing flush": ("os.fsync", failing(errno.EIO), errno.EIO),
    "failing rename": ("os.replace", failing(errno.EPERM), errno.EPERM),
    "failing open": ("open", failing(errno.EACCES), errno.EACCES),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("existed", [True, False])
def test_failed_write_leaves_what_was_there(case, existed, file, monkeypatch):
    """Whatever step of writing fails, the old file is intact, no temporary file stays, and the error names the path."""
    name, replacement, code = FAILURES[case]
    if existed:
        file.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(f"purenet.safetensors.{name}", replacement, raising=name != "open")
        with pytest.raises(WriteError, match=r"cannot be written: .*; check that the directory exists") as info:
            save(np.zeros(1000), file)
    assert isinstance(info.value, OSError)
    assert isinstance(info.value, StorageError)
    assert info.value.errno == code
    assert info.value.filename == str(file)
    assert str(info.value).startswith(str(file))
    assert names_in(file.parent) == ([file.name] if existed else [])
    assert not existed or file.read_bytes() == b"old"


def test_interrupted_write_leaves_what_was_there(file, monkeypatch):
    """Ctrl-C in the middle of writing goes through, and leaves the old file alone."""
    file.write_bytes(b"old")

    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(layout.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(np.zeros(10), file)
    assert names_in(file.parent) == [file.name]
    assert file.read_bytes() == b"old"


@pytest.mark.parametrize("place", ["missing/net.safetensors", "file/net.safetensors", "directory", ""])
def test_unwritable_paths(place, tmp_path):
    """A directory that is missing or is a file, and a path that is a directory, give an error that names the path."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    before = names_in(tmp_path)
    path = str(tmp_path / place)
    with pytest.raises(OSError, match="cannot be written") as info:
        save(1.0, path)
    assert path in str(info.value)
    assert names_in(tmp_path) == before
    assert names_in(tmp_path / "directory") == []


def test_data_reaches_the_disk_before_the_name(file, monkeypatch):
    """The new file is flushed before it takes the place of the old one, and the directory after."""
    steps = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(layout.os, name, lambda *args, name=name, real=real: (steps.append(name), real(*args))[1])
    save(1.0, file)
    assert steps[:2] == ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="modes and symbolic links as POSIX has them")
def test_mode_and_links_are_kept(file):
    """A new file has the usual mode, an old one keeps its mode, and a symbolic link stays one."""
    mask = os.umask(0o027)
    try:
        save(1.0, file)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o600)
    link = file.parent / "link"
    link.symlink_to(file)
    save(2.0, link)
    assert link.is_symlink()
    assert load(file) == 2.0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_str_and_path_are_taken(file):
    """A path may be a str or a Path."""
    save(1.0, str(file))
    assert load(str(file)) == load(file) == 1.0


def test_missing_file_is_an_os_error(file):
    """Opening what is not there gives Python's own error."""
    with pytest.raises(FileNotFoundError):
        load(file)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small"
    save({"net": Nest([np.float32([1, 2]), True], ("m", 0.5)), "step": 3}, path)
    return path.read_bytes()


def test_every_truncation_is_noticed(small, file):
    """A file cut at any length, or with bytes after its end, is refused."""
    for length in range(len(small)):
        file.write_bytes(small[:length])
        with pytest.raises(StorageError):
            load(file)
    for tail in (b"\0", b" ", small):
        file.write_bytes(small + tail)
        with pytest.raises(StorageError):
            load(file)


@pytest.mark.parametrize("flip", [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF, 0x29])
def test_every_flipped_byte_is_noticed(small, file, flip):
    """A file in which any one byte is changed is refused: every bit of every byte, and blanks that stay blank."""
    load_from(file, small)
    for place in range(len(small)):
        damaged = bytearray(small)
        damaged[place] ^= flip
        with pytest.raises(StorageError):
            load_from(file, bytes(damaged))


def load_from(file, data):
    file.write_bytes(data)
    return load(file, CLASSES)


# --- hostile files ----------------------------------------------------------------------------------------------------


def packed(header, data=b"", length=None):
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


def entry(begin=0, end=8, shape=(1,), dtype="F64"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


EIGHT = b"\0" * 8
HOSTILE_LAYOUTS = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "no header": b"\0" * 8,
    "length 2**62": packed(b"{}", length=2**62),
    "length 2**64 - 1": packed(b"{}", length=2**64 - 1),
    "length 2**63": packed(b"{}", length=2**63),
    "length one more": packed(b"{}", length=3),
    "not UTF-8": packed(b'{"\xff":1}'),
    "not JSON": packed(b"{a}"),
    "two values": packed(b"{} {}"),
    "NUL": packed(b"{}\0"),
    "byte order mark": packed(b"\xef\xbb\xbf{}"),
    "leading blank": packed(b" {}"),
    "array": packed(b"[]"),
    "number": packed(b"1"),
    "pickle": b"\x80\x04\x95" + b"\0" * 40,
    "deep lists": packed(b"[" * 100_000),
    "deep lists in an object": packed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "deep objects": packed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "twice the same name": packed(json.dumps({"a": entry(), "b": entry()}).replace("b", "a").encode(), EIGHT),
    "twice the same key": packed(b'{"a":{"dtype":"F64","dtype":"F64","shape":[1],"data_offsets":[0,8]}}', EIGHT),
    "twice metadata": packed(b'{"__metadata__":{},"__metadata__":{}}'),
    "metadata a list": packed({"__metadata__": []}),
    "metadata null": packed({"__metadata__": None}),
    "metadata of numbers": packed({"__metadata__": {"a": 1}}),
    "metadata of objects": packed({"__metadata__": {"a": {"b": "c"}}}),
    "entry a list": packed({"a": [1]}, EIGHT),
    "entry null": packed({"a": None}),
    "entry without shape": packed({"a": {"dtype": "F64", "data_offsets": [0, 8]}}, EIGHT),
    "entry with more": packed({"a": {**entry(), "code": "os.system"}}, EIGHT),
    "unknown dtype": packed({"a": entry(dtype="F128")}, EIGHT),
    "bfloat16": packed({"a": entry(dtype="BF16", end=2)}, b"\0\0"),
    "dtype object": packed({"a": entry(dtype="O")}, EIGHT),
    "dtype a list": packed({"a": entry(dtype=["F64"])}, EIGHT),
    "dtype null": packed({"a": entry(dtype=None)}, EIGHT),
    "negative shape": packed({"a": entry(shape=(-1,))}, EIGHT),
    "two negative shapes": packed({"a": entry(shape=(-1, -1))}, EIGHT),
    "shape of floats": packed({"a": entry(shape=(1.0,))}, EIGHT),
    "shape of bools": packed({"a": entry(shape=(True,))}, EIGHT),
    "shape of text": packed({"a": entry(shape=("1",))}, EIGHT),
    "shape a number": packed({"a": {"dtype": "F64", "shape": 1, "data_offsets": [0, 8]}}, EIGHT),
    "shape too large": packed({"a": entry(shape=(2**40,))}, EIGHT),
    "product overflows to 0": packed({"a": entry(end=0, shape=(2**32, 2**32))}),
    "product overflows to 1": packed({"a": entry(shape=(2**61 + 1, 8), end=64)}, b"\0" * 64),
    "huge shape": packed({"a": entry(shape=(2**62,) * 1000)}, EIGHT),
    "shape beyond 64 bits": packed({"a": entry(shape=(0, 2**64), end=0)}),
    "empty with huge sides": packed({"a": entry(shape=(0, 2**62, 2**62), end=0)}),
    "100 dimensions": packed({"a": entry(shape=(1,) * 100)}, EIGHT),
    "number of 5000 digits": packed(json.dumps({"a": entry(shape=(7,))}).replace("7", "9" * 4000).encode(), EIGHT),
    "infinite number": packed(json.dumps({"a": entry(shape=(7,))}).replace("7", "1e999").encode(), EIGHT),
    "NaN": packed(json.dumps({"a": entry(shape=(7,))}).replace("7", "NaN").encode(), EIGHT),
    "million dimensions": packed({"a": entry(shape=(2**62,) * 300_000)}, EIGHT),
    "negative offset": packed({"a": entry(begin=-8, end=0)}, EIGHT),
    "offsets backwards": packed({"a": entry(begin=8, end=0)}, EIGHT),
    "offsets beyond": packed({"a": entry(begin=8, end=16)}, EIGHT),
    "offsets huge": packed({"a": entry(begin=0, end=2**62, shape=(2**59,))}, EIGHT),
    "three offsets": packed({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8, 8]}}, EIGHT),
    "one offset": packed({"a": {"dtype": "F64", "shape": [1], "data_offsets": [8]}}, EIGHT),
    "offsets of floats": packed({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0.0, 8.0]}}, EIGHT),
    "offsets null": packed({"a": {"dtype": "F64", "shape": [1], "data_offsets": None}}, EIGHT),
    "overlap": packed({"a": entry(0, 16, (2,)), "b": entry(8, 24, (2,))}, b"\0" * 24),
    "the same data twice": packed({"a": entry(), "b": entry()}, EIGHT),
    "gap": packed({"a": entry(), "b": entry(16, 24)}, b"\0" * 24),
    "gap at the start": packed({"a": entry(8, 16)}, b"\0" * 16),
    "trailing bytes": packed({"a": entry()}, b"\0" * 9),
    "missing bytes": packed({"a": entry()}, b"\0" * 7),
    "data without arrays": packed({}, EIGHT),
    "empty array inside another": packed({"a": entry(0, 16, (2,)), "b": entry(8, 8, (0,))}, b"\0" * 16),
    "long header": packed(b"{" + b" " * 200, length=100_000_001),
}


@pytest.mark.parametrize("case", HOSTILE_LAYOUTS)
def test_hostile_layouts_are_refused(case, file):
    """A hostile layout gives a StorageError that names the file, and takes no memory for what it claims."""
    file.write_bytes(HOSTILE_LAYOUTS[case])
    limit = 40 * len(HOSTILE_LAYOUTS[case]) + 200_000
    tracemalloc.start()
    try:
        with pytest.raises(StorageError) as info:
            load(file)
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
    assert str(info.value).startswith(str(file))
    assert len(str(info.value)) < 1000


TOLD = {
    "empty": "0 bytes, too few",
    "length 2**62": "announce a header of 4611686018427387904 bytes, but only 2 follow",
    "not UTF-8": "its header is not valid JSON ('utf-8' codec can't decode byte 0xff",
    "deep lists in an object": "nested too deeply",
    "twice the same name": "the name 'a' occurs twice",
    "bfloat16": "dtype 'BF16' is not one of BOOL",
    "negative shape": "expected a shape of at most 64 integers from 0 up",
    "two negative shapes": "expected a shape of at most 64 integers from 0 up",
    "million dimensions": "expected a shape of at most 64 integers from 0 up",
    "product overflows to 1": "does not fill its 64 bytes",
    "negative offset": "expected data_offsets [begin, end]",
    "overlap": "array 'b': its data begins at 8, not at 16: it overlaps",
    "the same data twice": "array 'b': its data begins at 0, not at 8: it overlaps",
    "gap": "array 'b': its data begins at 16, not at 8: it overlaps other data or leaves a gap",
    "trailing bytes": "followed by bytes that belong to no array",
    "missing bytes": "damaged or truncated",
}


@pytest.mark.parametrize("case", TOLD)
def test_damage_is_told(case, file):
    """The error says what is wrong with the layout."""
    file.write_bytes(HOSTILE_LAYOUTS[case])
    with pytest.raises(StorageError) as info:
        load(file)
    assert TOLD[case] in str(info.value)


def test_want_of_memory_is_a_storage_error(small, file, monkeypatch):
    """A file too large for the memory, such as a sparse one, is refused like any other that cannot be read."""

    def no_memory(*args):
        raise MemoryError("8 EiB")

    monkeypatch.setattr(layout.np, "empty", no_memory)
    with pytest.raises(StorageError, match="cannot be loaded: 8 EiB"):
        load_from(file, small)


def with_digest(structure, arrays=None, metadata=None):
    """A purenet file as an attacker makes it: hostile, with the right digest."""
    entries, data = {}, b""
    for name, array in (arrays or {}).items():
        entries[name] = entry(len(data), len(data) + array.nbytes, array.shape, layout.dtype_code(array.dtype))
        data += array.tobytes()
    text = structure if isinstance(structure, str) else json.dumps(structure)
    all_metadata = {"purenet.digest": "0" * 64, "purenet.format": "1", "purenet.tree": text, **(metadata or {})}
    whole = packed(json.dumps({"__metadata__": all_metadata, **entries}, separators=(",", ":")).encode(), data)
    return whole.replace(b"0" * 64, hashlib.sha256(whole).hexdigest().encode(), 1)


def record(name, fields=None, static=None):
    return {"record": name, "fields": fields or {}, "static": static or {}}


def setting(value):
    return record(f"{__name__}.Setting", {}, {"value": value})


def with_value(text):
    return json.dumps(setting(None)).replace("null", text)


def nested_settings(levels):
    text = "0"
    for _ in range(levels):
        text = with_value(text)
    return text


ONE = {"": np.ones(1)}
AFFINE = f"{__name__}.Affine"
PRIVATE = record("tests.storage.Private", {"_hidden": None, "derived": "number"})
HOSTILE_TREES = {
    "not JSON": ("{",),
    "empty": ("",),
    "deep lists": ("[" * 100_000,),
    "deep tuples": ('{"tuple":[' * 100_000 + "]}" * 100_000,),
    "102 levels": ('{"tuple":[' * 102 + "]}" * 102,),
    "400 levels": ('{"list":[' * 400 + "]}" * 400,),
    "deep static tuples": (with_value('{"tuple":[' * 400 + "]}" * 400),),
    "deep static records": (nested_settings(110),),
    "deep key": ({"dict": [[json.loads('{"tuple":[' * 110 + "]}" * 110), None]]},),
    "key a function": ({"dict": [[{"function": "tests.storage.halve"}, None]]},),
    "key a record": ({"dict": [[record("tests.storage.Nest", {"inner": None}, {"mode": None}), None]]},),
    "record name of a ufunc": (record("tests.storage.arcsinh"),),
    "a number": (1,),
    "a list": ([],),
    "true": (True,),
    "unknown kind": ('"pickle"', ONE),
    "empty object": ({},),
    "unknown object": ({"eval": "1"},),
    "two kinds": ({"tuple": [], "list": []},),
    "tuple of an object": ({"tuple": {}},),
    "missing array": ('"array"',),
    "missing array below": ({"tuple": ["array"]}, {"[1]": np.ones(1)}),
    "array left over": (None, ONE),
    "array of another name": ({"tuple": ["array"]}, {"[0]": np.ones(1), "[1]": np.ones(1)}),
    "scalar of an array": ('"scalar"', ONE),
    "number of an array": ('"number"', ONE),
    "number of float32": ('"number"', {"": np.array(1, np.float32)}),
    "duplicate keys in JSON": ('{"tuple":[],"tuple":[]}',),
    "duplicate dict keys": ({"dict": [["a", None], ["a", None]]},),
    "equal dict keys": ({"dict": [[1, None], [True, None]]},),
    "dict of an object": ({"dict": {"a": None}},),
    "dict entry of three": ({"dict": [["a", None, None]]},),
    "dict entry a text": ({"dict": ["ab"]},),
    "dict key a list": ({"dict": [[[], None]]},),
    "os.system": (record("os.system"),),
    "builtins.eval": (record("builtins.eval"),),
    "path": (record("../x"),),
    "absolute path": (record("/etc/passwd"),),
    "dunder": (record("purenet.__class__"),),
    "module of purenet": (record("purenet.os"),),
    "error class of purenet": (record("purenet.errors.StorageError"),),
    "unknown of purenet": (record("purenet.NoSuchLayer"),),
    "function as a record": (record("tests.storage.halve"),),
    "record as a named tuple": ({"named tuple": "tests.storage.Nest", "fields": {"inner": None, "mode": None}},),
    "named tuple as a record": (record(f"{__name__}.Point", {"x": None, "y": None}),),
    "record name a number": (record(1),),
    "record name a list": (record(["os", "system"]),),
    "record name null": (record(None),),
    "fields a list": ({"record": "tests.storage.Nest", "fields": [None], "static": {"mode": None}},),
    "too few fields": (record("tests.storage.Nest", {}, {"mode": None}),),
    "too many fields": (record("tests.storage.Nest", {"inner": None, "x": None}, {"mode": None}),),
    "static as a field": (record("tests.storage.Nest", {"inner": None, "mode": None}),),
    "no static": ({"record": "tests.storage.Nest", "fields": {"inner": None}},),
    "dunder field": (record("tests.storage.Nest", {"__class__": None}, {"mode": None}),),
    "too few in a named tuple": ({"named tuple": f"{__name__}.Point", "fields": {"x": None}},),
    "named tuple unknown": ({"named tuple": "nowhere.Point", "fields": {"x": None}},),
    "wrong shape of bias": (
        record(AFFINE, {"weight": "array", "bias": "array"}, {"name": "a"}),
        {"weight": np.ones((2, 3)), "bias": np.ones(4)},
    ),
    "no weight": (record(AFFINE, {"weight": None, "bias": {"tuple": []}}, {"name": "a"}),),
    "static of the wrong type": (
        record(AFFINE, {"weight": "array", "bias": None}, {"name": 3}), {"weight": np.ones((2, 3))},
    ),
    "static object": (setting({"eval": "1"}),),
    "static list": (setting([1]),),
    "static tuple of an object": (setting({"tuple": {}}),),
    "static of two": (setting({"int": "0x1", "float": "0"}),),
    "static empty": (setting({}),),
    "static int of text": (setting({"int": "os"}),),
    "static int a number": (setting({"int": 3}),),
    "static int of 5000 digits": (with_value("9" * 5000),),
    "static infinity": (with_value("1e999"),),
    "static NaN": (with_value("NaN"),),
    "static float too short": (setting({"float": "00"}),),
    "static bytes": (setting({"bytes": "0g"}),),
    "static function os.system": (setting({"function": "os.system"}),),
    "static function unknown": (setting({"function": "purenet.losses.no_such_loss"}),),
    "static function a number": (setting({"function": 1}),),
    "changed by its constructor": (PRIVATE, {"derived": np.array(3.0)}),
    "newer format": (None, None, {"purenet.format": "2"}),
    "other metadata": (None, None, {"purenet.code": "import os"}),
    "metadata of others": (None, None, {"format": "pt"}),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_TREES)
def test_hostile_structures_are_refused(case, file):
    """A file with the right digest and a hostile structure gives a StorageError that names the file."""
    file.write_bytes(with_digest(*HOSTILE_TREES[case]))
    with pytest.raises(StorageError) as info:
        load(file, (*CLASSES, Private))
    assert str(info.value).startswith(str(file))
    assert "does not match its digest" not in str(info.value)


def test_what_the_attacker_makes_would_load(file):
    """The hostile files above are refused for their structures, not for the way they are made."""
    file.write_bytes(with_digest({"tuple": ["array", None]}, {"[0]": np.ones(2)}))
    assert same_bits(load(file), (np.ones(2), None))
    file.write_bytes(with_digest(PRIVATE, {"derived": np.array(2.0)}))
    assert same_bits(load(file), Private(None))
    file.write_bytes(with_digest(setting({"tuple": [1, {"int": "0x10"}, {"bytes": "00ff"}]})))
    assert same_bits(load(file, CLASSES), Setting((1, 16, b"\0\xff")))


def test_loading_runs_no_code_and_imports_nothing(file):
    """No name in a file makes Python import a module or call a function."""
    sys.modules.pop("antigravity", None)
    for name in ("antigravity.geohash", "antigravity", "purenet.cli.main"):
        file.write_bytes(with_digest({"tuple": [record(name), setting({"function": name})]}))
        with pytest.raises(StorageError):
            load(file, CLASSES)
    assert "antigravity" not in sys.modules


def test_wrong_digest_is_told(small, file):
    """A changed number in the data is reported as what it is."""
    with pytest.raises(StorageError, match="the content does not match its digest: it is damaged"):
        load_from(file, small[:-1] + bytes([small[-1] ^ 1]))


def test_random_damage_never_escapes(small, file):
    """Random edits of a file, with the digest made right again, give a tree or a StorageError, and nothing else."""
    random = np.random.RandomState(0)
    header_end = 8 + int.from_bytes(small[:8], "little")
    outcomes = set()
    for _ in range(1500):
        damaged = bytearray(small)
        for _ in range(random.randint(1, 4)):
            place = random.randint(8 + 110, header_end)
            damaged[place] = ord(random.choice(list('0123456789"\\{}[],:. nulltrueaFI')))
        damaged[43:107] = b"0" * 64
        damaged[43:107] = hashlib.sha256(damaged).hexdigest().encode()
        try:
            load_from(file, bytes(damaged))
            outcomes.add("loaded")
        except StorageError:
            outcomes.add("refused")
    assert outcomes == {"loaded", "refused"}


# --- other programs ---------------------------------------------------------------------------------------------------


def test_foreign_files_load_as_dicts(file):
    """A safetensors file without purenet's metadata loads as a dict of arrays, in the order of its header."""
    data = binary.pack("<2f3b", 1, 2, 3, 4, 5)
    header = {"z.w": entry(0, 8, (2,), "F32"), "__metadata__": {"format": "pt"}, "a": entry(8, 11, (3, 1), "I8")}
    header["e"] = entry(11, 11, (0,))
    file.write_bytes(packed(json.dumps(header).encode() + b"   ", data))
    loaded = load(file)
    assert list(loaded) == ["z.w", "a", "e"]
    assert same_bits(loaded, {"z.w": np.float32([1, 2]), "a": np.int8([[3], [4], [5]]), "e": np.zeros(0)})
    assert not loaded["a"].flags.writeable
    file.write_bytes(packed(b"{}"))
    assert load(file) == {}


def test_safetensors_reads_what_purenet_writes(file):
    """The safetensors library reads purenet's files, arrays and metadata."""
    numpy = pytest.importorskip("safetensors.numpy")
    safe_open = pytest.importorskip("safetensors").safe_open
    for case, tree in TREES.items():
        if case == "many dimensions":
            continue
        save(tree, file)
        found = numpy.load_file(file)
        arrays, metadata = layout.read(file)
        assert same_bits(found, arrays), case
        with safe_open(file, "numpy") as opened:
            assert opened.metadata() == metadata


def test_purenet_reads_what_safetensors_writes(file):
    """purenet reads the files of the safetensors library."""
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = {**dict(dtype_arrays()), "empty": np.zeros((0, 3)), "number": np.array(1.5)}
    numpy.save_file(arrays, file, metadata={"format": "np"})
    assert same_bits(load(file), arrays)
    numpy.save_file({}, file)
    assert load(file) == {}


def test_file_changed_by_another_program_is_refused(file):
    """A purenet file that another program wrote anew has another layout, and says so."""
    save({"a": np.ones(2)}, file)
    arrays, metadata = layout.read(file)
    text = json.dumps({"a": entry(0, 16, (2,)), "__metadata__": metadata}).replace('"a": {', '"[\\"a\\"]": {').encode()
    file.write_bytes(packed(text, arrays['["a"]'].tobytes()))
    with pytest.raises(StorageError, match="changed by another program"):
        load(file)


# --- purenet's own records --------------------------------------------------------------------------------------------


def own_records():
    """Every record and named tuple of the modules of purenet that storage may name."""
    above = ("purenet.storage", "purenet.structure", "purenet.safetensors", "purenet.history", "purenet.cli")
    for name, module in list(sys.modules.items()):
        if name.startswith("purenet.") and not name.startswith(above):
            for value in list(vars(module).values()):
                if is_record_type(value) and value.__module__.startswith("purenet.") and "<" not in value.__qualname__:
                    yield value


def test_a_file_may_name_every_record_of_purenet():
    """Every record is among the builtins under its own name, and no two have one name."""
    known = builtins()
    assert len({id(cls) for cls in own_records()}) > 30
    for cls in own_records():
        assert known.get(name_of(cls)) is cls, cls
        assert name_of(cls) == f"purenet.{cls.__name__}"
    for function in (pn.losses.mean_squared_error, pn.losses.softmax_cross_entropy):
        assert known[name_of(function)] is function
    others = [value for name, value in known.items() if not name.startswith("purenet.losses.")]
    assert all(is_record_type(value) or is_named_tuple_type(value) for value in others)


def own_trees():
    key = pn.key(7)
    net = pn.mlp(key, (3, 4, 2), activation=pn.Gelu())
    data = pn.Dataset(np.arange(12.0).reshape(4, 3), np.arange(8.0).reshape(4, 2))
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adam(pn.schedules.cosine(1e-3, steps=50)))
    step = pn.make_step(pn.objective(pn.losses.mean_squared_error), optimizer)
    state = step(pn.init_state(net, optimizer, key=key), (data.x, data.y))
    layers = (pn.Dropout(0.5), pn.Residual(pn.Sequential((pn.Elu(), pn.LeakyRelu()))), pn.Flatten(), pn.layer_norm(3))
    loss = pn.custom_vjp(halve, halve_rule)
    step = (step, pn.make_step(pn.objective(loss), pn.sgd(0.1)), pn.Batches(data, size=2, key=key))
    trees = {"net": net, "key": key, "data": data, "optimizer": optimizer, "step": step, "state": state}
    return {**trees, "layers": layers}


@pytest.mark.parametrize("name", ["net", "key", "data", "optimizer", "step", "state", "layers"])
def test_purenets_records_come_back(name, file):
    """Networks, keys, data, optimizers, steps and states come back to the same bits, and go on as they would have."""
    tree = own_trees()[name]
    save(tree, file)
    loaded = load(file)
    assert same_bits(loaded, tree), list(pn.canonical.differences(loaded, tree))
    assert pn.digest(loaded) == pn.digest(tree)


def test_loaded_step_computes_the_same(file):
    """A training step and its state, loaded, go on to the same bits."""
    trees = own_trees()
    save((trees["step"], trees["state"]), file)
    step, state = load(file)
    batch = (trees["data"].x, trees["data"].y)
    assert same_bits(step[0](state, batch), trees["step"][0](trees["state"], batch))
    assert same_bits(list(take(3, step[2])), list(take(3, trees["step"][2])))


def test_network_of_wrong_shapes_is_refused(file):
    """A Dense whose bias does not fit, and a Dropout without a rate, are refused by their constructors."""
    node = record("purenet.Dense", {"weight": "array", "bias": "array"})
    file.write_bytes(with_digest(node, {"weight": np.ones((2, 3)), "bias": np.ones(3)}))
    assert same_bits(load(file), pn.Dense(np.ones((2, 3)), np.ones(3)))
    file.write_bytes(with_digest(node, {"weight": np.ones((2, 3)), "bias": np.ones(4)}))
    with pytest.raises(StorageError, match=r"Dense refuses the values of its fields: Dense\.bias.*\(3,\)"):
        load(file)
    for static in ({"rate": "0.5"}, {"rate": 2.0}, {"rate": None}, {"rate": {"function": "purenet.losses.huber"}}):
        file.write_bytes(with_digest(record("purenet.Dropout", {}, static)))
        with pytest.raises(StorageError, match="Dropout refuses the values of its fields"):
            load(file)


def test_large_arrays_are_not_copied(file):
    """Saving takes no memory for the arrays, loading takes the memory of the arrays."""
    array = np.zeros(1_000_000)
    tracemalloc.start()
    try:
        save({"a": array}, file)
        assert tracemalloc.get_traced_memory()[1] < 500_000
        tracemalloc.reset_peak()
        loaded = load(file)
        assert tracemalloc.get_traced_memory()[1] < array.nbytes + 500_000
    finally:
        tracemalloc.stop()
    assert loaded["a"].nbytes == array.nbytes
