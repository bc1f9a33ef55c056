"""Keys and draws: distributions, independence, purity, and bits that never change."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import operator
from pathlib import Path

import numpy as np
import pytest

from purenet import random, tree
from purenet.arithmetic.special import erfc
from purenet.errors import ArgumentError, DtypeError, ShapeError
from purenet.random import Key, fold_in, key, split

K = key(2024)
INF = math.inf

KEYS = {
    "key(0)": lambda: key(0),
    "key(1)": lambda: key(1),
    "key(255)": lambda: key(255),
    "key(256)": lambda: key(256),
    "key(10**50)": lambda: key(10**50),
    "split(key(0))[0]": lambda: split(key(0))[0],
    "split(key(0))[1]": lambda: split(key(0))[1],
    "split(key(0), 300)[299]": lambda: split(key(0), 300)[299],
    "fold_in(key(0), 0)": lambda: fold_in(key(0), 0),
    "fold_in(key(0), 1000)": lambda: fold_in(key(0), 1000),
    "fold_in(key(0), '')": lambda: fold_in(key(0), ""),
    "fold_in(key(0), 'batches')": lambda: fold_in(key(0), "batches"),
    "fold_in(key(0), 'größe')": lambda: fold_in(key(0), "größe"),
}
WEIGHTS = [0.1, 0.0, 0.2, 0.3, 0.4]
DRAWS = {
    "bits": lambda: random.bits(K, 10),
    "normal float64": lambda: random.normal(K, (100, 50)),
    "normal float32": lambda: random.normal(K, (100, 50), np.float32),
    "normal scalar": lambda: random.normal(K),
    "uniform float64": lambda: random.uniform(K, 1000),
    "uniform float32": lambda: random.uniform(K, 1000, dtype=np.float32),
    "uniform -3 to 5": lambda: random.uniform(K, 1000, -3.0, 5.0),
    "uniform 0.1 to 0.3 float32": lambda: random.uniform(K, 1000, 0.1, 0.3, np.float32),
    "truncated_normal -2 to 2": lambda: random.truncated_normal(K, -2.0, 2.0, 1000),
    "truncated_normal -2 to 2 float32": lambda: random.truncated_normal(K, -2.0, 2.0, 1000, np.float32),
    "truncated_normal 3 to inf": lambda: random.truncated_normal(K, 3.0, INF, 1000),
    "bernoulli": lambda: random.bernoulli(K, 0.3, 1000),
    "integers 0 to 10": lambda: random.integers(K, 0, 10, 1000),
    "integers wide": lambda: random.integers(K, -(2**63), 2**62 + 7, 1000),
    "integers uint8": lambda: random.integers(K, 3, 200, 1000, np.uint8),
    "permutation": lambda: random.permutation(K, 1000),
    "permutation of rows": lambda: random.permutation(K, np.arange(12.0).reshape(6, 2)),
    "choice": lambda: random.choice(K, 7, (10, 10)),
    "choice without replacement": lambda: random.choice(K, 100, 50, replace=False),
    "choice weighted": lambda: random.choice(K, 5, 1000, p=WEIGHTS),
    "choice weighted without replacement": lambda: random.choice(K, 5, 4, replace=False, p=WEIGHTS),
}


def fingerprint(x):
    """dtype, shape and SHA-256 of the little-endian bytes of a draw, and its first element in words."""
    array = np.asarray(x)
    little = array.astype(array.dtype.newbyteorder("<"))
    first = array.ravel()[0].item()
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "first": first.hex() if isinstance(first, float) else str(first),
        "sha256": hashlib.sha256(little.tobytes()).hexdigest(),
    }


def golden():
    """What `golden/write_random.py` has written."""
    return json.loads((Path(__file__).parent / "golden" / "random.json").read_text(encoding="utf-8"))


def kolmogorov_smirnov(x, distribution):
    """sqrt(n) times the largest distance between the empirical distribution of `x` and `distribution`."""
    x = np.sort(x)
    n = len(x)
    below = distribution(x)
    return math.sqrt(n) * max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max())


def normal_distribution(x):
    return 0.5 * erfc(-np.asarray(x) / math.sqrt(2))


def chi_square(counts, expected):
    """Pearson's statistic in standard deviations from its mean, roughly normal for many degrees of freedom."""
    counts = np.asarray(counts, float).ravel()
    expected = np.broadcast_to(expected, counts.shape)
    freedom = counts.size - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom)


# --- keys


def test_golden_keys():
    """Keys have the words that they have always had."""
    made = {name: [f"{word:016x}" for word in make().words.tolist()] for name, make in KEYS.items()}
    assert made == golden()["keys"]


def test_keys_are_what_the_document_says():
    """The derivation is the documented one: SHA-256 of tag, parent and canonical bytes, cut to 16 bytes."""

    def words(message):
        digest = hashlib.sha256(message).digest()
        return [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")]

    parent = key(5).words.astype("<u8").tobytes()
    assert key(5).words.tolist() == words(b"purenet.key.seed" + b"\x05")
    assert key(0).words.tolist() == words(b"purenet.key.seed")
    assert key(2**64).words.tolist() == words(b"purenet.key.seed" + bytes(8) + b"\x01")
    assert split(key(5), 3)[2].words.tolist() == words(b"purenet.key.part" + parent + b"\x02")
    assert fold_in(key(5), 258).words.tolist() == words(b"purenet.key.step" + parent + b"\x02\x01")
    assert fold_in(key(5), "né").words.tolist() == words(b"purenet.key.name" + parent + "né".encode())


def test_a_key_is_a_record():
    """A key is a struct of one read-only leaf, prints as its shape, and survives trees."""
    assert repr(key(0)) == "Key(words: uint64[2])"
    assert not key(0).words.flags.writeable
    assert tree.paths({"key": key(0)}) == ['["key"].words']
    copied = tree.map(lambda x: x.copy(), key(3))
    assert random.bits(copied, 5).tolist() == random.bits(key(3), 5).tolist()
    assert random.bits(Key(key(3).words), 5).tolist() == random.bits(key(3), 5).tolist()


def test_seeds():
    """Any integer >= 0 is a seed; NumPy integers are the same seeds."""
    assert key(np.int64(7)).words.tolist() == key(7).words.tolist()
    assert key(np.uint8(7)).words.tolist() == key(7).words.tolist()
    assert fold_in(K, np.int32(7)).words.tolist() == fold_in(K, 7).words.tolist()
    seeds = [0, 1, 2**63, 2**64, 2**64 + 1, 2**128, 10**100]
    assert len({tuple(key(seed).words.tolist()) for seed in seeds}) == len(seeds)


def test_children_do_not_depend_on_how_many():
    """The first keys of a split are the same whatever their number."""
    few, many = split(K, 3), split(K, 10)
    assert [k.words.tolist() for k in few] == [k.words.tolist() for k in many[:3]]
    assert split(K, 0) == ()


def test_no_two_derived_keys_are_equal():
    """100,000 children by split, by step and by name have different words, each word alone too."""
    n = 100_000
    words = [child.words for child in split(K, n)]
    words += [fold_in(K, i).words for i in range(n)]
    words += [fold_in(K, str(i)).words for i in range(1000)]
    words += [key(i).words for i in range(1000)]
    assert np.unique(np.concatenate(words)).size == 2 * len(words)


@pytest.mark.parametrize("derive", [lambda i: split(K, 256)[i], lambda i: fold_in(K, i), lambda i: key(i)])
def test_children_are_independent(derive):
    """Streams of neighbouring keys are uncorrelated: the correlations are those of independent normal numbers."""
    count, length = 64, 2000
    x = np.stack([random.normal(derive(i), length) for i in range(count)])
    correlations = (x @ x.T / length)[np.triu_indices(count, 1)] * math.sqrt(length)
    assert abs(correlations).max() < 5
    assert abs(correlations.std() - 1) < 0.1
    own = (x[:, 1:] * x[:, :-1]).mean(axis=1) * math.sqrt(length)
    assert abs(own).max() < 5
    parent = random.normal(K, length)
    assert abs(x @ parent / math.sqrt(length)).max() < 5


def test_bits_of_children_are_balanced():
    """Every bit of the children's words is set about half of the time."""
    words = np.stack([fold_in(K, i).words for i in range(20_000)])
    share = np.unpackbits(words.view(np.uint8), axis=1).mean(axis=0)
    assert abs(share - 0.5).max() < 5 * 0.5 / math.sqrt(20_000)


def test_a_key_is_no_number():
    """Using a key as a number fails, and says what to do instead where Python lets it."""
    for use in (int, operator.index, range, lambda k: [1, 2, 3][k]):
        with pytest.raises(TypeError, match="Key is not a number"):
            use(K)
    for use in (lambda: np.zeros(K), lambda: K + 1, lambda: 1 + K, lambda: K * 2, lambda: K < K, lambda: -K):
        with pytest.raises(TypeError):
            use()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: key(-1), ArgumentError, r"key\.seed: expected an integer >= 0, got -1"),
        (lambda: key(1.0), DtypeError, r"key\.seed: expected an integer, got float 1.0"),
        (lambda: key(True), DtypeError, "got bool"),
        (lambda: key(np.bool_(True)), DtypeError, "got bool"),
        (lambda: key("0"), DtypeError, "got str"),
        (lambda: key(None), DtypeError, "got NoneType"),
        (lambda: key(K), DtypeError, "got Key"),
        (lambda: split(0), DtypeError, r"split\.key: expected a Key, got int 0; use pn\.key\(0\)"),
        (lambda: split(7), DtypeError, r"use pn\.key\(7\)"),
        (lambda: split(K, -1), ArgumentError, "n >= 0"),
        (lambda: split(K, 2.0), DtypeError, "got float"),
        (lambda: fold_in(3, 1), DtypeError, r"fold_in\.key: expected a Key"),
        (lambda: fold_in(K, -1), ArgumentError, r"fold_in\.data: expected an integer >= 0, got -1"),
        (lambda: fold_in(K, 1.5), DtypeError, r"an integer >= 0 or a str, got float 1.5"),
        (lambda: fold_in(K, True), DtypeError, "got bool"),
        (lambda: fold_in(K, b"a"), DtypeError, "got bytes"),
        (lambda: Key(np.zeros(2)), DtypeError, r"Key\.words.*pn\.key\(seed\)"),
        (lambda: Key(np.zeros(3, np.uint64)), ShapeError, r"Key\.words: expected shape \(2,\), got \(3,\)"),
    ],
)
def test_wrong_keys(call, error, message):
    """What is no seed, key or index is refused by name, with the fix."""
    with pytest.raises(error, match=message):
        call()


# --- draws


def test_golden_draws():
    """Draws have the bits that they have always had."""
    assert {name: fingerprint(draw()) for name, draw in DRAWS.items()} == golden()["draws"]


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_pure(name):
    """The same arguments give the same bits, in any order, whatever else was drawn, and the key keeps its bytes."""
    before = K.words.tobytes()
    first = fingerprint(DRAWS[name]())
    np.random.RandomState(0).normal(size=3)
    random.normal(K, 3)
    assert fingerprint(DRAWS[name]()) == first
    assert K.words.tobytes() == before


def test_bits_are_the_raw_stream_of_philox():
    """`bits` is NumPy's Philox with the key's words and counter 0, and fewer words are the first of more."""
    assert random.bits(K, 9).tolist() == np.random.Philox(key=K.words, counter=0).random_raw(9).tolist()
    assert random.bits(K, 5).tolist() == random.bits(K, 9)[:5].tolist()
    assert random.bits(K, 0).shape == (0,)


def test_uniform_distribution():
    """Mean, variance and Kolmogorov-Smirnov distance of uniform numbers, in both dtypes, and where they lie."""
    n = 100_000
    for dtype in (np.float64, np.float32):
        u = random.uniform(K, n, dtype=dtype).astype(np.float64)
        assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
        assert abs(u.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / n)
        assert kolmogorov_smirnov(u, lambda x: x) < 1.95
        assert u.min() >= 0
        assert u.max() < 1
    x = random.uniform(K, n, -3.0, 5.0)
    assert kolmogorov_smirnov(x, lambda x: (x + 3) / 8) < 1.95


def test_uniform_is_leading_bits():
    """float64 has the leading 53 bits of a word, float32 its leading 24."""
    words = random.bits(K, 100).tolist()
    assert random.uniform(K, 100).tolist() == [(word >> 11) / 2**53 for word in words]
    assert random.uniform(K, 100, dtype=np.float32).tolist() == [(word >> 40) / 2**24 for word in words]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_uniform_stays_below_high(dtype):
    """low <= x < high holds where rounding would reach the bounds or pass them."""
    eps = float(np.finfo(dtype).eps)
    bounds = [(1.0, 1.0 + 3 * eps), (1.0, 1.0 + eps), (0.1, 0.3), (-1e-3, 1e8), (2.0**24, 2.0**24 + 8), (0.7, 0.7001)]
    for low, high in bounds:
        x = random.uniform(K, 20_000, low, high, dtype)
        assert x.dtype == dtype
        assert float(x.min()) >= low
        assert float(x.max()) < high


def test_normal_distribution():
    """Mean, variance, skewness, kurtosis and Kolmogorov-Smirnov distance of normal numbers, in both dtypes."""
    n = 200_000
    for dtype in (np.float64, np.float32):
        z = random.normal(K, n, dtype)
        assert z.dtype == dtype
        z = z.astype(np.float64)
        for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs((z**power).mean() - mean) < 5 * math.sqrt(variance / n)
        assert kolmogorov_smirnov(z, normal_distribution) < 1.95
    assert np.array_equal(random.normal(K, 100, np.float32), random.normal(K, 100).astype(np.float32))


def test_kolmogorov_smirnov_bites():
    """The statistic used above does tell a distribution that is off by one percent."""
    z = random.normal(K, 200_000)
    assert kolmogorov_smirnov(1.02 * z, normal_distribution) > 1.95
    assert kolmogorov_smirnov(z + 0.01, normal_distribution) > 1.95


def test_normal_against_scipy():
    """The same tests by SciPy."""
    stats = pytest.importorskip("scipy.stats")
    z = random.normal(fold_in(K, "scipy"), 100_000)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert stats.kstest(random.truncated_normal(K, -1.0, 2.5, 50_000), stats.truncnorm(-1.0, 2.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(-2, 2), (-1, 3), (0.5, 0.6), (-INF, INF), (-INF, -1), (2, INF), (6, 7), (-30, -29.5), (-9, 0)],
)
def test_truncated_normal_distribution(lower, upper):
    """Inside the bounds, and distributed as a normal variable is between them, far out too."""
    n = 50_000
    x = random.truncated_normal(K, lower, upper, n)
    assert x.min() >= lower
    assert x.max() <= upper
    sign = -1.0 if lower > 0 else 1.0  # the lower tail is where probabilities are exact
    low, high = sorted((sign * lower, sign * upper))
    start, end = normal_distribution([low, high])
    assert kolmogorov_smirnov(sign * x, lambda x: (normal_distribution(x) - start) / (end - start)) < 1.95
    narrow = random.truncated_normal(K, lower, upper, n, np.float32)
    assert narrow.dtype == np.float32
    assert float(narrow.min()) >= lower
    assert float(narrow.max()) <= upper


def test_bernoulli_distribution():
    """True as often as it should be; certain at 0 and 1; arrays of probabilities broadcast."""
    n = 100_000
    for p in (0.001, 0.3, 0.5, 0.9):
        draw = random.bernoulli(fold_in(K, str(p)), p, n)
        assert draw.dtype == bool
        assert abs(draw.mean() - p) < 5 * math.sqrt(p * (1 - p) / n)
    assert not random.bernoulli(K, 0.0, n).any()
    assert random.bernoulli(K, 1.0, n).all()
    assert not random.bernoulli(K, 5e-324, n).any()
    table = random.bernoulli(K, np.array([0.0, 0.25, 1.0]), (n, 3)).mean(axis=0)
    assert table[[0, 2]].tolist() == [0.0, 1.0]
    assert abs(table[1] - 0.25) < 5 * math.sqrt(0.25 * 0.75 / n)
    assert np.array_equal(random.bernoulli(K, 0.3, n), random.uniform(K, n) < 0.3)


def test_integers_distribution():
    """Every integer equally often, for spans that divide 2**64 and that do not."""
    for low, high in ((0, 2), (0, 10), (-3, 4), (1, 101), (0, 256)):
        x = random.integers(fold_in(K, f"{low} {high}"), low, high, 100_000)
        assert x.dtype == np.int64
        counts = np.bincount(x - low, minlength=high - low)
        assert counts.size == high - low
        assert abs(chi_square(counts, 100_000 / (high - low))) < 5


def test_integers_pass_over_biased_words():
    """With a span of 3/4 of all words a quarter is passed over, and the rest are in the order of the stream."""
    span = 3 << 62
    words = random.bits(K, 2000).tolist()
    want = [word - 2**63 for word in words if word < span][:1000]
    assert random.integers(K, -(2**63), -(2**63) + span, 1000).tolist() == want
    assert random.integers(K, -(2**63), -(2**63) + span, 10).tolist() == want[:10]
    assert random.integers(K, -(2**63), 2**63, 5).tolist() == [word - 2**63 for word in words[:5]]
    assert random.integers(K, 0, 2**64, 5, np.uint64).tolist() == words[:5]
    assert random.integers(K, 5, 6, 3).tolist() == [5, 5, 5]


def test_permutation_distribution():
    """All 24 orders of four things come equally often, and every thing everywhere."""
    orders = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
    counts = np.zeros(24)
    for child in split(K, 24_000):
        counts[orders[tuple(random.permutation(child, 4).tolist())]] += 1
    assert abs(chi_square(counts, 1000)) < 5


def test_permutation():
    """Integers below n, or the rows of an array, each once; the array keeps its bytes."""
    assert sorted(random.permutation(K, 1000).tolist()) == list(range(1000))
    assert random.permutation(K, 0).tolist() == []
    rows = np.arange(30.0).reshape(10, 3)
    before = rows.tobytes()
    order = random.permutation(K, 10)
    assert np.array_equal(random.permutation(K, rows), rows[order])
    assert np.array_equal(random.permutation(K, rows.tolist()), rows[order])
    assert random.permutation(K, np.int64(10)).tolist() == order.tolist()
    assert rows.tobytes() == before
    assert order.tolist() == sorted(range(10), key=random.bits(K, 10).tolist().__getitem__)


def test_choice_distribution():
    """Chosen as often as the probabilities say, with and without replacement."""
    n = 100_000
    counts = np.bincount(random.choice(K, 5, n), minlength=5)
    assert abs(chi_square(counts, n / 5)) < 5
    counts = np.bincount(random.choice(K, 5, n, p=WEIGHTS), minlength=5)
    assert counts[1] == 0
    assert abs(chi_square(counts[[0, 2, 3, 4]], n * np.array([0.1, 0.2, 0.3, 0.4]))) < 5
    pairs = np.zeros((3, 3))
    for child in split(K, 12_000):
        pairs[tuple(random.choice(child, 3, 2, replace=False, p=[0.5, 0.3, 0.2]).tolist())] += 1
    p = np.array([0.5, 0.3, 0.2])
    off = ~np.eye(3, dtype=bool)
    want = (p[:, None] * p / (1 - p[:, None]))[off] * 12_000  # the second in proportion among those left
    assert pairs[~off].sum() == 0
    assert abs(chi_square(pairs[off], want)) < 5


def test_choice_without_replacement():
    """Nothing twice, nothing of probability 0, and rows of an array by their index."""
    chosen = random.choice(K, 100, (5, 20), replace=False)
    assert sorted(chosen.ravel().tolist()) == list(range(100))
    chosen = random.choice(K, 5, 4, replace=False, p=WEIGHTS)
    assert sorted(chosen.tolist()) == [0, 2, 3, 4]
    rows = np.arange(10.0).reshape(5, 2)
    assert np.array_equal(random.choice(K, rows, 7), rows[random.choice(K, 5, 7)])
    assert isinstance(random.choice(K, 5), np.int64)
    assert random.choice(K, rows).shape == (2,)
    assert random.choice(K, 5, 0).shape == (0,)


@pytest.mark.parametrize("draw", [random.normal, random.uniform])
def test_shapes_and_dtypes(draw):
    """A shape is an int or a sequence of ints; the draw in another shape has the same numbers."""
    flat = draw(K, 24)
    assert flat.shape == (24,)
    assert np.array_equal(draw(K, (2, 3, 4)), flat.reshape(2, 3, 4))
    assert np.array_equal(draw(K, [4, 6]), flat.reshape(4, 6))
    assert draw(K, np.int64(24)).tolist() == flat.tolist()
    assert np.array_equal(draw(K, 5), flat[:5])
    assert isinstance(draw(K), np.float64)
    assert isinstance(draw(K, dtype=np.float32), np.float32)
    assert isinstance(draw(K, dtype="float32"), np.float32)
    assert draw(K, (0, 3)).shape == (0, 3)
    assert draw(K, 3).flags.writeable


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.normal(0, 3), DtypeError, r"normal\.key: expected a Key, got int 0; use pn\.key\(0\)"),
        (lambda: random.normal(np.random.default_rng(0), 3), DtypeError, r"got Generator.*use pn\.key\(0\)"),
        (lambda: random.normal(None), DtypeError, "got NoneType"),
        (lambda: random.uniform(3), DtypeError, r"uniform\.key"),
        (lambda: random.truncated_normal(3, 0, 1), DtypeError, r"truncated_normal\.key"),
        (lambda: random.bernoulli(3, 0.5), DtypeError, r"bernoulli\.key"),
        (lambda: random.integers(3, 0, 2), DtypeError, r"integers\.key"),
        (lambda: random.permutation(3, 4), DtypeError, r"permutation\.key"),
        (lambda: random.choice(3, 4), DtypeError, r"choice\.key"),
        (lambda: random.bits(3, 4), DtypeError, r"bits\.key"),
        (lambda: random.normal(K, -1), ArgumentError, r"normal\.shape: expected sizes >= 0"),
        (lambda: random.normal(K, 2.0), DtypeError, r"normal\.shape: expected an integer, got float 2.0"),
        (lambda: random.normal(K, (2, "a")), DtypeError, "got str"),
        (lambda: random.normal(K, 2, np.float16), DtypeError, "expected float64 or float32, got float16"),
        (lambda: random.normal(K, 2, int), DtypeError, "got int64"),
        (lambda: random.uniform(K, 2, 1.0, 1.0), ArgumentError, "expected low < high"),
        (lambda: random.uniform(K, 2, 0.0, INF), ArgumentError, "both finite"),
        (lambda: random.uniform(K, 2, math.nan, 1.0), ArgumentError, "low=nan"),
        (lambda: random.uniform(K, 2, -1e308, 1e308), ArgumentError, "both finite"),
        (lambda: random.uniform(K, 2, "a", 1.0), DtypeError, "two numbers as bounds"),
        (lambda: random.uniform(K, 2, 1.0, 1.00000001, np.float32), ArgumentError, "low < high"),
        (lambda: random.truncated_normal(K, 2.0, -2.0), ArgumentError, "lower < upper"),
        (lambda: random.truncated_normal(K, 40.0, 41.0), ArgumentError, "no probability"),
        (lambda: random.bernoulli(K, 1.5, 3), ArgumentError, "between 0 and 1"),
        (lambda: random.bernoulli(K, math.nan, 3), ArgumentError, "between 0 and 1"),
        (lambda: random.bernoulli(K, np.full(4, 0.5), 3), ShapeError, r"\(4,\) does not broadcast to shape \(3,\)"),
        (lambda: random.bernoulli(K, np.full(3, 0.5)), ShapeError, "does not broadcast"),
        (lambda: random.integers(K, 3, 3), ArgumentError, "low=3 and high=3"),
        (lambda: random.integers(K, 0, 2**63 + 1), ArgumentError, "for int64"),
        (lambda: random.integers(K, 0, 300, 3, np.uint8), ArgumentError, "for uint8"),
        (lambda: random.integers(K, 0.0, 3), DtypeError, r"integers\.low"),
        (lambda: random.integers(K, 0, 3, 2, np.float64), DtypeError, "an integer dtype"),
        (lambda: random.permutation(K, -1), ArgumentError, "n >= 0"),
        (lambda: random.permutation(K, 2.5), DtypeError, "an integer or an array"),
        (lambda: random.permutation(K, K), DtypeError, "an integer or an array"),
        (lambda: random.choice(K, 3, 4, replace=False), ArgumentError, "cannot choose 4 out of 3"),
        (lambda: random.choice(K, 0, 1), ArgumentError, "cannot choose 1 out of 0"),
        (lambda: random.choice(K, 3, 3, replace=False, p=[0.5, 0.5, 0.0]), ArgumentError, "2 of non-zero probability"),
        (lambda: random.choice(K, 3, 1, p=[0.5, 0.5]), ShapeError, "one probability for each of 3"),
        (lambda: random.choice(K, 2, 1, p=[1.0, 1.0]), ArgumentError, "sum to 1, got 2.0"),
        (lambda: random.choice(K, 2, 1, p=[1.5, -0.5]), ArgumentError, "probabilities >= 0"),
        (lambda: random.choice(K, 2, 1, p=[math.nan, 1.0]), ArgumentError, "probabilities >= 0"),
    ],
)
def test_wrong_arguments(call, error, message):
    """What a draw cannot be made from is refused by name, with what was expected and what came."""
    with pytest.raises(error, match=message):
        call()
