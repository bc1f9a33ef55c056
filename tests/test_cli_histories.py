"""The command line of histories: what each command prints and writes, how it ends, and what it says of mistakes."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import attrs
import numpy as np
import pytest
from commands import Done, start
from repository import python

import purenet as pn
from purenet.cli import main
from purenet.cli.chart import loss_curve
from purenet.fingerprint import environment
from purenet.model import Model

Run = Callable[..., Done]
FIT = ("--target", "price", "--steps", 30, "--hidden", "8", "--snapshots-every", 10)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def command(*words: object) -> Done:
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, and two histories: `first`, and `second`, which is a fork of it. Nothing here is to be changed."""
    path = tmp_path_factory.mktemp("runs")
    random = np.random.RandomState(0)
    rows = [f"{a:.6f},{b:.6f},{1000 + 30 * a - 4 * b:.6f}\n" for a, b in random.randn(60, 2).tolist()]
    (path / "prices.csv").write_text("a,b,price\n" + "".join(rows), encoding="utf-8")
    for words in (
        ("fit", path / "prices.csv", *FIT, "--out", path / "first", "--save", path / "model.safetensors"),
        ("fork", path / "first", "17", path / "second", "--learning-rate", "0.1"),
    ):
        assert main([str(word) for word in words]) == 0
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to change."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def states_alone(path: Path) -> Path:
    """A history that holds states of a step of one's own, and no run."""

    def step(state: dict[str, float], batch: float) -> dict[str, float]:
        return {"w": state["w"] + batch, "loss": batch}

    pn.record_states(accumulate([3.0, 2.0], step, initial={"w": 0.0, "loss": 0.0}), path)
    return path


def damage(path: Path, place: int) -> None:
    """Flip a bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


# --- fit


def test_what_is_recorded_is_what_is_said(folder: Path, run: Run, tmp_path: Path) -> None:
    """The history has every loss that the command prints, and the network that it saves; recording changes no bit."""
    plain = run("fit", folder / "prices.csv", *FIT[:-2])
    done = run("fit", folder / "prices.csv", *FIT, "--out", tmp_path / "again")
    history = pn.open_history(tmp_path / "again")
    assert history.snapshots == (10, 20, 30)
    assert done.losses == plain.losses == {t: history.losses[t] for t in done.losses}
    assert done.value("digest") == plain.value("digest") == pn.digest(history[-1].net)
    assert done.value("history") == str(tmp_path / "again")
    assert pn.same_bits(pn.load(folder / "model.safetensors").net, history[30].net)


def test_without_a_table_a_part_is_executed_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that is gone afterwards, or in one that stays; in native arithmetic too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = run("fit", "--steps", 20, "--hidden", 5)
    assert done.value("replayed") == "4 of 20 steps, drawn at random: the same bits"
    assert done.value("arithmetic") == "portable-1, 3 slices: the same bits on every machine"
    assert list(tmp_path.iterdir()) == []
    kept = run("fit", "--steps", 20, "--hidden", 5, "--arithmetic", "native", "--out", tmp_path / "kept")
    assert kept.value("arithmetic").startswith("native")
    assert pn.open_history(tmp_path / "kept").steps == 20
    assert kept.losses[19] == pytest.approx(done.losses[19], rel=1e-9, abs=0)


def test_a_part_that_has_other_bits_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step is named, and the exit code is 1: the end of `purenet fit` is no ceremony."""
    calls = iter(range(100))
    program_of = sys.modules["purenet.history.run"].program_of

    def unsteady(made: pn.Run) -> object:
        program = program_of(made)
        factor = 1.0 + 1e-9 * next(calls)
        return program._replace(step=lambda state, batch: program.step(state, (batch[0] * factor, batch[1])))

    for module in ("recording", "opened"):
        monkeypatch.setattr(sys.modules[f"purenet.history.{module}"], "program_of", unsteady)
    done = run("fit", "--steps", 10, "--hidden", 3)
    assert done.code == 1
    assert re.search(r"error: step \d+: ", done.err)
    assert "replayed" not in done.out


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_slices_are_a_choice(slices: int, folder: Path, run: Run, tmp_path: Path) -> None:
    """And recorded."""
    run("fit", folder / "prices.csv", *FIT[:4], "--slices", slices, "--out", tmp_path / "run")
    made = pn.open_history(tmp_path / "run").run
    assert made is not None
    assert pn.same_bits(made.arithmetic, pn.Portable(slices=slices))


# --- show and log


def test_show_says_what_there_is(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, arithmetic, machine, parts, stored states, the curve and the last losses."""
    monkeypatch.setenv("COLUMNS", "60")
    done = run("show", folder / "first")
    assert (done.code, done.err) == (0, "")
    assert done.value("steps") == "30"
    assert done.value("arithmetic") == "portable-1, 1 slice: the same bits on every machine"
    assert f"NumPy {np.__version__}" in done.value("recorded on")
    assert done.value("batches").startswith("Batches(dataset=Dataset(x: float64[48, 2]")
    assert re.fullmatch(r"3, \S+ MB: after 10, 20, 30 steps", done.value("states stored"))
    losses = pn.open_history(folder / "first").losses
    assert done.losses == {t: losses[t] for t in (27, 28, 29)}
    assert "\n".join(loss_curve(losses, 59)) in done.out
    assert done.value("digest") == pn.open_history(folder / "first").digest


def test_show_of_a_fork_has_the_whole_curve(copy: Path, run: Run) -> None:
    """And that of its own steps where the parent is missing, with a note."""
    done = run("show", copy / "second")
    assert done.value("fork of").endswith("first after 17 steps")
    assert re.search(r"^ +0 +29$", done.out, re.M)


def test_a_missing_parent_is_named(folder: Path, run: Run, tmp_path: Path) -> None:
    """`show` and `log` say what they can; `verify` needs no parent."""
    shutil.copytree(folder / "first", tmp_path / "first")
    run("fork", tmp_path / "first", 20, tmp_path / "fork")
    shutil.rmtree(tmp_path / "first")
    shown = run("show", tmp_path / "fork")
    assert (shown.code, "losses before the fork are not shown" in shown.err) == (0, True)
    assert re.search(r"^ +20 +29$|^ +29$", shown.out, re.M)
    logged = run("log", tmp_path / "fork")
    assert (logged.code, logged.out.splitlines()[0].split()[0]) == (1, str(tmp_path / "fork"))
    assert str(tmp_path / "first") in logged.err
    assert run("verify", tmp_path / "fork").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_no_name_commands_the_terminal(folder: Path, run: Run, tmp_path: Path) -> None:
    """Control characters, which can come from a file that someone else wrote, are shown by their codes."""
    parent = tmp_path / "a\x1b[31m\nb"
    shutil.copytree(folder / "first", parent)
    run("fork", parent, 20, tmp_path / "fork")
    assert run("show", tmp_path / "fork").value("fork of").endswith(r"a\x1b[31m\nb after 20 steps")
    shutil.rmtree(parent)
    for command in ("show", "log", "diff"):
        done = run(command, tmp_path / "fork", *((tmp_path / "fork",) if command == "diff" else ()))
        assert r"a\x1b[31m" in done.out + done.err
        assert "\x1b" not in done.out + done.err


def test_show_draws_with_what_the_output_can_show(folder: Path) -> None:
    """ASCII where the encoding has no blocks."""
    for encoding, expected in (("utf-8", True), ("ascii", False)):
        with start("show", folder / "first", encoding_of_output=encoding) as process:
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert ("█" in out) is expected
        assert ("|" * 5 in out) is not expected
        assert "\\u" not in out


def test_the_lineage_is_listed_newest_first(folder: Path, run: Run, tmp_path: Path) -> None:
    """With what each fork changed; forks of forks resolve."""
    run("fork", folder / "second", 25, tmp_path / "third", "--optimizer", "sgd")
    done = run("log", tmp_path / "third")
    assert (done.code, done.err) == (0, "")
    titles = [line.split()[0] for line in done.out.splitlines() if not line.startswith(" ")]
    assert titles == [str(path) for path in (tmp_path / "third", folder / "second", folder / "first")]
    assert "steps 25 to 29" in done.out
    assert "forked after 17 steps" in done.out
    assert "changed: optimizer.parts[1].learning_rate.rate: 0.001 and 0.1" in done.out


def test_data_that_lies_elsewhere_is_named_and_not_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`show` is quick however large the data is, and works where it is missing; `verify` says what is missing."""
    monkeypatch.setattr(sys.modules["purenet.history.recipe"], "LARGE", 100)
    np.save(tmp_path / "x.npy", np.ones((50, 3)))
    data = pn.Dataset(pn.read_npy(tmp_path / "x.npy"), np.ones((50, 1)))
    objective, batches = pn.objective(pn.losses.mean_squared_error), pn.Batches(data, size=None)
    pn.record(pn.Run(pn.Dense(np.zeros((3, 1))), objective, pn.sgd(0.1), batches, steps=4), tmp_path / "run")
    assert run("verify", tmp_path / "run").code == 0
    (tmp_path / "x.npy").unlink()
    done = run("show", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    assert done.value("data") == f"batches.dataset.x: F64 [50, 3] in {tmp_path / 'x.npy'}"
    missing = run("verify", tmp_path / "run")
    assert (missing.code, "x.npy, which" in missing.out, missing.err) == (1, True, "")


# --- verify and diff


@pytest.mark.parametrize(
    ("options", "steps"), [((), "30 of 30"), (("--replay", "1"), "10 of 30"), (("--replay", "none"), "no step")]
)
def test_an_untouched_history_is_verified(options: tuple[str, ...], steps: str, folder: Path, run: Run) -> None:
    """Exit code 0, and how much was executed again."""
    done = run("verify", folder / "first", *options)
    assert (done.code, done.err) == (0, "")
    assert "every byte as written" in done.out
    assert steps in done.out


@pytest.mark.parametrize("file", ["journal", "manifest.json", "run.safetensors", "model.safetensors", "index.json"])
def test_damage_is_reported(file: str, copy: Path, run: Run) -> None:
    """Exit code 1, and the file, on standard output; the other commands fail with one line or are not concerned."""
    damage(copy / "first" / file, -40)
    done = run("verify", copy / "first")
    assert (done.code, done.err) == (1, "")
    assert file in done.out
    for words in (("show",), ("log",), ("diff", copy / "second"), ("export", copy / "out.safetensors")):
        other = run(words[0], copy / "first", *words[1:])
        assert other.code in (0, 1, 2)
        assert other.err.count("\n") <= 1


def test_two_histories_are_compared(folder: Path, run: Run) -> None:
    """Exit code 1 and the place where they part, or 0 if they do not."""
    done = run("diff", folder / "first", folder / "second")
    assert (done.code, done.err) == (1, "")
    for part in ("learning_rate.rate: 0.001 and 0.1", "step 17 gives different bits", "first different: update"):
        assert part in done.out
    same = run("diff", folder / "first", folder / "first")
    assert (same.code, same.out) == (0, "the same bits in all 30 steps that both have\n")


def test_another_machine_alone_is_no_difference(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is printed; in native arithmetic, a note says beforehand that bits may differ."""
    elsewhere = attrs.evolve(environment(), machine="elsewhere")
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["purenet.history.recording"], "environment", lambda: elsewhere)
        for name, options in {"portable": (), "native": ("--arithmetic", "native")}.items():
            run("fit", folder / "prices.csv", *FIT[:-2], *options, "--out", tmp_path / name)
    done = run("diff", folder / "first", tmp_path / "portable")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"environment: machine: \S+ and elsewhere", done.out)
    native = run("verify", tmp_path / "native")
    assert native.code == 0
    assert native.err.count("\n") == 1
    assert "native arithmetic, recorded elsewhere" in native.err
    assert "elsewhere and " in run("show", tmp_path / "native").out
    resumed = run("resume", tmp_path / "native", "--steps", 40)
    assert (resumed.code, "fork it instead" in resumed.err) == (1, True)


# --- resume and fork


def test_a_resumed_run_is_the_uninterrupted_one(copy: Path, run: Run) -> None:
    """To more steps than planned; and where nothing is left, nothing happens."""
    idle = run("resume", copy / "first")
    assert (idle.code, "nothing is left to do after 30 steps" in idle.out) == (0, True)
    done = run("resume", copy / "first", "--steps", 45)
    assert (done.code, done.err) == (0, "")
    whole = run("fit", copy / "prices.csv", *FIT[:2], "--steps", 45, "--hidden", 8)
    assert done.value("digest") == whole.value("digest")
    assert done.value("steps") == "45"
    assert done.losses[44] == whole.losses[44]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--learning-rate", "0.5"), "optimizer.parts[1].learning_rate.rate: 0.001 and 0.5"),
        (("--optimizer", "sgd"), "optimizer"),
        (("--batch-size", "7"), "batches.size: 48 and 7"),
        (("--slices", "2"), "arithmetic.slices: 1 and 2"),
        (("--steps", "40"), "steps: 30 and 40"),
    ],
)
def test_a_fork_changes_what_is_said(
    options: tuple[str, ...], changed: str, folder: Path, run: Run, tmp_path: Path
) -> None:
    """And nothing else; it starts from the state of the parent."""
    done = run("fork", folder / "first", "-12", tmp_path / "fork", *options)
    assert (done.code, done.err) == (0, "")
    fork = pn.open_history(tmp_path / "fork")
    assert fork.start == 19
    assert pn.same_bits(fork[19].net, pn.open_history(folder / "first")[19].net)
    lines = [line for line in run("log", tmp_path / "fork").out.splitlines() if "changed" in line]
    assert changed in lines[0]
    assert all(line.strip().startswith(f"changed: {changed.split('.')[0].split(':')[0]}") for line in lines)


def test_a_learning_rate_that_is_none_is_refused(tmp_path: Path, run: Run) -> None:
    """With the optimizer that has no rate to change."""
    data = pn.Dataset(np.ones((4, 1)), np.ones((4, 1)))
    objective = pn.objective(pn.losses.mean_squared_error)
    made = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.scale(-0.1), pn.Batches(data, size=None), steps=3)
    pn.record(made, tmp_path / "run")
    done = run("fork", tmp_path / "run", 1, tmp_path / "fork", "--learning-rate", "1")
    assert (done.code, "--optimizer" in done.err) == (1, True)
    assert not (tmp_path / "fork").exists()


def test_nothing_is_written_into_a_history(copy: Path, run: Run) -> None:
    """No file and no folder in it or below it, whatever asks for it; a message says so, and all is as it was."""
    first = copy / "first"
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for words in (
        ("export", copy / "second", first / "journal"),
        ("export", first, first / "snapshots" / "new.safetensors"),
        ("fit", copy / "prices.csv", *FIT, "--save", first / "manifest.json"),
        ("fit", copy / "prices.csv", *FIT, "--out", first / "inside"),
        ("fork", first, 3, first / "deep" / "inside"),
    ):
        done = run(*words)
        assert (done.code, f"{os.path.realpath(first)} is a recorded run" in done.err, done.out) == (1, True, "")
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_going_on_needs_no_parent(copy: Path, run: Run) -> None:
    """`resume` and `fork` of a fork whose parent is gone end with code 0 and the loss that they came to."""
    own, third = copy / "own", copy / "third"
    assert run("fork", copy / "first", 17, own).code == 0
    shutil.rmtree(copy / "first")
    for written, words in ((own, ("resume", own, "--steps", 32)), (third, ("fork", own, 20, third))):
        done = run(*words)
        assert (done.code, done.err) == (0, "")
        assert done.value("last loss") == f"{pn.open_history(written).reader.losses[-1]:.6g}"
    logged = run("log", own)
    assert (logged.code, logged.err.endswith("or put it back\n")) == (1, True)


# --- predict and export


def test_a_history_predicts_as_its_saved_model(folder: Path, run: Run) -> None:
    """At the last step or any other, stored or not; a fork has the columns and scales of its parent."""
    saved = run("predict", folder / "model.safetensors", folder / "prices.csv")
    assert run("predict", folder / "first", folder / "prices.csv") == saved
    early = run("predict", folder / "first", folder / "prices.csv", "--step", 13)
    assert early.out != saved.out
    assert run("predict", folder / "second", folder / "prices.csv", "--step", 13) == early


def test_the_state_at_a_step_is_exported(folder: Path, run: Run, tmp_path: Path) -> None:
    """The whole state, the network alone, or the model that `fit --save` wrote, byte for byte."""
    history, path = pn.open_history(folder / "first"), tmp_path / "out.safetensors"
    done = run("export", folder / "first", path, "--step", 13)
    assert f"the state after 13 of 30 steps, digest {pn.digest(history[13])}" in done.out
    assert pn.same_bits(pn.load(path), history[13])
    run("export", folder / "first", path, "--step", -2, "--net")
    assert pn.same_bits(pn.load(path), history[29].net)
    run("export", folder / "first", path, "--model")
    assert path.read_bytes() == (folder / "model.safetensors").read_bytes()


def test_a_history_of_the_library_predicts_with_the_bare_network(run: Run, tmp_path: Path) -> None:
    """It has no columns, so it takes an archive."""
    x = np.random.RandomState(0).randn(6, 2)
    objective = pn.objective(pn.losses.mean_squared_error)
    batches = pn.Batches(pn.Dataset(x, x[:, :1]), size=None)
    history = pn.record(pn.Run(pn.Dense(np.ones((2, 1))), objective, pn.sgd(0.1), batches, 2), tmp_path / "run")
    np.savez(tmp_path / "x.npz", x=x)
    printed = run("predict", tmp_path / "run", tmp_path / "x.npz").out.splitlines()[1:]
    assert [float(line) for line in printed] == Model(history[-1].net).predict(x)[:, 0].tolist()


# --- mistakes


def test_states_alone_have_no_run(run: Run, tmp_path: Path) -> None:
    """They can be shown, checked and exported, and every other command says why not."""
    path = states_alone(tmp_path / "own")
    assert "states alone" in run("show", path).out
    assert run("log", path).code == 0
    assert run("verify", path, "--replay", "none").code == 0
    assert run("export", path, tmp_path / "state", "--step", 2).code == 0
    assert pn.load(tmp_path / "state") == {"w": 5.0, "loss": 2.0}
    for code, words, message in (
        (2, ("verify", path), "--replay none"),
        (1, ("resume", path), "states alone"),
        (1, ("fork", path, 1, tmp_path / "fork"), "states alone"),
        (1, ("export", path, tmp_path / "net", "--net"), "no network"),
    ):
        done = run(*words)
        assert (done.code, done.err.count("\n"), message in done.err) == (code, 1, True)


def test_a_history_with_unknown_parts_is_shown(tmp_path: Path) -> None:
    """In a process that does not know a loss of one's own: what can be said is, and no code is looked for."""
    (tmp_path / "own.py").write_text(
        "import numpy as np, purenet as pn\n"
        "@pn.register('test.own_loss')\n"
        "def own_loss(net, batch):\n"
        "    return np.mean((pn.forward(net, batch[0]) - batch[1]) ** 2)\n"
        "data = pn.Batches(pn.Dataset(np.ones((4, 1)), np.ones((4, 1))), size=None)\n"
        "pn.record(pn.Run(pn.Dense(np.zeros((1, 1))), own_loss, pn.sgd(0.1), data, steps=3), 'run')\n",
        encoding="utf-8",
    )
    assert python("own.py", folder=tmp_path).returncode == 0
    shown = python("-m", "purenet", "show", "run", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "test.own_loss" in shown.stdout
    verified = python("-m", "purenet", "verify", "run", folder=tmp_path)
    assert (verified.returncode, "test.own_loss" in verified.stderr) == (2, True)
    assert python("-m", "purenet", "verify", "run", "--replay", "none", folder=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("show", "{}/none"), 1, "no such folder"),
        (("log", "{}/none"), 1, "no such folder"),
        (("resume", "{}/none"), 1, "no such folder"),
        (("fork", "{}/none", "1", "{}/new"), 1, "no such folder"),
        (("export", "{}/none", "{}/new"), 1, "no such folder"),
        (("verify", "{}/none"), 2, "no such folder"),
        (("diff", "{}/none", "{}/first"), 2, "no such folder"),
        (("show", "{}/prices.csv"), 1, "no such folder"),
        (("show", "{}"), 1, "manifest.json"),
        (("verify", "{}/first", "--replay", "some"), 2, "all, none, or how many"),
        (("verify", "{}/first", "--replay", "0"), 2, "all, none, or how many"),
        (("export", "{}/first", "{}/new", "--step", "31"), 1, "states 0 to 30, got 31"),
        (("export", "{}/first", "{}/new", "--net", "--model"), 2, "not allowed"),
        (("export", "{}/first", "{}"), 1, "this is a folder"),
        (("export", "{}/first", "{}/no/new"), 1, "there is no folder"),
        (("predict", "{}/first", "{}/prices.csv", "--step", "99"), 1, "states 0 to 30, got 99"),
        (("predict", "{}/model.safetensors", "{}/prices.csv", "--step", "9"), 1, "--step"),
        (("fork", "{}/first", "17", "{}/second"), 1, "something is there already"),
        (("fork", "{}/first", "30", "{}/new"), 1, "no step is left after 30 of 30; name more with --steps"),
        (("fork", "{}/first", "31", "{}/new", "--steps", "40"), 1, "states 0 to 30, got 31"),
        (("fork", "{}/first", "-40", "{}/new"), 1, "states 0 to 30, got -40"),
        (("fork", "{}/first", "3", "{}/new", "--batch-size", "49"), 1, "48 rows"),
        (("fork", "{}/first", "3", "{}/new", "--optimizer", "adm"), 2, "did you mean adam?"),
        (("fit", "{}/prices.csv", "--target", "price", "--out", "{}/first"), 1, "something is there already"),
        (("fit", "{}/prices.csv", "--target", "price", "--out", "{}/prices.csv"), 1, "something is there already"),
        (("fit", "{}/prices.csv", "--target", "price", "--out", "{}/prices.csv/new"), 1, "prices.csv"),
        (("fit", "{}/prices.csv", "--target", "price", "--snapshots-every", "5"), 1, "--out"),
        (("fit", "--arithmetic", "native", "--slices", "2"), 1, "--slices"),
        (("fit", "--slices", "4"), 2, "1, 2 or 3"),
        (("fit", "--arithmetic", "exact"), 2, "portable, native"),
    ],
    ids=lambda value: " ".join(value).replace("{}/", "") if isinstance(value, tuple) else "",
)
def test_a_mistake_is_named(words: tuple[str, ...], code: int, message: str, folder: Path, run: Run) -> None:
    """By one line on standard error; what was there stays, and nothing is left behind."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run(*(word.replace("{}", str(folder)) for word in words))
    assert done.code == code
    assert message in done.err
    assert done.err.startswith("purenet")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_disk_that_cannot_be_written(copy: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history can be read there; what would change it, or write beside it, is refused, and leaves all as it was."""
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    open_file = os.open

    def open_to_read(path: str, flags: int, *rest: int, **options: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return open_file(path, flags, *rest, **options)

    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_to_read)
        patch.setattr(Path, "mkdir", refuse)
        for words in (("show",), ("verify",), ("log",), ("diff", copy / "first")):
            assert run(words[0], copy / "first", *words[1:]).code == 0
        for words in (
            ("fit", copy / "prices.csv", *FIT, "--out", tmp_path / "new"),
            ("resume", copy / "first", "--steps", 50),
            ("fork", copy / "first", 3, tmp_path / "new"),
        ):
            done = run(*words)
            assert (done.code, done.err.count("\n"), "Read-only file system" in done.err) == (1, 1, True)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [copy]


def test_a_history_that_is_written_by_another_is_left_alone(copy: Path, run: Run) -> None:
    """`resume` is refused at once; `show` shows what there is."""
    from purenet.history.writer import HistoryWriter

    with HistoryWriter.reopen(copy / "first"):
        done = run("resume", copy / "first", "--steps", 50)
        assert (done.code, "another writer" in done.err) == (1, True)
        assert run("show", copy / "first").code == 0
    assert run("verify", copy / "first").code == 0


def test_a_full_disk_leaves_what_was_written(
    folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what the system said; the history opens, and goes on once there is room."""
    from purenet.history import writer

    save, calls = writer._save_snapshot, iter(range(100))

    def refuse(*arguments: object) -> object:
        if next(calls) == 1:
            raise pn.errors.WriteError("No space left on device", path=str(tmp_path))
        return save(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(writer, "_save_snapshot", refuse)
        done = run("fit", folder / "prices.csv", *FIT, "--out", tmp_path / "run")
    assert (done.code, done.err.count("\n"), "No space left" in done.err) == (1, 1, True)
    assert pn.open_history(tmp_path / "run").steps == 20
    resumed = run("resume", tmp_path / "run")
    assert resumed.value("steps") == "30"
    assert run("diff", tmp_path / "run", folder / "first").code == 0


# --- early ends


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_what_was_recorded(folder: Path, run: Run, tmp_path: Path) -> None:
    """Code 130; the message says how to go on, for fit, resume and fork alike; what is there verifies."""
    path = tmp_path / "run"
    commands = {
        "fit": ("fit", folder / "prices.csv", *FIT[:2], "--hidden", 8, "--steps", 10**8, "--out", path),
        "resume": ("resume", path, "--steps", 10**8 + 1),
        "fork": ("fork", path, 2, tmp_path / "fork", "--steps", 10**8),
    }
    for name, words in commands.items():
        with start(*words) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if re.match(r"\d+ \S+$", line):
                    break
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        written = pn.open_history(tmp_path / "fork" if name == "fork" else path)
        total = 10**8 + (name == "resume")
        option = " --steps 100000001" if name == "resume" else ""
        advice = f"go on with: purenet resume {written.path}{option}"
        assert err == f"purenet: interrupted after {written.steps} of {total} steps; {advice}\n"
        assert Done(130, out, err).value("steps") == str(written.steps)
        assert run("verify", written.path, "--replay", "none").code == 0
    assert run("resume", path, "--steps", pn.open_history(path).steps + 2).code == 0


def test_a_loss_that_is_not_finite_says_where_the_steps_before_it_are(run: Run, folder: Path, tmp_path: Path) -> None:
    """They can be forked with a smaller learning rate; if there are none, there is no folder."""
    wild = ("fit", folder / "prices.csv", *FIT, "--no-standardize", "--optimizer", "sgd", "--learning-rate")
    done = run(*wild, 1e9, "--out", tmp_path / "run")
    assert done.code == 1
    found = re.search(
        r"the loss is (inf|nan) at step (\d+); .*purenet fork it from one of the steps 0 to (\d+)$", done.err
    )
    assert found is not None
    assert found[2] == found[3]
    assert pn.open_history(tmp_path / "run").steps == int(found[2])
    assert run("fork", tmp_path / "run", 0, tmp_path / "fork", "--learning-rate", 1e-9).code == 0


def test_ctrl_c_before_the_first_step(folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 130, and no advice to go on with a history that is not there."""

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["purenet.history.recording"].HistoryWriter, "create", interrupt)
    for words, message in (
        (("fit", folder / "prices.csv", *FIT), " after 0 of 30 steps"),
        (("fork", folder / "first", 3), ""),
    ):
        done = run(*words, *(("--out",) if words[0] == "fit" else ()), tmp_path / "new")
        assert (done.code, done.err) == (130, f"purenet: interrupted{message}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE")
def test_a_reader_that_leaves_keeps_what_was_recorded(folder: Path, tmp_path: Path) -> None:
    """`purenet fit --out runs | head -1`: code 141, one line that says where it is."""
    words = (*FIT[:2], "--hidden", 8, "--steps", 10**8, "--out", tmp_path / "run")
    with start("fit", folder / "prices.csv", *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("0 "):
            pass
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 141
    steps = pn.open_history(tmp_path / "run").steps
    assert err == (
        f"purenet: nobody reads the output; what was reached after {steps} of 100000000 steps is recorded in "
        f"{tmp_path / 'run'}; go on with: purenet resume {tmp_path / 'run'}\n"
    )


# --- the curve


@pytest.mark.parametrize(
    ("losses", "is_log"),
    [(np.geomspace(1e3, 1e-3, 1000), True), (np.linspace(2, 1, 1000), False), (np.linspace(100, -1, 1000), False)],
)
@pytest.mark.parametrize("width", [12, 40, 119])
def test_a_curve_fits_its_width(losses: np.ndarray, is_log: bool, width: int) -> None:
    """A falling loss is a falling curve, which fills the width; the axis says if it is logarithmic."""
    lines = loss_curve(losses, width, 6, first=7)
    assert len(lines) == 7
    assert max(map(len, lines)) == width if width > 12 else max(map(len, lines)) <= 16
    assert ("log" in "".join(lines)) is is_log
    rows = [line.partition("|")[2] for line in lines[:-1]]
    assert [len(row) for row in rows] == sorted(len(row) for row in rows)
    assert lines[-1].endswith("1006")


@pytest.mark.parametrize(
    "losses",
    [[1.0], [0.0, 0.0], [np.nan, 1.0], [1.0, np.inf, 2.0], [1e308, -1e308, 1e308], [5e-324, 1e308], [-0.0] * 500],
)
@pytest.mark.parametrize("width", [1, 10, 80])
def test_every_curve_can_be_drawn(losses: list[float], width: int) -> None:
    """Single, constant, missing and extreme losses, in any width, without a warning."""
    lines = loss_curve(losses, width)
    assert len(lines) == 9
    assert any(set(line) & set("▁▂▃▄▅▆▇█") for line in lines)
    assert loss_curve([np.nan], width) == ["no step has a finite loss"]
    assert "".join(loss_curve(losses, width, blocks=False)).isascii()
