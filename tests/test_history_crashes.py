"""Laws of writing a history: whatever stops it, what was written stays, and going on leads to the same bytes."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import history_program
import numpy as np
import pytest
from history_program import course, run
from history_reader import History as IndependentReader

import purenet as pn
from purenet import safetensors
from purenet.errors import ArgumentError, WriteError
from purenet.history import writer as writing
from purenet.history.integrity import problems
from purenet.history.reader import HistoryReader
from purenet.history.writer import HistoryWriter

STEPS = 10
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    "OPENBLAS_NUM_THREADS": "1",
}

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be killed")

course = cache(course)


@pytest.fixture(autouse=True)
def _own_pace():
    """What the program sets for itself does not outlast a test."""
    seconds = writing._SAFE_SECONDS
    yield
    writing._SAFE_SECONDS = seconds


class Program:
    """The program in processes of its own, which can be killed."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, history_program.__file__]
        self.server = subprocess.Popen(command, text=True, env=ENVIRONMENT, **pipes)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.server.communicate()

    def start(self, folder, steps):
        """Begin to record; the number of the process."""
        self.server.stdin.write(f"{steps} {folder}\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline().removeprefix("process "))

    def wait_for(self, stop):
        """Wait until so many steps are reported; the number that was."""
        reported = 0
        while reported < stop:
            reported = int(self.server.stdout.readline())
        return reported

    def reports(self):
        """What the process reported, when it has ended."""
        self.server.stdin.write("\n")
        self.server.stdin.flush()
        return [int(line) for line in iter(self.server.stdout.readline, "ended\n")]


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


@cache
def uninterrupted(steps):
    """The bytes of all files after a run that nothing stopped."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder, "history"), steps)
        return content(Path(folder, "history"))


def check_prefix(folder, steps, at_least=0):
    """What a stopped run left opens, has every step that was reported as safe, and nothing that is not right."""
    losses, states = course(steps)
    reader = HistoryReader.open(folder)
    assert at_least <= reader.stop <= steps
    assert reader.losses.tolist() == losses[: reader.stop]
    checks = [history_program.check_of(state) for state in states[1 : reader.stop + 1]]
    assert [row.tobytes() for row in reader.checks] == checks
    assert all(pn.same_bits(reader.load_snapshot(step), states[step]) for step in reader.snapshots)
    assert [problem for problem in problems(folder) if not problem.is_tail] == []
    assert len(IndependentReader(folder).records) == reader.stop
    return reader.stop


def finish(folder, steps):
    """Going on gives the bytes of the uninterrupted run, and leaves nothing else behind."""
    run(folder, steps)
    assert content(folder) == uninterrupted(steps)
    assert list(problems(folder)) == []


# --- killed


def kill_at_random_instants(directory, times, steps):
    """Kill the program again and again: a moment after it began, or after it reported some step."""
    random = np.random.RandomState(times)
    stopped_at, folder, stop = [], directory / "history", 0
    with Program() as program:
        begin = time.monotonic()
        program.start(directory / "first", steps)
        assert program.reports()[-1] == steps
        pace = (time.monotonic() - begin) / steps
        for instant in range(times):
            process = program.start(folder, steps)
            reported = program.wait_for(random.randint(stop, steps)) if instant % 4 else 0
            time.sleep(random.uniform(0.0, 4 * pace))
            os.kill(process, signal.SIGKILL)
            reported = max([reported, *program.reports()])
            assert folder.exists() or not reported
            if folder.exists():
                stop = check_prefix(folder, steps, reported)
                stopped_at.append(stop)
            if instant % 3 == 2 or stop == steps:
                finish(folder, steps)
                shutil.rmtree(folder)
                stop = 0
    return stopped_at


@needs_fork
def test_a_killed_program_loses_nothing_that_was_flushed(tmp_path):
    """SIGKILL at random instants."""
    stopped_at = kill_at_random_instants(tmp_path, 10, 40)
    assert any(0 < stop < 40 for stop in stopped_at)


@needs_fork
@pytest.mark.longer
def test_a_killed_program_loses_nothing_at_300_instants(tmp_path):
    """The same, often enough to hit every phase."""
    stopped_at = kill_at_random_instants(tmp_path, 300, 60)
    within = [stop for stop in stopped_at if 0 < stop < 60]
    assert len(within) > 100
    assert len(set(within)) > 10


# --- a disk that fails


class FailingDisk:
    """Counts every call that changes the disk, and lets one of them fail, or that one and all after it."""

    def __init__(self, monkeypatch, fail_at=0, for_good=False):
        self.count, self.fail_at, self.for_good = 0, fail_at, for_good
        for name in ("write", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "ftruncate"):
            monkeypatch.setattr(os, name, self.wrap(getattr(os, name)))
        monkeypatch.setattr(safetensors, "open", self.open, raising=False)

    def fails(self):
        self.count += 1
        return self.fail_at and (self.count == self.fail_at or (self.for_good and self.count > self.fail_at))

    def wrap(self, call):
        def wrapped(*args, **kwargs):
            if not self.fails():
                return call(*args, **kwargs)
            if call.__name__ == "write":  # what there was room for
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return wrapped

    def open(self, path, mode):
        file = Path(path).open(mode)  # noqa: SIM115
        if "r" in mode:
            return file
        disk = self

        class File:
            def __enter__(self):
                return self

            def __exit__(self, *exception):
                file.close()

            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                if disk.fails():
                    file.write(bytes(data)[: len(data) // 2])
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return file.write(data)

        return File()


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("flush_seconds", [0.0, 1000.0], ids=["every step", "gathered"])
def test_a_disk_that_fails_at_any_call_loses_nothing(tmp_path, monkeypatch, for_good, flush_seconds):
    """Every write, rename, deletion and so on in turn: a `WriteError`, what was there stays, and it can be gone on.

    Where all later calls fail too, clean-up included, this is what a process that dies at that call leaves.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    with monkeypatch.context() as patch:
        disk = FailingDisk(patch)
        run(tmp_path / "counted", STEPS, flush_seconds=flush_seconds)
    shutil.rmtree(tmp_path / "counted")
    assert disk.count > 40
    errors = 0
    for fail_at in range(1, disk.count + 1):
        folder, reported = tmp_path / "history", [0]
        with monkeypatch.context() as patch:
            FailingDisk(patch, fail_at, for_good)
            try:
                run(folder, STEPS, reported.append, flush_seconds)
            except WriteError as error:
                failure = error
                errors += 1
            else:
                failure = None
        assert failure is None or (failure.errno == errno.ENOSPC and "No space left" in str(failure)), fail_at
        if folder.exists():
            check_prefix(folder, STEPS, reported[-1] if flush_seconds == 0 else 0)
        else:
            assert for_good or list(tmp_path.iterdir()) == []
        finish(folder, STEPS)
        for path in tmp_path.iterdir():
            shutil.rmtree(path)
    assert errors > 30


def test_a_system_that_writes_little_by_little_is_followed(tmp_path, monkeypatch):
    """A write may take a part of what it was given, without an error."""
    write = os.write
    uninterrupted(STEPS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
        finish(tmp_path / "history", STEPS)


def test_after_a_failure_nothing_more_is_written(tmp_path, monkeypatch):
    """A flush that failed may not be believed when it succeeds the second time: what it lost is not known."""
    folder = tmp_path / "history"
    with HistoryWriter.create(folder, {}) as writer:
        writer.append(0, 1.0, b"")
        with monkeypatch.context() as patch:
            FailingDisk(patch, fail_at=2)
            with pytest.raises(WriteError, match=r"history/journal: cannot be written: No space left .*; make room"):
                writer.remove_snapshots([])  # sets a safe point: a write, a flush to the disk, the index
        with pytest.raises(ArgumentError, match="this writer is closed or has failed"):
            writer.append(1, 1.0, b"")
    assert IndependentReader(folder).index["records"] == 0
    assert HistoryReader.open(folder).stop == 1


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 48, b"\1" * 500], ids=["byte", "record", "records"])
def test_a_torn_tail_is_removed(tmp_path, tail):
    """Readers ignore it, the check of all bytes reports it as such, and the next writer cuts it off."""
    folder = tmp_path / "history"
    run(folder, STEPS)
    with (folder / "journal").open("ab") as file:
        file.write(tail)
    reader = HistoryReader.open(folder)
    assert (reader.stop, reader.torn) == (STEPS, len(tail))
    found = list(problems(folder))
    assert (found[0].file, found[0].begin, found[-1].end) == ("journal", 80 + 48 * STEPS, 80 + 48 * STEPS + len(tail))
    assert all(problem.is_tail for problem in found)
    HistoryWriter.reopen(folder).close()
    finish(folder, STEPS)


def test_a_full_disk_is_said_and_can_be_gone_on(tmp_path):
    """A small file system of memory that fills up, and then gets more room."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only the system's administrator can make a file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be made here")
    try:
        with pytest.raises(WriteError, match="No space left on device") as caught:
            run(tmp_path / "history", 200)
        assert caught.value.errno == errno.ENOSPC
        assert check_prefix(tmp_path / "history", 200) > 0
        with pytest.raises(WriteError, match="No space left on device"):
            HistoryWriter.create(tmp_path / "second", {}, state=np.zeros(10_000))
        assert [path.name for path in tmp_path.iterdir()] == ["history"]
        subprocess.run(["mount", "-o", "remount,size=8m", str(tmp_path)], check=True)
        finish(tmp_path / "history", 200)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_read_only_folder_is_said():
    """It can be read, not written, and is as it was."""
    shared = Path("/tmp")  # whose folders above anybody may go through
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    try:
        run(folder / "history", STEPS)
        before = content(folder)
        for path in (*folder.rglob("*"), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with as_nobody():
            check_prefix(folder / "history", STEPS)
            with pytest.raises(WriteError, match=r"history/journal: cannot be written: Permission denied"):
                HistoryWriter.reopen(folder / "history")
            with pytest.raises(WriteError, match=r"second: cannot be written: Permission denied"):
                HistoryWriter.create(folder / "second", {})
        assert content(folder) == before
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)


@contextlib.contextmanager
def as_nobody():
    """Without the rights of an administrator, to whom no file is read-only."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_a_loss_of_power_takes_no_safe_point(tmp_path, monkeypatch):
    """With only what was flushed to the disk, and the names as they are, the history opens at any moment."""
    durable, opened = {}, []
    folder, image = tmp_path / "history", tmp_path / "image"

    def fsync(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            durable[path.stat().st_ino] = path.read_bytes()

    def check():
        if not folder.exists():
            return
        for path in (path for path in folder.rglob("*") if path.is_file()):
            copy = image / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            written, saved = path.read_bytes(), durable.get(path.stat().st_ino, b"")
            copy.write_bytes(saved + b"\0" * (len(written) - len(saved)))  # a length may survive without its content
        opened.append((check_prefix(image, 20), HistoryReader.open(folder).stop))
        shutil.rmtree(image)

    def checked(call):
        def wrapped(*args, **kwargs):
            call(*args, **kwargs)
            check()

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "replace", checked(os.replace))
        patch.setattr(os, "rename", checked(os.rename))
        run(folder, 20, lambda stop: check())
    assert any(0 < on_disk < written for on_disk, written in opened)
    assert opened[-1] == (20, 20)


# --- several at once


def test_a_second_writer_is_refused_at_once(tmp_path):
    """In the same process and in another; a killed writer keeps nobody out."""
    folder = tmp_path / "history"
    with HistoryWriter.create(folder, {}), pytest.raises(WriteError, match="another writer has it open"):
        HistoryWriter.reopen(folder)
    code = "import sys; from purenet.history.writer import HistoryWriter as W\n"
    code += "w = W.reopen(sys.argv[1]); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    program = subprocess.Popen([sys.executable, "-c", code, str(folder)], env=ENVIRONMENT, **pipes)
    with program:
        assert program.stdout.readline().strip() == b""
        begin = time.monotonic()
        with pytest.raises(WriteError, match=f"{folder}: another writer has it open"):
            HistoryWriter.reopen(folder)
        assert time.monotonic() - begin < 1
        assert HistoryReader.open(folder).stop == 0
        program.kill()
    HistoryWriter.reopen(folder).close()


def test_of_many_that_begin_one_history_one_succeeds(tmp_path):
    """Each other one is told so, and leaves nothing."""

    def create(number):
        try:
            return HistoryWriter.create(tmp_path / "history", {"number": number}, state=np.zeros(100))
        except WriteError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(16)))
    [winner] = [i for i, result in enumerate(results) if isinstance(result, HistoryWriter)]
    results[winner].close()
    assert HistoryReader.open(tmp_path / "history").manifest["number"] == winner
    assert [path.name for path in tmp_path.iterdir()] == ["history"]


def test_without_locks_writing_goes_on(tmp_path, monkeypatch):
    """There are file systems that have none."""
    fcntl = pytest.importorskip("fcntl")

    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    finish(tmp_path / "history", STEPS)


@needs_fork
def test_readers_see_a_prefix_while_a_run_is_written(tmp_path):
    """Whenever one opens a history: whole records, all right, never fewer than before, with states that load."""
    steps, seen, folder = 200, [], tmp_path / "history"
    losses, states = course(steps)
    with Program() as program:
        program.start(folder, steps)
        deadline = time.monotonic() + 60
        while not seen or seen[-1].stop < steps:
            assert time.monotonic() < deadline, "the program has not come to its end"
            if folder.exists():
                seen.append(HistoryReader.open(folder))
                last = max(seen[-1].snapshots)
                assert pn.same_bits(seen[-1].load_snapshot(last), states[last])
        program.reports()
    stops = [reader.stop for reader in seen]
    assert stops == sorted(stops)
    assert len(set(stops)) > 5
    for reader in seen[:: len(seen) // 50 + 1]:
        assert reader.losses.tolist() == losses[: reader.stop]


# --- the end of a block


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_in_between_keeps_what_was_appended(tmp_path, error):
    """Leaving the block writes what was gathered, whatever the reason."""

    def write_and_fail():
        with HistoryWriter.create(tmp_path / "history", {}, flush_seconds=1000) as writer:
            for step, loss in enumerate(course(5)[0]):
                writer.append(step, loss, b"")
            assert HistoryReader.open(tmp_path / "history").stop == 0
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert HistoryReader.open(tmp_path / "history").losses.tolist() == course(5)[0]


class Interrupted(Exception):
    """What a signal handler raises."""


def interrupt(path, delay, flush_seconds):
    """Append records to a new history until a signal interrupts it; how many calls had begun and come back by then."""

    def handler(number, frame):
        raise Interrupted

    begun = done = 0
    before = signal.signal(signal.SIGALRM, handler)
    writer = HistoryWriter.create(path, {}, flush_seconds=flush_seconds)
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        while True:
            begun = done + 1
            writer.append(done, 0.5, b"")
            done = begun
    except Interrupted:
        writer.close()
        return begun, done
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_interrupted(folder, count):
    for i, delay in enumerate(pn.random.uniform(pn.key(0), (count,), low=1e-5, high=2e-3).tolist()):
        begun, done = interrupt(folder / str(i), delay, 0.0005 * (i % 2))
        assert list(problems(folder / str(i))) == [], i
        assert done <= HistoryReader.open(folder / str(i)).stop <= begun


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_an_interrupt_anywhere_keeps_what_was_appended(tmp_path):
    """Whatever line of the writer it hits, closing writes each record once."""
    check_interrupted(tmp_path, 100)


@pytest.mark.longer
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_an_interrupt_anywhere_keeps_what_was_appended_however_often(tmp_path):
    """The same, where no instant is left out."""
    check_interrupted(tmp_path, 1000)


def test_records_wait_no_longer_than_said(tmp_path):
    """They reach the readers after `flush_seconds`, or when the buffer is full."""
    with HistoryWriter.create(tmp_path / "history", {}, flush_seconds=0.05) as writer:
        writer.append(0, 1.0, b"")
        time.sleep(0.06)
        writer.append(1, 1.0, b"")
        assert HistoryReader.open(tmp_path / "history").stop == 2
    with HistoryWriter.reopen(tmp_path / "history", flush_seconds=1000) as writer:
        for step in range(2, 3000):
            writer.append(step, 1.0, b"")
        assert HistoryReader.open(tmp_path / "history").stop > 1000
        writer.flush()
        assert HistoryReader.open(tmp_path / "history").stop == 3000


def test_safe_points_keep_opening_quick(tmp_path):
    """However long nothing is stored, few records are without one."""
    with HistoryWriter.create(tmp_path / "history", {}, flush_seconds=1000) as writer:
        for step in range(50_000):
            writer.append(step, 1.0, b"")
        records = int(IndependentReader(tmp_path / "history").index["records"])
        assert 50_000 - records < 22_000
