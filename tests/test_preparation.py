"""Standardising, splitting, one-hot labels, and tables as datasets."""

import math

import numpy as np
import pytest

from purenet.data import Dataset, Table, one_hot, read_npy, standardize, to_dataset, train_test_split
from purenet.errors import ArgumentError, DataError, DtypeError, PurenetError, ShapeError
from purenet.random import key


def bits(arrays):
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def numbered(rows, weights=False):
    """A dataset whose rows can be told apart."""
    weights_ = np.linspace(0, 1, rows) if weights else None
    return Dataset(np.arange(rows * 3.0).reshape(rows, 3), np.arange(rows), weights_)


COLUMNS = {
    "ordinary": np.random.RandomState(0).normal(3, 2, (1000, 4)),
    "float32": np.random.RandomState(1).normal(3, 2, (1000, 4)).astype(np.float32),
    "integers": np.random.RandomState(2).randint(0, 17, (1000, 4)),
    "images": np.random.RandomState(3).normal(3, 2, (300, 4, 5)),
    "one column": np.random.RandomState(4).normal(3, 2, 700),
    "far from 0": 1e8 + np.random.RandomState(5).normal(0, 1, (1000, 2)),
    "large": np.random.RandomState(6).uniform(-1, 1, (1000, 2)) * 1.7e308,
    "small": np.random.RandomState(7).normal(0, 1, (1000, 2)) * 1e-300,
    "mixed sizes": np.random.RandomState(8).normal(0, 1, (1000, 3)) * [1e-200, 1, 1e200],
}
every_column = pytest.mark.parametrize("x", COLUMNS.values(), ids=COLUMNS.keys())


def tolerance(dtype):
    return 1e-4 if dtype == np.float32 else 1e-7


@every_column
def test_standardized_columns(x):
    """Standardised columns have mean 0 and standard deviation 1, in the dtype of float data."""
    z = standardize(x).apply(x)
    assert z.dtype == (x.dtype if x.dtype.kind == "f" else np.float64)
    assert np.allclose(np.mean(z, 0, np.float64), 0, atol=tolerance(x.dtype))
    assert np.allclose(np.std(z, 0, np.float64), 1, atol=tolerance(x.dtype))
    assert not z.flags.writeable


@every_column
def test_invert_undoes_apply(x):
    """`invert(apply(x))` is x to rounding, and calling is applying."""
    prepare = standardize(x)
    back = prepare.invert(prepare(x))
    assert np.all(np.abs(back - x) <= tolerance(x.dtype) * np.max(np.abs(x), 0))


def test_standardize_against_exact_sums():
    """Mean and scale are those of exactly rounded sums (`math.fsum`), to 1e-15."""
    x = COLUMNS["ordinary"]
    prepare = standardize(x)
    for column, mean, scale in zip(x.T, prepare.mean, prepare.scale, strict=True):
        exact = math.fsum(column) / len(column)
        assert mean == pytest.approx(exact, rel=1e-15)
        assert scale == pytest.approx(math.sqrt(math.fsum((column - exact) ** 2) / len(column)), rel=1e-15)


# From the documented order of sums, followed in Python floats.
GOLDEN_MEAN = ["0x1.ff84979efa921p-2", "0x1.ffe43366a43bdp-2", "0x1.ff3daa511ecb0p-2"]
GOLDEN_SCALE = ["0x1.27bb448909f72p-2", "0x1.278d9536a1033p-2", "0x1.277f39f64e0c6p-2"]


def test_standardize_has_the_same_bits_everywhere(tmp_path):
    """The fitted bits depend on a column's numbers alone: golden values, memory layout, mapping, other columns."""
    x = ((np.arange(3000) * 7919 % 1009) / 1009).reshape(1000, 3)
    prepare = standardize(x)
    assert [float(v).hex() for v in prepare.mean] == GOLDEN_MEAN
    assert [float(v).hex() for v in prepare.scale] == GOLDEN_SCALE
    np.save(tmp_path / "x.npy", x)
    for other in (np.asfortranarray(x), read_npy(tmp_path / "x.npy"), x.astype(">f8")):
        again = standardize(other)
        assert bits([again.mean, again.scale]) == bits([prepare.mean, prepare.scale])
    alone = standardize(x[:, 1])
    assert (alone.mean[()], alone.scale[()]) == (prepare.mean[1], prepare.scale[1])


@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e-310, 1e300, 7])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_constant_columns(value, rows):
    """A constant column becomes exactly 0, with scale 1."""
    x = np.full((rows, 2), value)
    prepare = standardize(x)
    assert prepare.scale.tolist() == [1, 1]
    assert prepare.apply(x).tolist() == [[0, 0]] * rows


def test_standardize_errors():
    """Data that cannot be standardised is refused with its place."""
    with pytest.raises(DataError, match=r"standardize.x: NaN at row 1, column 0"):
        standardize([[1.0], [np.nan]])
    with pytest.raises(DataError, match=r"at least one row.*\(0, 3\)"):
        standardize(np.ones((0, 3)))
    with pytest.raises(ShapeError, match=r"Standardize.apply: .*\(4,\).*\(2, 3\)"):
        standardize(COLUMNS["ordinary"]).apply(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("rows", "fraction", "tests"),
    [(10, 0.2, 2), (1797, 0.2, 359), (2, 0.01, 1), (2, 0.99, 1), (5, 0.001, 1), (3, 0.9, 2)],
)
def test_split_divides_the_rows(rows, fraction, tests):
    """Every row is in one part and one only; each part has at least one row; rows keep their order."""
    train, test = train_test_split(numbered(rows, weights=True), key(3), fraction)
    assert len(test) == tests
    assert sorted([*train.y.tolist(), *test.y.tolist()]) == list(range(rows))
    assert all(part.y.tolist() == sorted(part.y.tolist()) for part in (train, test))
    again = train_test_split(numbered(rows, weights=True), key(3), fraction)[1]
    assert bits([again.x, again.y, again.weights]) == bits([test.x, test.y, test.weights])


def test_split_errors():
    """A split that leaves a part empty is refused."""
    with pytest.raises(DataError, match="at least 2 rows, got 1"):
        train_test_split(numbered(1), key(0))
    for fraction in (0, 1, -0.5, math.nan):
        with pytest.raises(ArgumentError, match=r"test_fraction: expected 0 < test_fraction < 1"):
            train_test_split(numbered(4), key(0), fraction)


def test_one_hot():
    """A row is 1 at its label and 0 elsewhere, for labels of any shape and the dtype asked for."""
    labels = np.random.RandomState(0).randint(0, 6, (4, 5)).astype(np.uint8)
    rows = one_hot(labels, 6, np.float32)
    assert rows.dtype == np.float32
    assert rows.shape == (4, 5, 6)
    assert np.array_equal(rows, np.eye(6, dtype=np.float32)[labels])
    assert not rows.flags.writeable


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 3], DataError, r"label 3 at row 2 .* outside the 3 classes 0 to 2"),
        ([0, -1, 3], DataError, r"label -1 at row 1"),
        ([0.0, 1.0], DtypeError, r"integer labels, got dtype float64"),
        (["a"], DtypeError, r"integer labels"),
    ],
)
def test_one_hot_errors(labels, error, message):
    """A label that is no class is named with its row."""
    with pytest.raises(error, match=message):
        one_hot(labels, 3)


# Tables


def pets():
    """A table whose last column is text: cat, dog, cat."""
    values = np.array([[4.0, 30.0, 0.0], [9.0, 60.0, 1.0], [5.0, 32.0, 0.0]])
    return Table(("weight", "height", "kind"), values, (None, None, ("cat", "dog")), np.array([2, 3, 5]), "pets.csv")


def test_to_dataset_for_regression():
    """The target is a column of y, every other column of x, in the order of the table."""
    made = to_dataset(Table(("a", "b", "c"), np.arange(6.0).reshape(2, 3)), "b", "regression", dtype=np.float32)
    assert (made.inputs, made.target, made.classes) == (("a", "c"), "b", None)
    assert made.dataset.x.tolist() == [[0, 2], [3, 5]]
    assert made.dataset.y.tolist() == [[1], [4]]
    assert made.dataset.x.dtype == made.dataset.y.dtype == np.float32


def test_to_dataset_for_classification():
    """Classes are sorted, text or integers; y counts in them."""
    made = to_dataset(pets(), "kind", "classification")
    assert made.classes == ("cat", "dog")
    assert made.dataset.y.tolist() == [0, 1, 0]
    numbers = Table(("a", "digit"), np.array([[0.0, 7.0], [0.0, -1.0], [0.0, 7.0], [0.0, 10.0]]))
    made = to_dataset(numbers, "digit", "classification")
    assert made.classes == (-1, 7, 10)
    assert made.dataset.y.tolist() == [1, 0, 1, 2]
    assert made.dataset.y.dtype == np.int64


def test_to_dataset_with_known_classes():
    """Data to test on is numbered by the classes of the data that was trained on."""
    made = to_dataset(pets(), "kind", "classification", classes=("bird", "cat", "dog"))
    assert made.classes == ("bird", "cat", "dog")
    assert made.dataset.y.tolist() == [1, 2, 1]


def test_select_takes_columns_by_name():
    """Inputs come in the order asked for, whatever their order in the table."""
    assert pets().select(("height", "weight")).tolist() == [[30, 4], [60, 9], [32, 5]]


def one_column(*values):
    return Table(("a", "y"), np.array([[0.0, value] for value in values]), lines=np.arange(2, 2 + len(values)))


BAD_TABLES = {
    "unknown target": (lambda: to_dataset(pets(), "hight", "regression"), r"pets.csv: no column 'hight'; .*'height'\?"),
    "lists columns": (lambda: to_dataset(pets(), "zzz", "regression"), r"The columns are: weight, height, kind"),
    "case": (lambda: to_dataset(pets(), "KIND", "classification"), r"did you mean 'kind'\?"),
    "text as number": (lambda: to_dataset(pets(), "kind", "regression"), r"'kind' holds text \(line 2: 'cat'\)"),
    "text as input": (lambda: to_dataset(pets(), "height", "regression"), r"'kind' holds text \(line 2: 'cat'\)"),
    "fraction as class": (lambda: to_dataset(one_column(0, 1.5), "y", "classification"), r"'y' has line 3: 1.5; clas"),
    "huge class": (lambda: to_dataset(one_column(0, 2.0**53), "y", "classification"), r"'y' has line 3: .*2\*\*53"),
    "one class": (lambda: to_dataset(one_column(1, 1), "y", "classification"), r"one value 1; .*two classes"),
    "outside the classes": (
        lambda: to_dataset(pets(), "kind", "classification", classes=("bird", "cat")),
        r"'kind' has line 3: 'dog', which is outside the classes 'bird', 'cat'",
    ),
    "only the target": (
        lambda: to_dataset(Table(("y",), np.ones((2, 1))), "y", "regression"),
        r"nothing to predict 'y' from",
    ),
    "wrong task": (lambda: to_dataset(pets(), "kind", "clustering"), r"'classification', got 'clustering'"),
    "wrong shape": (lambda: Table(("a", "b"), np.ones((3, 3))), r"Table.values: expected shape \(rows, 2\)"),
    "same names": (lambda: Table(("a", "a"), np.ones((3, 2))), r"same name"),
}


@pytest.mark.parametrize(("make", "message"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_bad_tables(make, message):
    """A table that does not fit what is asked of it is refused, naming line and column."""
    with pytest.raises(PurenetError, match=message):
        make()
