"""Laws of the bytes of a history: what was written is read, whatever else stands there is refused with its place."""

import errno
import hashlib
import io
import json
import os
import shutil
import struct as binary
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from history_reader import History as IndependentReader

import purenet as pn
from purenet.errors import ArgumentError, DtypeError, StorageError, WriteError
from purenet.history.format import Index, Layout, document, index_document, journal_header
from purenet.history.integrity import Problem, problems
from purenet.history.reader import HistoryReader
from purenet.history.writer import HistoryWriter

METRICS = ("accuracy", "norm of the gradient")
RUN = {"rate": 0.5, "net": pn.Dense(np.arange(6.0).reshape(2, 3))}


def loss_of(step):
    return 1.0 / (step + 1)


def check_of(step):
    return hashlib.sha256(b"%d" % step).digest()[:16]


def metrics_of(step):
    return (step / 100, -0.0)


def state_of(step):
    return {"step": step, "weight": np.full((2, 3), step, np.float32), "moment": np.arange(4.0) * step}


def write_steps(writer, stop, every=3, names=METRICS):
    for step in range(writer.stop, stop):
        writer.append(step, loss_of(step), check_of(step), metrics_of(step)[: len(names)])
        if (step + 1) % every == 0:
            writer.snapshot(step + 1, state_of(step + 1))


def make(path, stop=8, start=0, names=METRICS, seed=0):
    about = {"seed": seed, "parent": None, "notes": ["é", 1.5, {"a": [True, -(2**62)]}]}
    state = {"state": state_of(start)} if start == 0 else {}
    with HistoryWriter.create(path, about, metrics=names, start=start, trees={"run": RUN}, **state) as writer:
        write_steps(writer, stop, names=names)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small history, for tests that do not change it."""
    return make(tmp_path_factory.mktemp("histories") / "small")


@pytest.fixture
def copy(small, tmp_path):
    """A copy of it, for tests that do."""
    return Path(shutil.copytree(small, tmp_path / "copy"))


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read_all(folder):
    """Everything that a history holds, read with every check there is."""
    reader = HistoryReader.open(folder)
    for step in reader.snapshots:
        reader.load_snapshot(step)
    for name in reader.manifest["files"]:
        reader.load(name)
    return reader.losses.sum() + sum(metric.sum() for metric in reader.metrics.values())


def found_in(folder):
    """What is reported of a damaged history, which may also refuse to be opened, but nothing else."""
    found = list(problems(folder))
    refusal = None
    try:
        read_all(folder)
    except StorageError as error:
        refusal = error
    assert refusal is None or (found and str(folder) in refusal.path), f"opening says {refusal}, all bytes {found}"
    return found


# --- what is written is read


@pytest.mark.parametrize(("start", "names"), [(0, METRICS), (0, ()), (5, METRICS[:1])])
def test_what_was_written_is_read(tmp_path, start, names):
    """Records, metrics, checks, states, trees and the manifest come back as they were."""
    folder = make(tmp_path / "history", 20, start, names)
    reader = HistoryReader.open(folder)
    steps = range(start, 20)
    assert (reader.start, reader.stop, reader.torn) == (start, 20, 0)
    assert reader.losses.tolist() == [loss_of(step) for step in steps]
    assert [row.tobytes() for row in reader.checks] == [check_of(step) for step in steps]
    assert list(reader.metrics) == list(names)
    for i, name in enumerate(names):
        assert pn.same_bits(reader.metrics[name], np.array([metrics_of(step)[i] for step in steps]))
    assert list(reader.snapshots) == [0] * (start == 0) + [step for step in range(start + 1, 21) if step % 3 == 0]
    assert all(pn.same_bits(reader.load_snapshot(step), state_of(step)) for step in reader.snapshots)
    assert pn.same_bits(reader.load("run"), RUN)
    assert reader.manifest["notes"] == ["é", 1.5, {"a": [True, -(2**62)]}]
    assert reader.chain[-1].tobytes().hex() == reader.head
    assert list(problems(folder)) == []


def test_the_bytes_are_those_of_the_specification(small):
    """The journal, built by hand from docs/history-format.md; at most 64 bytes a step besides the metrics."""
    digest = json.loads((small / "manifest.json").read_text("utf-8"))["digest"]
    data = b"purenet journal\n" + binary.pack("<IIQ", 1, 2, 0) + bytes.fromhex(digest)
    data += hashlib.sha256(data).digest()[:16]
    for step in range(8):
        body = binary.pack("<Qd16s2d", step, loss_of(step), check_of(step), *metrics_of(step))
        data += body + hashlib.sha256(data[-16:] + body).digest()[:16]
    assert (small / "journal").read_bytes() == data
    assert len(data) == 80 + 8 * (48 + 8 * len(METRICS))
    for name in ("manifest.json", "index.json"):
        text = (small / name).read_bytes()
        assert text[:11] == b'{"digest":"'
        assert text[11:75].decode() == hashlib.sha256(text[:11] + b"0" * 64 + text[75:]).hexdigest()


def test_a_reader_written_from_the_specification_agrees(small):
    """It is short, needs no purenet, and lists the same losses, checks and states."""
    source = Path(sys.modules[IndependentReader.__module__].__file__)
    assert len(source.read_text("utf-8").splitlines()) < 80
    assert "import purenet" not in source.read_text("utf-8")
    other, reader = IndependentReader(small), HistoryReader.open(small)
    assert pn.same_bits(np.ascontiguousarray(other.records["loss"]), np.ascontiguousarray(reader.losses))
    assert other.records["check"].tobytes() == reader.checks.tobytes()
    arrays = other.snapshot(6)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        f'["{name}"]': np.asarray(leaf).tolist() for name, leaf in state_of(6).items()
    }
    shown = subprocess.run([sys.executable, source, small], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("losses: 1.0 0.5 ")
    assert "after 6 steps: {'[\"moment\"]': [4]" in shown


def test_the_independent_reader_can_fail(copy):
    """It refuses a changed byte in the journal, in a document and in a state."""
    for name, place in (("journal", 100), ("index.json", 100), ("snapshots/000000000006.safetensors", -1)):
        data = bytearray((copy / name).read_bytes())
        data[place] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(ValueError, match=Path(name).name):
            IndependentReader(copy).snapshot(6)
        data[place] ^= 1
        (copy / name).write_bytes(data)
    assert IndependentReader(copy).snapshot(6)


def test_the_same_run_gives_the_same_bytes(small, tmp_path):
    """Nothing of a machine, a clock or a process is in the files, and interrupted equals uninterrupted."""
    pieces = make(tmp_path / "pieces", 4)
    for stop in (5, 5, 8):
        with HistoryWriter.reopen(pieces) as writer:
            write_steps(writer, stop)
    for other in (make(tmp_path / "again"), pieces):
        assert files_of(other) == files_of(small)
        assert all((other / name).read_bytes() == (small / name).read_bytes() for name in files_of(small))


def test_what_is_read_cannot_be_changed(small):
    """Arrays are read-only, and so are the lists of states."""
    reader = HistoryReader.open(small)
    for array in (reader.losses, reader.checks, reader.chain, *reader.metrics.values()):
        assert not array.flags.writeable
    with pytest.raises(TypeError):
        reader.snapshots[1] = None
    with pytest.raises(AttributeError):
        reader.stop = 3


def test_a_history_may_be_empty(tmp_path):
    """No step, no state, no metric."""
    HistoryWriter.create(tmp_path / "history", {}).close()
    reader = HistoryReader.open(tmp_path / "history")
    assert (reader.start, reader.stop, len(reader.losses), dict(reader.snapshots)) == (0, 0, 0, {})
    assert list(problems(tmp_path / "history")) == []


def test_states_are_removed(copy):
    """From the index and from the disk; the others stay."""
    with HistoryWriter.reopen(copy) as writer:
        writer.remove_snapshots([3])
        with pytest.raises(ArgumentError, match=r"no state is stored after \[3, 7\] steps, only after \[0, 6\]"):
            writer.remove_snapshots([6, 3, 7])
    reader = HistoryReader.open(copy)
    assert list(reader.snapshots) == [0, 6]
    assert sorted(path.name for path in (copy / "snapshots").iterdir()) == [f"{n:012d}.safetensors" for n in (0, 6)]
    assert list(problems(copy)) == []
    with pytest.raises(ArgumentError, match=r"step: no state is stored after 3 steps, only after \[0, 6\]"):
        reader.load_snapshot(3)


# --- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"digest": 1},), "about: the manifest's own names are .*; rename 'digest'"),
        (({"a": (1, 2)},), "about: expected values of JSON"),
        (({"a": float("nan")},), "about: expected values of JSON"),
        (({"a": {1: 2}},), "about: expected values of JSON"),
        (({"a": object()},), "about: expected values of JSON"),
        (({"a": "\ud800"},), "about: expected values of JSON"),
        (({}, ("a", "a")), "metrics: a name occurs twice"),
        (({}, ("a", 1)), "metrics: expected a name, got 1"),
        (({}, tuple(map(str, range(1001)))), "metrics: expected at most 1000"),
        (({}, (), {"../run": 1}), r"trees: expected a word of small letters, digits and _, got '\.\./run'"),
        (({}, (), {"Run": 1}), "trees: expected a word"),
        (({}, (), {"a" * 61: 1}), "trees: expected a word"),
        (({}, (), {"a": "text"}), "expected an array or a number"),
        (({}, (), {}, -1), "start: expected the number of the first step, got -1"),
        (({}, (), {}, True), "start: expected the number of the first step, got True"),
    ],
)
def test_what_cannot_be_stored_is_refused(tmp_path, arguments, message):
    """By name, and nothing is left of it."""
    about, metrics, trees, start = (*arguments, *((), {}, 0)[len(arguments) - 1 :])
    with pytest.raises((ArgumentError, DtypeError), match=message):
        HistoryWriter.create(tmp_path / "history", about, metrics=metrics, trees=trees, start=start)
    assert not list(tmp_path.iterdir())


def test_a_record_has_to_be_the_next_one(tmp_path):
    """A step out of turn, a check too long, metrics too few, no number, no such state: refused, and all goes on."""
    with HistoryWriter.create(tmp_path / "history", {}, metrics=("a",)) as writer:
        for step in (1, -1, None):
            with pytest.raises(ArgumentError, match="step: expected step 0, the next one, got"):
                writer.append(step, 0.5, b"", (1.0,))
        with pytest.raises(ArgumentError, match="check: expected at most 16 bytes, got 17"):
            writer.append(0, 0.5, b"1" * 17, (1.0,))
        with pytest.raises(ArgumentError, match="metrics: expected 1 numbers, got 0"):
            writer.append(0, 0.5, b"")
        for record in ((1j, b"", (1.0,)), ("1", b"", (1.0,)), (0.5, "text", (1.0,)), (0.5, b"", ("1",))):
            with pytest.raises(DtypeError, match="expected bytes and real numbers"):
                writer.append(0, *record)
        writer.append(0, np.float32(0.5), b"short", np.array([2.0]))
        for step in (2, -1, 0.5):
            with pytest.raises(ArgumentError, match="step: expected a step from 0 to 1, got"):
                writer.snapshot(step, 1.0)
        with pytest.raises(DtypeError):
            writer.snapshot(1, "text")
    for act in (lambda: writer.append(1, 0.5, b"", (1.0,)), writer.flush, lambda: writer.snapshot(1, 1.0)):
        with pytest.raises(ArgumentError, match="this writer is closed"):
            act()
    writer.close()
    reader = HistoryReader.open(tmp_path / "history")
    assert (reader.losses.tolist(), reader.checks.tobytes()) == ([0.5], b"short".ljust(16, b"\0"))
    assert list(problems(tmp_path / "history")) == []


def test_a_place_that_is_taken_is_refused(small, tmp_path):
    """A history, a file, a folder with something in it; an empty folder is taken."""
    before = (small / "journal").read_bytes()
    (tmp_path / "file").write_text("mine")
    for place in (small, tmp_path / "file", tmp_path):
        with pytest.raises(WriteError, match="something is there already; choose another place"):
            HistoryWriter.create(place, {})
    assert (small / "journal").read_bytes() == before
    assert files_of(tmp_path) == ["file"]
    (tmp_path / "empty").mkdir()
    HistoryWriter.create(tmp_path / "empty", {}).close()
    HistoryWriter.create(tmp_path / "new" / "parents" / "history", {}).close()
    assert HistoryReader.open(tmp_path / "empty").stop == 0


# --- damage


@pytest.mark.parametrize("bit", [0x01, pytest.param(0x80, marks=pytest.mark.longer)])
def test_every_changed_byte_is_found(small, copy, bit):
    """One at a time, in every file: reported with the file and a place that holds the byte."""
    flips = 0
    for name in files_of(small):
        data = (small / name).read_bytes()
        for place in range(len(data)):
            (copy / name).write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            found = found_in(copy)
            assert any(p.file == name and p.begin <= place < p.end and not p.is_tail for p in found), (name, place)
            assert {p.file for p in found} == {name}, f"a changed byte of {name} is blamed on {found}"
            flips += 1
        (copy / name).write_bytes(data)
    assert flips > 2500
    assert found_in(copy) == []


def test_damage_in_the_journal_is_found_where_it_is(small, copy):
    """The place is the record, or the two on both sides of a chain value, and the step is named."""
    data = bytearray((small / "journal").read_bytes())
    for place, begin, end, steps in (
        (80, 80, 144, "step 0"),
        (280, 272, 336, "step 3"),
        (270, 208, 336, "step 2 to 3"),
    ):
        data[place] ^= 4
        (copy / "journal").write_bytes(data)
        [problem] = problems(copy)
        assert problem[:3] == ("journal", begin, end)
        assert f"the record of {steps} does not follow" in problem.what
        assert str(problem) == f"journal, bytes {begin} to {end}: {problem.what}"
        data[place] ^= 4


@pytest.mark.parametrize("more", [False, True], ids=["truncated", "longer"])
def test_files_of_another_length_are_found(small, copy, more):
    """Cut at every length, or with bytes behind the end; a journal's own tail is what a killed writer leaves."""
    for name in files_of(small):
        data = (small / name).read_bytes()
        changed = (
            (data + b"\0" * extra for extra in (1, 63, 64, 65, 200)) if more else (data[:n] for n in range(len(data)))
        )
        for content in changed:
            (copy / name).write_bytes(content)
            found = found_in(copy)
            assert {p.file for p in found} == {name}, (name, len(content))
            assert all(p.is_tail for p in found) == (name == "journal" and more)
        (copy / name).write_bytes(data)
    assert found_in(copy) == []


def test_files_cut_short_say_so(copy):
    """With the bytes that they have, and those that they should have."""
    path = copy / "snapshots" / "000000000003.safetensors"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match=f"{path}: it has {size - 1} bytes, expected {size}: it is truncated or"):
        HistoryReader.open(copy).load_snapshot(3)
    (copy / "journal").write_bytes((copy / "journal").read_bytes()[:-1])
    with pytest.raises(StorageError, match="journal: it has 591 bytes, and 592 were safely written: it is truncated"):
        HistoryReader.open(copy)


def test_a_missing_file_is_named(small, copy):
    """Each of them, and the folder."""
    for name in files_of(small):
        (copy / name).unlink()
        [problem] = found_in(copy)
        assert problem == (name, 0, 0, "it is missing; this is no history, or a damaged one", False)
        with pytest.raises(StorageError, match=r"it is missing; this is no history, or a damaged one"):
            read_all(copy)
        shutil.copy(small / name, copy / name)
    with pytest.raises(StorageError, match="nothing: there is no such folder, and so no history"):
        HistoryReader.open(copy / "nothing")
    assert len(list(problems(copy / "nothing"))) == 1


def test_exchanged_files_are_found(small, copy, tmp_path):
    """A state in the place of another one; any file of another run; an index of another run of the same manifest."""
    a, b = (copy / "snapshots" / f"{step:012d}.safetensors" for step in (3, 6))
    shutil.copy(a, b)
    [problem] = found_in(copy)
    assert problem.file == f"snapshots/{b.name}"
    assert "expected the digest" in problem.what
    with pytest.raises(StorageError, match="it is another"):
        HistoryReader.open(copy).load_snapshot(6)
    shutil.copy(small / "snapshots" / b.name, b)
    others = {"another run": make(tmp_path / "other", seed=1), "another course": make(tmp_path / "course", 0)}
    with HistoryWriter.reopen(others["another course"]) as writer:
        for step in range(8):
            writer.append(step, 2.0, check_of(step), metrics_of(step))
    for why, other in others.items():
        for name in set(files_of(other)) & set(files_of(small)):
            if (other / name).read_bytes() != (small / name).read_bytes():
                shutil.copy(other / name, copy / name)
                assert found_in(copy), f"{name} of {why}"
                shutil.copy(small / name, copy / name)
    assert found_in(copy) == []


@pytest.mark.parametrize("name", ["manifest.json", "index.json", "journal", "run.safetensors", "snapshots", "a state"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_links_and_what_is_no_file_are_refused(small, copy, tmp_path, name, kind):
    """A symbolic link to the right content, a folder, a pipe: none is read, and nobody waits."""
    if (name, kind) == ("snapshots", "folder") or (kind == "pipe" and not hasattr(os, "mkfifo")):
        return
    path = copy / name.replace("a state", "snapshots/000000000003.safetensors")
    path.rename(tmp_path / "kept")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(small / path.relative_to(copy) if kind == "link" else tmp_path / "nothing")
    message = "it is a symbolic link|no link to one" if "link" in kind else "no plain file|cannot be opened|a folder"
    assert found_in(copy)
    with pytest.raises(StorageError, match=message):
        read_all(copy)
    if name in ("manifest.json", "index.json", "journal", "snapshots"):
        with pytest.raises(StorageError, match=message):
            HistoryWriter.reopen(copy)


def forge(folder, name, change):
    """Rewrite a document with a right digest."""
    contents = json.loads((folder / name).read_text("utf-8"))
    change(contents)
    del contents["digest"]
    (folder / name).write_bytes(document(contents)[0])


NESTED = b'{"digest":"' + b"0" * 64 + b'","format":"purenet history 1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
TWICE = b'{"digest":"' + b"0" * 64 + b'","format":"purenet history 1","format":"purenet history 1"}\n'
NOT_FINITE = b'{"digest":"' + b"0" * 64 + b'","format":"purenet history 1","x":NaN}\n'
A_LIST = b'{"digest":"' + b"0" * 64 + b'","format":["purenet history 1"]}\n'


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (NESTED, "it is nested too deeply; the file is damaged or hostile"),
        (TWICE, "occurs twice"),
        (NOT_FINITE, "out of range"),
        (A_LIST, "it has the format"),
        (b'{"digest":"' + b"0" * 64 + b'","\xff":1}\n', "not valid JSON"),
        (b'{"digest":"' + b"0" * 64 + b'",' + b"9" * 10_000 + b"}\n", "not valid JSON"),
    ],
    ids=["nested", "twice", "not finite", "list", "no UTF-8", "no JSON"],
)
def test_hostile_documents_are_refused(copy, name, content, message):
    """Even where the digest is right, there is a `StorageError` that names the file."""
    digest = hashlib.sha256(content).hexdigest().encode()
    (copy / name).write_bytes(content.replace(b"0" * 64, digest, 1))
    with pytest.raises(StorageError, match=message) as caught:
        HistoryReader.open(copy)
    assert caught.value.path == str(copy / name)
    assert [p.file for p in problems(copy)] == [name]
    with pytest.raises(StorageError, match=message):
        HistoryWriter.reopen(copy)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        *(("manifest.json", "files", value) for value in ([], {"../run": [1, "0" * 64]}, {"run": [1, "0" * 63]})),
        *(("manifest.json", "files", {name: [1, "0" * 64]}) for name in ("a/b", "..", "", "a.b", "/etc", "c:\\x", "A")),
        *(("manifest.json", "start", value) for value in (-1, True, 1.0, "0", 2**70, None, 3)),
        *(("manifest.json", "metrics", value) for value in ({}, ["a", "a"], [1], ["a"], list(map(str, range(9999))))),
        *(("manifest.json", "format", value) for value in ("purenet history 2", 1, None)),
        *(("index.json", "records", value) for value in (-1, 2**61, 2**70, 1.0, None, 9)),
        *(("index.json", "chain", value) for value in ("", "0" * 32, "G" * 32, 1)),
        *(("index.json", "manifest", value) for value in ("", "0" * 64, None)),
        *(("index.json", "snapshots", value) for value in ({}, [1], [[0, 1]], [[9, 1, "0" * 64]])),
        ("index.json", "snapshots", [["..", 1, "0" * 64]]),
        ("index.json", "snapshots", [[3, 1, "0" * 64], [0, 1, "0" * 64]]),
        ("index.json", "more", 1),
    ],
)  # fmt: skip
def test_documents_that_say_what_cannot_be_are_refused(copy, name, field, value):
    """With a right digest too: no path is followed and no memory taken for what they announce."""
    forge(copy, name, lambda contents: contents.update({field: value}))
    tracemalloc.start()
    try:
        with pytest.raises(StorageError):
            HistoryReader.open(copy)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert found_in(copy)


def test_a_document_too_large_is_not_read(copy):
    """A sparse file of a terabyte costs nothing."""
    with (copy / "manifest.json").open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(StorageError, match="has 1099511627776 bytes, more than the 67108864 that are read"):
        HistoryReader.open(copy)


def test_a_disk_that_does_not_read_is_said(copy, monkeypatch):
    """An error of the disk has the name of the file, like any other damage."""

    class File(io.FileIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdopen", File)
    with pytest.raises(StorageError, match=r"manifest.json: it cannot be read: Input/output error"):
        HistoryReader.open(copy)


def test_a_journal_that_lies_is_refused(copy):
    """Headers with right chain values that announce another version, start, or records of 34 GB."""
    digest = HistoryReader.open(copy).digest
    right = journal_header(Layout(digest, 0, 2))
    version = right[:16] + binary.pack("<I", 2) + right[20:64]
    records = (copy / "journal").read_bytes()[80:]
    headers = {
        "disagree about the first step": journal_header(Layout(digest, 2**63, 2)),
        "disagree": journal_header(Layout(digest, 0, 2**32 - 1)),
        "has version 2": version + hashlib.sha256(version).digest()[:16],
        "belongs to another history": journal_header(Layout("0" * 64, 0, 2)),
    }
    for message, header in headers.items():
        (copy / "journal").write_bytes(header + records)
        with pytest.raises(StorageError, match=message):
            HistoryReader.open(copy)
        [problem] = problems(copy)
        assert problem.file == "journal"
    (copy / "journal").write_bytes(right + records)
    assert found_in(copy) == []


def test_a_chain_that_skips_a_step_is_found(copy):
    """Records in a right chain, but with a number left out."""
    reader = HistoryReader.open(copy)
    data = journal_header(reader.layout)
    for step in (0, 1, 3):
        body = reader.layout.body.pack(step, 0.5, b"", 1.0, 1.0)
        data += body + hashlib.sha256(data[-16:] + body).digest()[:16]
    (copy / "journal").write_bytes(data)
    (copy / "index.json").write_bytes(index_document(Index(reader.digest, 3, data[-16:].hex(), ())))
    [problem] = problems(copy)
    assert problem == Problem("journal", 80 + 128, 80 + 192, problem.what, is_tail=False)


@pytest.mark.parametrize("stem", ["notes", "snapshots/mine", "snapshots/000000000007"])
def test_what_the_index_does_not_list_means_nothing(copy, stem):
    """A file of one's own is left alone; a state that was never listed is removed by the next writer."""
    path = copy / f"{stem}.safetensors"
    pn.save(1.0, path)
    assert found_in(copy) == []
    HistoryWriter.reopen(copy).close()
    assert path.exists() == (not stem.endswith("7"))
    assert found_in(copy) == []


@pytest.mark.longer
def test_random_damage_does_no_harm(small, copy):
    """Bytes changed, put in, taken out and moved at random: reported, and no other error than purenet's own."""
    random = np.random.RandomState(0)
    names = files_of(small)
    for _ in range(4000):
        name = names[random.randint(len(names))]
        data = bytearray((small / name).read_bytes())
        for _ in range(random.randint(1, 4)):
            place, length = random.randint(len(data)), random.randint(1, 40)
            piece = bytes(random.randint(0, 256, length).astype(np.uint8))
            data[place : place + random.randint(0, 40)] = [piece, data[place // 2 :][:length], b""][random.randint(3)]
        if bytes(data) == (small / name).read_bytes():
            continue
        (copy / name).write_bytes(data)
        assert {p.file for p in found_in(copy)} == {name}
        shutil.copy(small / name, copy / name)


# --- cost


def time_of(act, repeats):
    def once():
        begin = time.perf_counter()
        act()
        return time.perf_counter() - begin

    return min(once() for _ in range(repeats))


@pytest.mark.longer
def test_a_million_steps_are_quick(tmp_path):
    """Opening takes less than 50 ms, and a record less than 5 us."""
    with HistoryWriter.create(tmp_path / "history", {}, state=0.0) as writer:

        def write_thousand():
            for step in range(writer.stop, writer.stop + 1000):
                writer.append(step, 0.5, b"0123456789abcdef")

        assert time_of(write_thousand, 1000) < 5e-3
    assert HistoryReader.open(tmp_path / "history").stop == 1_000_000
    assert time_of(lambda: HistoryReader.open(tmp_path / "history").losses[[0, -1]], 20) < 0.05
    assert next(problems(tmp_path / "history"), None) is None
