"""Datasets and batches: laws, and the errors that bad data raises."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
from toolz import take

from purenet import data, tree
from purenet.data import Batches, Dataset
from purenet.errors import ArgumentError, DataError, DtypeError, PurenetError
from purenet.random import fold_in, key, permutation

GIGABYTE = 1 << 30


def bits(arrays):
    """What two batches must have in common to be the same to the last bit."""
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def numbered(rows, weights=False, dtype=np.float64):
    """A dataset whose rows can be told apart."""
    x = np.arange(rows * 3, dtype=dtype).reshape(rows, 3)
    return Dataset(x, np.arange(rows), np.linspace(0, 1, rows) if weights else None)


def mapped(path, array):
    np.save(path, array)
    return data.read_npy(path)


BATCHES = {
    "size divides the rows": Batches(numbered(12), 4, key(1)),
    "a smaller last batch": Batches(numbered(13), 4, key(2)),
    "last batch dropped": Batches(numbered(13), 4, key(3), drop_last=True),
    "in order": Batches(numbered(13), 4, shuffle=False),
    "in order, last batch dropped": Batches(numbered(13), 4, shuffle=False, drop_last=True),
    "weights": Batches(numbered(10, weights=True), 3, key(4)),
    "single rows": Batches(numbered(5, dtype=np.float32), 1, key(5)),
    "all rows, shuffled": Batches(numbered(5), 5, key(6)),
    "one row": Batches(numbered(1), 1, key(7)),
    "full batch": Batches(numbered(7), None, key(8)),
    "full batch, weights, no key": Batches(numbered(7, weights=True), None),
}
every_kind = pytest.mark.parametrize("batches", BATCHES.values(), ids=BATCHES.keys())


# Batches


@every_kind
def test_an_epoch_visits_every_row_once(batches):
    """Without a dropped batch every row comes once; with one, no row comes twice."""
    rows = len(batches.dataset)
    for epoch in range(4):
        start = epoch * batches.per_epoch
        seen = [int(label) for t in range(start, start + batches.per_epoch) for label in batches.at(t)[1]]
        assert len(set(seen)) == len(seen)
        assert len(seen) == (rows - rows % batches.size if batches.drop_last else rows)


@every_kind
def test_rows_stay_together(batches):
    """Row i of x comes with row i of y and of the weights, bit for bit."""
    for batch in islice(batches, 9):
        whole = batches.dataset.take(batch[1])
        expected = [whole.x, whole.y] + ([] if whole.weights is None else [whole.weights])
        assert bits(batch) == bits(expected)


@every_kind
def test_at_equals_the_iterator(batches):
    """`at(t)` is the t-th of the iteration, and an iteration from step t goes on as an uninterrupted one."""
    uninterrupted = [bits(batch) for batch in take(23, batches)]
    assert [bits(batches.at(t)) for t in range(23)] == uninterrupted
    for t in range(23):
        assert [bits(batch) for batch in take(23 - t, batches.from_step(t))] == uninterrupted[t:]


@every_kind
def test_threads_see_the_same_bits(batches):
    """`at` from several threads at once, in any order, gives what it gives alone."""
    steps = np.random.RandomState(0).randint(0, 60, 200)
    alone = [bits(batches.at(t)) for t in steps]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda t: bits(batches.at(t)), steps)) == alone


@every_kind
def test_batches_are_read_only(batches):
    """Nobody can change the data through a batch, and dtypes are kept."""
    for t in range(batches.per_epoch):
        batch = batches.at(t)
        assert not any(array.flags.writeable for array in batch)
        assert batch[0].dtype == batches.dataset.x.dtype
        assert batch[1].dtype == batches.dataset.y.dtype


def test_iterators_are_independent():
    """Two iterations over one record do not disturb each other."""
    batches = BATCHES["a smaller last batch"]
    first, second = iter(batches), iter(batches)
    next(first)
    assert bits(next(first)) == bits(batches.at(1))
    assert bits(next(second)) == bits(batches.at(0))


def test_the_order_is_the_documented_one():
    """Epoch e has the order `permutation(fold_in(fold_in(key, "batches"), e), rows)`."""
    batches = Batches(numbered(13), 4, key(11))
    for t in range(12):
        epoch, piece = divmod(t, 4)
        order = permutation(fold_in(fold_in(key(11), "batches"), epoch), 13)
        assert batches.at(t)[1].tolist() == order[4 * piece : 4 * piece + 4].tolist()


def test_orders_differ():
    """Epochs have different orders, and so have keys; without shuffling there is the one order of the rows."""
    labels = numbered(100)
    orders = {tuple(Batches(labels, 100, key(seed)).at(epoch)[1].tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert Batches(labels, 100, shuffle=False).at(7)[1].tolist() == list(range(100))


def test_any_step_can_be_asked_for():
    """A step far beyond 2**64 is a step like any other."""
    batches = BATCHES["a smaller last batch"]
    t = 4 * 10**30
    assert sorted(int(label) for i in range(4) for label in batches.at(t + i)[1]) == list(range(13))


def test_full_batch_hands_out_the_dataset_itself():
    """With size None every step has the very arrays of the dataset, whatever the key."""
    batches = Batches(numbered(7), None, key(0))
    assert all(batch[0] is batches.dataset.x and batch[1] is batches.dataset.y for batch in take(3, batches))
    assert batches.at(5)[0] is batches.dataset.x


def test_batches_in_order_are_views():
    """Without shuffling no row is copied."""
    batches = BATCHES["in order"]
    assert all(np.shares_memory(batches.at(t)[0], batches.dataset.x) for t in range(8))


def test_batches_are_a_tree():
    """A `Batches` record is a value: its leaves rebuild a record that gives the same batches."""
    batches = BATCHES["weights"]
    leaves, unflatten = tree.flatten(batches)
    assert bits(unflatten(leaves).at(17)) == bits(batches.at(17))
    assert tree.same_structure(unflatten(leaves), batches)


def test_a_numpy_integer_is_a_size():
    """A NumPy integer as size is kept as a plain int, so that the record's structure does not depend on it."""
    assert type(Batches(numbered(4), np.int64(2), key(0)).size) is int


BAD_BATCHES = {
    "no dataset": (lambda: Batches((np.ones(3), np.ones(3)), 1, key(0)), DtypeError, r"Batches.dataset: .*Dataset\(x"),
    "size 0": (lambda: Batches(numbered(4), 0, key(0)), ArgumentError, r"Batches.size: .*at least 1, got 0"),
    "size too large": (lambda: Batches(numbered(4), 5, key(0)), ArgumentError, r"4 rows.*cannot have 5; use None"),
    "float size": (lambda: Batches(numbered(4), 2.0, key(0)), DtypeError, r"Batches.size: expected an int.*2\.0"),
    "bool size": (lambda: Batches(numbered(4), True, key(0)), DtypeError, r"Batches.size"),
    "no key": (lambda: Batches(numbered(4), 2), ArgumentError, r"Batches.key: .*purenet.key\(0\).*shuffle=False"),
    "int as key": (lambda: Batches(numbered(4), 2, 0), DtypeError, r"Batches.key: expected a Key, got .*pn.key\(0\)"),
    "negative step": (lambda: BATCHES["weights"].at(-1), ArgumentError, r"t: expected at least 0, got -1"),
    "negative start": (lambda: BATCHES["weights"].from_step(-1), ArgumentError, r"t: expected at least 0, got -1"),
    "fractional step": (lambda: BATCHES["weights"].at(1.5), TypeError, r"expected an int"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD_BATCHES.values(), ids=BAD_BATCHES.keys())
def test_bad_batches(make, error, message):
    """A wrong argument of `Batches` is named, with the fix."""
    with pytest.raises(error, match=message):
        make()


# Datasets


def test_a_dataset_owns_its_arrays():
    """The caller's array may change afterwards: the dataset has its own, and leaves the caller's writable."""
    x = np.ones((4, 2))
    dataset = Dataset(x, [0, 1, 2, 3])
    x[:] = 7
    assert dataset.x.tolist() == [[1, 1]] * 4
    assert not dataset.x.flags.writeable
    assert dataset.y.tolist() == [0, 1, 2, 3]


def test_read_only_arrays_are_shared():
    """An array that nobody can write to is not copied."""
    x = np.ones((4, 2))
    x.flags.writeable = False
    assert np.shares_memory(Dataset(x, np.zeros(4)).x, x)


@pytest.mark.parametrize("name", ["a smaller last batch", "in order", "weights", "full batch"])
def test_memory_mapped_equals_in_memory(name, tmp_path):
    """Batches of memory-mapped arrays have the bits of batches of the same arrays in memory, without a copy of them."""
    batches = BATCHES[name]
    held = batches.dataset
    x, y = mapped(tmp_path / "x.npy", held.x), mapped(tmp_path / "y.npy", held.y)
    dataset = Dataset(x, y, held.weights)
    assert np.shares_memory(dataset.x, x)
    other = Batches(dataset, batches.size, batches.key, shuffle=batches.shuffle)
    assert [bits(batch) for batch in take(20, other)] == [bits(batch) for batch in take(20, batches)]


def test_a_mapped_batch_takes_the_memory_of_a_batch(tmp_path):
    """Batches of a 1 GB memory map allocate a few batches' worth, and the check for NaN less than 4 MB."""
    rows, columns = 1024, GIGABYTE // 8 // 1024
    with (tmp_path / "x.npy").open("wb") as file:  # all zeros; most file systems store no byte of them
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (rows, columns)})
        file.truncate(file.tell() + GIGABYTE)
    tracemalloc.start()
    try:
        dataset = Dataset.without_finite_check(data.read_npy(tmp_path / "x.npy"), np.zeros(rows))
        for batch in take(3, Batches(dataset, 2, key(0))):
            assert batch[0].shape == (2, columns)
        shuffled = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert Dataset(dataset.x[:32], np.zeros(32)).x.shape == (32, columns)
        checked = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shuffled < 5 * 2 * columns * 8
    assert checked < 4 << 20


def test_unaligned_and_foreign_arrays(tmp_path):
    """Big-endian and unaligned data give the same batches as ordinary data."""
    expected = [bits(batch) for batch in take(5, BATCHES["a smaller last batch"])]
    x, y = numbered(13).x, numbered(13).y
    (tmp_path / "raw").write_bytes(b"#" + x.tobytes())
    unaligned = np.memmap(tmp_path / "raw", np.float64, "r", 1, (13, 3))
    for given in (x.astype(">f8"), np.asfortranarray(x), unaligned):
        batches = Batches(Dataset(given, y), 4, key(2))
        assert [bits(batch) for batch in take(5, batches)] == expected


@pytest.mark.parametrize("rows", [slice(2, 5), slice(None, None, 2), [3, 1, 1], np.array([0, 6]), np.arange(7) > 3])
def test_take(rows):
    """`take` has the rows that NumPy indexing has, read-only, in x, y and weights alike."""
    dataset = numbered(7, weights=True)
    part = dataset.take(rows)
    assert bits([part.x, part.y, part.weights]) == bits([dataset.x[rows], dataset.y[rows], dataset.weights[rows]])
    assert not any(array.flags.writeable for array in (part.x, part.y, part.weights))


def with_value(value, place, shape=(30, 5)):
    x = np.zeros(shape)
    x[place] = value
    return x


LATE = (40_000, 2)
BAD_DATA = {
    "NaN": (lambda: Dataset(with_value(np.nan, (17, 3)), np.ones(30)), DataError, r"Dataset.x: NaN at row 17, col.* 3"),
    "first of two": (lambda: Dataset(with_value(np.nan, slice(4, 9)), np.ones(30)), DataError, r"row 4, column 0"),
    "infinity": (lambda: Dataset(np.ones(30), with_value(np.inf, (2, 0))), DataError, r"Dataset.y: infinity at row 2"),
    "-infinity": (lambda: Dataset([1.0, -np.inf], [0, 1]), DataError, r"Dataset.x: infinity at row 1 \(counted from 0"),
    "late NaN": (
        lambda: Dataset(with_value(np.nan, LATE, (50_000, 5)), np.ones(50_000)),
        DataError,
        r"NaN at row 40000, column 2",
    ),
    "NaN in images": (
        lambda: Dataset(with_value(np.nan, (1, 2, 0), (3, 4, 4)), np.ones(3)),
        DataError,
        r"row 1, column 2, 0",
    ),
    "NaN in float32": (lambda: Dataset(np.float32([[0, np.nan]]), [0]), DataError, r"row 0, column 1"),
    "lengths": (lambda: Dataset(np.ones((3, 2)), np.ones(4)), DataError, r"same number of rows, but x has 3, y has 4"),
    "weight count": (lambda: Dataset(np.ones(3), np.ones(3), np.ones(2)), DataError, r"weights has 2"),
    "weight shape": (lambda: Dataset(np.ones(3), np.ones(3), np.ones((3, 1))), DataError, r"weights: .*shape \(3,\)"),
    "weight sign": (lambda: Dataset(np.ones(3), np.ones(3), [1, -2, 1]), DataError, r"weights: .* got -2 at row 1"),
    "no rows": (lambda: Dataset(np.ones((0, 3)), np.ones(0)), DataError, r"Dataset.x: the data is empty"),
    "no columns": (lambda: Dataset(np.ones((3, 0)), np.ones(3)), DataError, r"Dataset.x: the data is empty"),
    "scalar": (lambda: Dataset(1.0, 2.0), DataError, r"Dataset.x: .*single value"),
    "ragged": (lambda: Dataset([[1, 2], [3]], [0, 1]), DataError, r"Dataset.x: .*different lengths"),
    "objects": (lambda: Dataset(np.array([1, None]), [0, 1]), DtypeError, r"Dataset.x: .*object.*astype"),
    "text": (lambda: Dataset(np.ones(2), ["cat", "dog"]), DtypeError, r"Dataset.y: .*encode text"),
    "unchecked lengths": (lambda: Dataset.without_finite_check(np.ones(3), np.ones(4)), DataError, r"x has 3, y has 4"),
    "no row taken": (lambda: numbered(3).take([]), DataError, r"Dataset.take: no row"),
    "short mask": (lambda: numbered(3).take([True, False]), ArgumentError, r"take: expected .*3 booleans, got bool"),
    "row by fraction": (lambda: numbered(3).take([0.5]), ArgumentError, r"take: .* got float64 of shape \(1,\)"),
    "one row number": (lambda: numbered(3).take(1), ArgumentError, r"take: expected a slice, row numbers"),
    "masked": (lambda: Dataset(np.ma.masked_equal([1.0, 9.0], 9), [0, 1]), DataError, r"Dataset.x: .*masked.*filled"),
    "a dataset to scale": (lambda: data.standardize(numbered(3)), DtypeError, r"numbers, got Dataset Dataset\(x: "),
    "unchecked text": (lambda: Dataset.without_finite_check(["a"], [1]), DtypeError, r"Dataset.x"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data(make, error, message):
    """Bad data is refused, and the error names the array, the place and the fix."""
    with pytest.raises(error, match=message) as caught:
        make()
    assert isinstance(caught.value, PurenetError)
