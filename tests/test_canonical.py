"""Laws of same_bits, differences, canonical_bytes and digest."""

import hashlib
import itertools
import struct as binary
from typing import Any, NamedTuple

import numpy as np
import pytest

import purenet as pn
from purenet.canonical import (
    CANONICAL_FORM,
    canonical_bytes,
    differences,
    digest,
    same_bits,
    ulp_distance,
)
from purenet.errors import ArgumentError, DtypeError, TreeError
from purenet.records import assemble
from purenet.registry import register


@pn.struct
class Pair:
    left: Any
    right: Any


@pn.struct
class Other:
    left: Any
    right: Any


@pn.struct
class Swapped:
    right: Any
    left: Any


@pn.struct
class Setting:
    value: Any = pn.static(default=None)
    leaf: Any = None


@pn.struct
class Setting2:
    leaf: Any = None
    value: Any = pn.static(default=None)


DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


class Point(NamedTuple):
    x: Any
    y: Any


class Vector(NamedTuple):
    x: Any
    y: Any


@register("tests.canonical.double")
def double(x):
    return 2 * x


def quiet_nan(payload):
    return binary.unpack("<d", binary.pack("<Q", 0x7FF8000000000000 | payload))[0]


def arrays():
    """One array of every dtype that has canonical bytes, and shapes that could be confused."""
    for dtype in DTYPES:
        yield np.zeros(2, dtype)
        yield np.zeros((), dtype)
        yield np.zeros((0,), dtype)
        yield np.zeros((1, 2), dtype)
        yield np.zeros((2, 1), dtype)
        yield np.zeros((0, 3), dtype)
        yield np.zeros((3, 0), dtype)
        yield np.ones(2, dtype)


STATIC = [
    *(True, False, 0, 1, -1, 0.0, -0.0, 1.0, "", "None", b"", b"None", (), (None,), ((),), 127, 128, -128, -129),
    *(2**200, quiet_nan(0), quiet_nan(2), float("inf"), "a", b"a", "é", "e\u0301", "\ud800", "\0"),
    *(("a", "b"), ("ab",), ("a", ("b",)), (("a",), "b"), double, "tests.canonical.double"),
    *(Setting(), Setting(1), (Setting(1),), Setting2(), Pair(None, np.ones(1))),
]

# Trees of which no two are the same: each stands beside those that a careless encoding would confuse it with.
DIFFERENT = [
    None,
    (),
    [],
    {},
    (None,),
    [None],
    ((),),
    ([],),
    (None, None),
    ((None,), None),
    ((None, None),),
    (None, (None,)),
    {"a": None},
    {"b": None},
    {"": None},
    {"a": None, "b": None},
    {"ab": None},
    {"a": {"b": None}},
    {1: None},
    {"1": None},
    {True: None},
    {1.0: None},
    {(1,): None},
    {b"1": None},
    {None: None},
    {-1: None},
    {255: None},
    {0: None},
    {0.0: None},
    {-0.0: None},
    {256: None},
    {2**64: None},
    {-(2**63): None},
    {2**63: None},
    1.0,
    1,
    True,
    1j,
    -0.0,
    (1.0,),
    [1.0],
    (1.0, 2.0),
    ((1.0,), 2.0),
    (1.0, (2.0,)),
    np.array([1.0, 2.0]),
    np.array([[1.0, 2.0]]),
    np.array([[1.0], [2.0]]),
    np.array([2.0, 1.0]),
    np.float32(1.0),
    quiet_nan(0),
    quiet_nan(1),
    -quiet_nan(1),
    np.array([1, 0], np.uint8),
    np.array([1], np.uint16),
    Point(None, None),
    Vector(None, None),
    Point(None, 1.0),
    Pair(None, None),
    Other(None, None),
    Swapped(None, None),
    Pair(None, 1.0),
    Pair(1.0, None),
    Setting(),
    Setting2(),
    *(Setting(value) for value in STATIC),
    Setting(None, 1.0),
    Setting("N"),
    Setting("A"),
    {"a": Pair(None, None)},
    {"left": None, "right": None},
    *arrays(),
]


def test_different_trees_have_different_bytes():
    """No two trees of the adversarial table have the same canonical bytes, or a digest in common."""
    encoded = [canonical_bytes(tree) for tree in DIFFERENT]
    for (a, x), (b, y) in itertools.combinations(zip(encoded, DIFFERENT, strict=True), 2):
        assert a != b, (x, y)
    assert len({digest(tree) for tree in DIFFERENT}) == len(DIFFERENT)


def test_no_bytes_begin_others():
    """The bytes of a value end by themselves, so that joined values can be taken apart in one way only."""
    encoded = sorted(canonical_bytes(tree) for tree in DIFFERENT)
    for a, b in itertools.pairwise(encoded):
        assert not b.startswith(a)


def test_same_bits_agrees_with_the_bytes():
    """same_bits says of every two trees of the table what their canonical bytes say."""
    for (i, a), (j, b) in itertools.product(enumerate(DIFFERENT), repeat=2):
        assert same_bits(a, b) == (i == j), (a, b)


def test_bytes_are_as_specified():
    """Canonical bytes written out by hand from the specification."""

    def u64(n):
        return n.to_bytes(8, "little")

    def text(s):
        return u64(len(s)) + s.encode()

    name = f"{__name__}.Setting"
    first = Setting(("x", -200), np.float32(1.5))
    tree = {"b": [np.array([[1, 2]], np.int16)], "a": (first, None), 3: Point(True, None)}
    float32 = b"A" + text("float32") + u64(0) + binary.pack("<f", 1.5)
    static = b"u" + u64(2) + b"s" + text("x") + b"i" + u64(2) + b"\x38\xff"
    record = b"Rq" + text(name) + u64(2) + text("value") + b"s" + static + text("leaf") + b"c" + float32
    true = b"A" + text("bool") + u64(0) + b"\1"
    point = b"Mq" + text(f"{__name__}.Point") + u64(2) + text("x") + true + text("y") + b"N"
    expected = b"purenet canonical 1\n" + b"D" + u64(3)
    expected += b"i" + u64(1) + b"\3" + point
    expected += b"s" + text("a") + b"T" + u64(2) + record + b"N"
    expected += b"s" + text("b") + b"L" + u64(1) + b"A" + text("int16") + u64(2) + u64(1) + u64(2) + b"\1\0\2\0"
    assert canonical_bytes(tree) == expected
    assert digest(tree) == hashlib.sha256(expected).hexdigest()


def test_digest_is_golden():
    """The digest of one fixed tree never changes; if it must, CANONICAL_FORM changes with it."""
    tree = {"layers": (np.arange(6.0).reshape(2, 3), None, [np.float32(-0.0), 7, True]), 5: (1j, np.uint8([1, 2]))}
    assert CANONICAL_FORM == b"purenet canonical 1\n"
    assert digest(tree) == "3ac8d2979800548f2ecc2554afc37a2813d23500f49f2c7ded6d5a5d875fe7bf"


MEMORY_LAYOUTS = {
    "transposed": lambda a: np.asfortranarray(a),
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "little-endian": lambda a: a.astype(a.dtype.newbyteorder("<")),
    "unaligned": lambda a: unaligned(a),
    "read-only": lambda a: pn.records.frozen(a.copy()),
}


def unaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


@pytest.mark.parametrize("layout", MEMORY_LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_layout_does_not_count(layout, dtype):
    """Strides, order, byte order and alignment change neither digest nor same_bits."""
    array = (np.arange(12).reshape(3, 4) % 5).astype(dtype)
    other = MEMORY_LAYOUTS[layout](array)
    assert np.array_equal(array, other)
    assert digest(array) == digest(other)
    assert same_bits(array, other)
    changed = array.copy()
    changed[1, 2] = not changed[1, 2]
    assert not same_bits(MEMORY_LAYOUTS[layout](changed), array)


EQUAL = [
    (1.5, np.float64(1.5)),
    (1.5, np.array(1.5)),
    (np.float32(2), np.array(2, np.float32)),
    (3, np.int64(3)),
    (True, np.bool_(True)),
    (2j, np.complex128(2j)),
    ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}),
    ({1: 1.0, "b": None}, {"b": None, 1: 1.0}),
    (quiet_nan(3), np.float64(quiet_nan(3))),
    (Setting((1, 2.0, "x", quiet_nan(1))), Setting((1, 2.0, "x", quiet_nan(1)))),
    (np.zeros((2, 0)), np.zeros((2, 0))),
    (Pair([np.ones(2)], {"k": ()}), Pair([np.ones(2)], {"k": ()})),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_same_trees(a, b):
    """What has the same structure, dtype, shape and bytes is the same, however it is held."""
    assert same_bits(a, b)
    assert same_bits(b, a)
    assert canonical_bytes(a) == canonical_bytes(b)
    assert digest(a) == hashlib.sha256(canonical_bytes(a)).hexdigest()


def test_memory_map_is_an_array(tmp_path):
    """A memory-mapped array has the bits of the array in memory."""
    array = np.arange(10.0)
    np.save(tmp_path / "a.npy", array)
    assert digest(np.load(tmp_path / "a.npy", mmap_mode="r")) == digest(array)


def test_large_arrays_are_not_copied():
    """Hashing and comparing contiguous arrays allocates no copy of them."""
    import tracemalloc

    array = np.zeros(4_000_000)
    other = array.copy()
    tracemalloc.start()
    try:
        digest(array)
        assert tracemalloc.get_traced_memory()[1] < 100_000
        assert same_bits(array, other)
        assert tracemalloc.get_traced_memory()[1] <= array.size + 100_000  # one bool for each element
    finally:
        tracemalloc.stop()


def test_arguments_keep_their_bytes():
    """Neither digest nor the walk changes what it looks at."""
    array = np.arange(6.0).reshape(2, 3).T
    before = array.tobytes(), array.strides, array.flags.writeable
    digest([array])
    same_bits([array], [array.copy()])
    assert (array.tobytes(), array.strides, array.flags.writeable) == before


REFUSED = {
    "string leaf": ({"a": ["x"]}, DtypeError, '["a"][0]: expected an array or a number, got str'),
    "object array": ({"a": np.array([None])}, DtypeError, '["a"]: dtype object has no canonical bytes'),
    "long double": ((np.longdouble(1),), DtypeError, "[0]: dtype"),
    "datetime": ([np.datetime64(1, "s")], DtypeError, "[0]: dtype datetime64"),
    "text array": ([np.array(["x"])], DtypeError, "[0]: dtype <U1"),
    "masked array": ([np.ma.masked_array([1.0], [True])], DtypeError, "[0]: expected an array"),
    "long int leaf": ((2**63,), DtypeError, "[0]: expected an array or a number, got int"),
    "static list": ((Setting([1]),), DtypeError, "[0].value: expected None, a bool"),
    "static in tuple": ((Setting((1, {2})),), DtypeError, "[0].value: expected None, a bool"),
    "static numpy scalar": (Setting(np.float64(1)), DtypeError, "value: expected None, a bool"),
    "function": ({"a": Setting(lambda x: x)}, ArgumentError, '["a"].value: '),
    "subclass of dict": ([__import__("collections").OrderedDict(a=1.0)], DtypeError, "[0]: expected a dict, got"),
    "subclass of list": ([type("MyList", (list,), {})()], DtypeError, "[0]: expected a list, got"),
    "NaN keys": ([{float("nan"): None, -float("inf"): 1, quiet_nan(0): 2}], TreeError, "[0]: two keys"),
    "bad key": ({frozenset(): 1}, DtypeError, "[frozenset()]: expected None, a bool"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_path(case):
    """What has no canonical bytes is refused with its path."""
    tree, error, message = REFUSED[case]
    with pytest.raises(error) as info:
        digest(tree)
    assert str(info.value).startswith(message), str(info.value)


def test_registration_names_the_class():
    """A registered class goes by its name, and no unregistered class can pass for it."""

    @register("tests.canonical.Named")
    @pn.struct
    class Named:
        x: Any

    assert b"Rr\x15\0\0\0\0\0\0\0tests.canonical.Named" in canonical_bytes(Named(None))
    spoof = pn.struct(type("Named", (), {"__annotations__": {"x": Any}, "__module__": "tests.canonical"}))
    assert b"Rq\x15\0\0\0\0\0\0\0tests.canonical.Named" in canonical_bytes(spoof(None))


WHYS = [
    ((1.0,), [1.0], "tuple of 1 and list of 1"),
    ((1.0,), (1.0, None), "tuple of 1 and tuple of 2"),
    (None, 1.0, "None and 1.0"),
    (Pair(None, None), Other(None, None), "Pair and Other"),
    (1.0, np.float32(1.0), "dtypes float64 and float32"),
    (np.ones(2), np.ones((2, 1)), "shapes (2,) and (2, 1)"),
    (1, 2, "1 and 2"),
    (0.0, -0.0, "0.0 and -0.0, 0 ulp apart"),
    (1.0, float(np.nextafter(1, 0)), "1.0 and 0.9999999999999999, 1 ulp apart"),
    (quiet_nan(0), quiet_nan(1), "nan and nan, NaN in 1 of them"),
    (np.float32([1, 2]), np.float32([1, 2.0000005]), "1 of 2 elements differ, first at [1]: 2.0 and 2.0000005, at mo"),
    (np.array([1j, 2]), np.array([1j, 2 - 1e-323j]), "1 of 2 elements differ, first at [1]: (2+0j) and (2-1e-323j)"),
    (np.array([[1, 2], [3, 4]]), np.array([[1, 0], [0, 4]]), "2 of 4 elements differ, first at [0, 1]: 2 and 0"),
    ("a", "b", "'a' and 'b'"),
]


@pytest.mark.parametrize(("a", "b", "why"), WHYS)
def test_why(a, b, why):
    """A difference says why, and carries what each tree has there."""
    found = next(differences({"k": a}, {"k": b}))
    assert found.path == '["k"]'
    assert found.left is a
    assert found.right is b
    assert found.why.startswith(why), found.why
    assert str(found) == f'["k"]: {found.why}'


def test_every_difference_in_order():
    """The walk yields every difference with its path, in the order of the leaves, also behind a missing item."""
    a = Pair({"w": np.ones(2), "only": None, 'q"': 1.0}, [Setting("x", 1.0), Point(1, 2)])
    b = Pair({"w": np.zeros(2), 'q"': 2.0, "new": 3}, [Setting("y", 1.0), Point(1, 3), None])
    found = list(differences(a, b))
    assert [d.path for d in found] == [
        'left["new"]', 'left["only"]', 'left["q\\""]', 'left["w"]', "right", "right[0].value", "right[1].y",
    ]  # fmt: skip
    assert found[0].why == "only the second has this key"
    assert found[5].why == "'x' and 'y'"


def test_keys_of_different_types_differ():
    """Keys that compare equal but have other types, and keys that cannot be sorted, are told apart."""
    assert not same_bits({1: None}, {True: None})
    assert not same_bits({1: None}, {1.0: None})
    assert same_bits({1: 2.0, "a": None}, {"a": None, 1: 2.0})
    assert [d.path for d in differences({1: 1.0, "a": 2.0}, {1: 1.5, "b": None})] == ["[1]", '["a"]', '["b"]']


def test_object_arrays_have_no_bits():
    """Comparing object arrays raises instead of comparing addresses."""
    with pytest.raises(DtypeError, match=r"\[0\]: an object array has no bits"):
        same_bits([np.array([None])], [np.array([None])])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ulp_distance_counts_steps(dtype):
    """The distance is the number of nextafter steps, through zero, subnormals and infinity; symmetric."""
    for start in (dtype(0.0), dtype(1.0), -np.finfo(dtype).tiny, np.finfo(dtype).max, dtype(-1)):
        value = start
        for count in range(5):
            assert ulp_distance(start, value) == ulp_distance(value, start) == count
            value = np.nextafter(value, dtype(np.inf)) if count or start != np.finfo(dtype).max else dtype(np.inf)
            if start == np.finfo(dtype).max:
                assert ulp_distance(start, value) == 1
                break
    largest = np.finfo(dtype).max
    bits = int(np.array(largest).view(f"u{np.dtype(dtype).itemsize}"))
    assert int(ulp_distance(-largest, largest)) == 2 * bits
    with pytest.raises(DtypeError):
        ulp_distance(np.ones(1, dtype), np.ones(1, np.int64))


def test_tracer_like_objects_are_refused():
    """An object that only stands for an array has no bits of its own."""

    class Stand:
        def __array_function__(self, *args):
            return NotImplemented

    with pytest.raises(DtypeError, match=r"layers\[0\]|\[0\]"):
        digest([Stand()])


def test_rebuilt_records_need_no_constructor():
    """Records assembled without validation have bits like any other."""
    assert same_bits(assemble(Pair, {"left": 1.0, "right": None}), Pair(1.0, None))
