"""Records own read-only arrays, are frozen and final, and print as their shape."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

import purenet as pn
from purenet.errors import DtypeError, PurenetError, ShapeError
from purenet.records import assemble, fields_of, is_struct, own, rebuild


@pn.struct
class Leafy:
    """Two leaves, one static field with a default."""

    weight: pn.Array
    bias: pn.Array | None = None
    rate: float = pn.static(default=0.5)


@pn.struct
class Checked:
    """A record whose constructor validates."""

    weight: pn.Array

    def __attrs_post_init__(self) -> None:
        if self.weight.ndim != 1:
            raise ShapeError("expected one axis", path="Checked.weight")


def test_a_writable_array_is_copied_once() -> None:
    """Whoever keeps the array that a record was made from cannot change the record."""
    array = np.ones(3)
    record = Leafy(array)
    array[0] = 7
    assert record.weight.tolist() == [1, 1, 1]
    assert Leafy(record.weight).weight is record.weight


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.ones((3, 2))),
        np.ones((4, 4))[::2, ::2],
        np.ones((2, 3)).T,
        np.ones(8).view(np.recarray),
        np.ma.masked_array(np.ones(2)),
        np.broadcast_to(np.ones(1), (4,)),
    ],
    ids=["fortran", "strided", "transposed", "subclass", "masked", "broadcast"],
)
def test_leaves_are_plain_contiguous_and_read_only(array: Any) -> None:
    """Whatever is given, a leaf is a C-contiguous read-only ndarray."""
    leaf = Leafy(array).weight
    assert type(leaf) is np.ndarray
    assert leaf.flags.c_contiguous
    assert not leaf.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        leaf[...] = 0


def test_a_read_only_view_of_writable_memory_is_copied() -> None:
    """A read-only flag is no proof: the memory behind it must be read-only too."""
    base = np.ones(4)
    view = base[:2]
    view.flags.writeable = False
    record = Leafy(view)
    base[0] = 9
    assert record.weight[0] == 1


def test_read_only_memory_maps_are_kept(tmp_path: Any) -> None:
    """A read-only map of a file is not loaded."""
    np.save(tmp_path / "x.npy", np.arange(4.0))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(Leafy(mapped).weight, mapped)


def test_containers_own_their_arrays_too() -> None:
    """Arrays inside tuples, lists and dicts of a field are owned like the others."""
    array = np.ones(2)
    record = Leafy({"a": (array, [array])})  # type: ignore[arg-type]
    array[0] = 5
    assert record.weight["a"][0][0] == record.weight["a"][1][0][0] == 1  # type: ignore[call-overload]


def test_frozen_final_and_slotted() -> None:
    """No field can be set, none added, and no class derived."""
    record = Leafy(np.ones(2))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.weight = np.zeros(2)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        record.other = 1  # type: ignore[attr-defined]
    with pytest.raises(DtypeError, match="final and cannot be subclassed"):

        @pn.struct
        class Derived(Leafy):
            more: Any = None

    with pytest.raises(DtypeError, match=r"^Plain: .*final and cannot be subclassed"):

        class Plain(Leafy):
            pass


def test_records_compare_by_identity() -> None:
    """`==` never looks at arrays; `same_bits` does."""
    a, b = Leafy(np.ones(2)), Leafy(np.ones(2))
    assert a != b
    assert pn.same_bits(a, b)
    assert len({a, b}) == 2


def test_repr_is_the_shape() -> None:
    """A record prints what it is made of, not its numbers."""
    assert repr(Leafy(np.ones((2, 3), np.float32))) == "Leafy(weight: float32[2, 3], bias=None, rate=0.5)"
    nested = Leafy((Leafy(np.float64(1)), [np.ones(1)], {"k": np.ones(2)}))  # type: ignore[arg-type]
    assert repr(nested) == (
        "Leafy(weight=(Leafy(weight: float64[], bias=None, rate=0.5), [float64[1]], {'k': float64[2]}), "
        "bias=None, rate=0.5)"
    )


def test_rebuild_runs_no_converter_and_no_validator() -> None:
    """Inside a transformation a record may hold what its constructor would refuse."""
    record = Checked(np.ones(3))
    with pytest.raises(ShapeError, match=r"^Checked\.weight: expected one axis"):
        Checked(np.ones((2, 2)))
    odd = object()
    assert rebuild(record, (odd,)).weight is odd
    assert rebuild(Leafy(np.ones(1), rate=0.25), (1, 2)).rate == 0.25
    assert assemble(Checked, {"weight": odd}).weight is odd
    with pytest.raises(ValueError, match="argument"):
        rebuild(record, (1, 2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("text", r"^Leafy\.weight: expected an array, a record.*got str 'text'.*pn\.static\(\)"),
        (np.array([object()]), r"^Leafy\.weight: .*dtype object"),
        (len, r"^Leafy\.weight: .*builtin_function"),
        ((np.ones(1), {1}), r"^Leafy\.weight: .*got set"),
    ],
)
def test_what_is_no_leaf_is_refused_by_name(value: Any, message: str) -> None:
    """Something that is no array in a field that is not static names the field and the fix."""
    with pytest.raises(DtypeError, match=message):
        Leafy(value)


def test_numbers_become_scalars() -> None:
    """A Python number in a field of arrays is a NumPy scalar."""
    assert Leafy(2.0).weight.dtype == np.float64  # type: ignore[arg-type]
    assert own(True).dtype == np.bool_


def test_fields_know_their_kind() -> None:
    """Children and static fields are told apart."""
    fields = fields_of(Leafy)
    assert (fields.children, fields.statics) == (("weight", "bias"), ("rate",))
    assert is_struct(Leafy(np.ones(1)))
    assert not is_struct(Leafy)


def test_converters_and_defaults_of_attrs_work() -> None:
    """A field of one's own converts first, then is owned."""

    @pn.struct
    class Converted:
        rows: pn.Array = attrs.field(converter=lambda v: np.asarray(v, dtype=np.float32), factory=lambda: [1, 2])

    assert Converted().rows.dtype == np.float32
    assert not Converted([3]).rows.flags.writeable


def test_errors_are_also_what_numpy_users_catch() -> None:
    """Every error of purenet is also the built-in one for its kind, and pickles."""
    import pickle

    error = ShapeError("expected a, got b", path="x[0]").within("net")
    assert isinstance(error, PurenetError)
    assert isinstance(error, ValueError)
    assert str(error) == "net.x[0]: expected a, got b"
    assert isinstance(DtypeError("x"), TypeError)
    copy = pickle.loads(pickle.dumps(ShapeError("problem")))
    assert str(copy) == "problem"
