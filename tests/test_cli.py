"""The command line: what it prints and where, what it saves, how it ends, and what it says about mistakes."""

from __future__ import annotations

import gzip
import io
import re
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Done, start
from repository import ROOT, python
from toolz import nth

import purenet as pn
from purenet.cli import COMMANDS, main, options as types
from purenet.cli.plan import read_source
from purenet.model import Model
from purenet.optimizers import RECIPES

DIGEST = re.compile(r"[0-9a-f]{64}")


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def command(*words: object) -> Done:
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return command


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A table whose target is a number that follows from the others."""
    random = np.random.RandomState(0)
    a, b = random.randn(200), 100 + 10 * random.randn(200)
    lines = [f"{a[i]!r},{b[i]!r},{1000 + 30 * a[i] - 4 * b[i]!r}".replace("np.float64", "") for i in range(200)]
    path = tmp_path / "prices.csv"
    path.write_text("a,b,price\n" + "\n".join(lines).replace("(", "").replace(")", "") + "\n", encoding="utf-8")
    return path


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A table whose target is a name that follows from the others; compressed."""
    random = np.random.RandomState(1)
    points = random.randn(150, 2)
    names = np.array(["iris", "rose", "tulip"])[np.sum(points > 0, axis=1)]
    lines = [f"{x:.6f},{y:.6f},{name}" for (x, y), name in zip(points, names, strict=True)]
    path = tmp_path / "flowers.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("length,width,kind\n" + "\n".join(lines) + "\n")
    return path


# --- no table


def test_without_a_table_the_first_seed_program_runs(run: Run) -> None:
    """Its losses as it prints them, at steps one can take in, and a summary; all on standard output."""
    done = run("fit")
    assert (done.code, done.err) == (0, "")
    assert list(done.losses) == [0, 1, 2, 5, 10, 20, 50, 100, 200, 499]
    for step, loss in {0: 26365524.19345431, 1: 18539004.95677144, 499: 6.94701904959e-05}.items():
        assert done.losses[step] == pytest.approx(loss, rel=1e-9, abs=0)
    assert float(done.value("final loss")) < done.losses[499]
    assert done.value("steps") == "500"
    assert re.fullmatch(r"\d+\.\d+ ms", done.value("time per step"))
    assert DIGEST.fullmatch(done.value("digest"))


def test_the_default_is_the_first_example(run: Run, tmp_path: Path) -> None:
    """The network that is saved is the one that the example reaches."""
    path = tmp_path / "model.safetensors"
    done = run("fit", "--steps", 20, "--save", path)
    training = runpy.run_path(str(ROOT / "examples" / "01_first_seed.py"), run_name="example")["training"]
    end = nth(20, training())
    saved = pn.load(path, classes=(Model,))
    for ours, theirs in zip(pn.tree.leaves(saved.net), pn.tree.leaves(end.net), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert done.value("digest") == pn.digest(saved.net)
    assert done.value("saved") == str(path)


def test_the_options_reach_the_random_data_too(run: Run) -> None:
    """Another seed is other data; other sizes, activations and optimizers train as well."""
    short = ("fit", "--steps", 3)
    assert run(*short).losses[0] != run(*short, "--seed", 1).losses[0]
    deep = run(*short, "--hidden", "20,30", "--activation", "tanh", "--optimizer", "adam", "--learning-rate", "0.1")
    assert "1000 -> 20 -> 30 -> 10 with tanh" in deep.out
    assert list(deep.losses) == [0, 1, 2]
    assert "1000 -> 10 " in run(*short, "--hidden", "none").out


# --- tables


def test_a_number_is_learned(run: Run, prices: Path) -> None:
    """Regression is chosen and said; the held-out part is predicted well, in the scale of the target."""
    done = run("fit", prices, "--target", "price", "--steps", 400)
    assert (done.code, done.err) == (0, "")
    assert "regression, for price has 200 distinct numbers (--task classification otherwise)" in done.out
    assert "160 rows to train on, 40 held out; inputs and target standardized" in done.out
    assert float(done.value("test R^2")) > 0.99
    assert float(done.value("test loss")) < 0.01
    assert float(done.value("train loss")) < done.losses[0]


def test_a_class_is_learned(run: Run, flowers: Path) -> None:
    """Classification is chosen and said; accuracy on the held-out part."""
    done = run("fit", flowers, "--target", "kind", "--steps", 500)
    assert (done.code, done.err) == (0, "")
    assert "classification into 3 classes, for kind has text" in done.out
    accuracy, right, rows = re.fullmatch(r"(\S+) \((\d+) of (\d+)\)", done.value("test accuracy")).groups()  # type: ignore[union-attr]
    assert float(accuracy) == round(int(right) / int(rows), 4) > 0.85
    assert int(rows) == 30


def test_the_same_command_gives_the_same_result(run: Run, flowers: Path, tmp_path: Path) -> None:
    """Line for line, except for the time; the saved bytes too. Another seed gives another network."""

    def lines(seed: int, name: str) -> list[str]:
        path = tmp_path / name
        done = run("fit", flowers, "--target", "kind", "--steps", 30, "--seed", seed, "--save", path)
        return [line for line in done.out.splitlines() if not line.startswith(("time", "saved"))]

    assert lines(3, "a") == lines(3, "b") != lines(4, "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        *(("--activation", name) for name in types.ACTIVATIONS),
        *(("--optimizer", name) for name in RECIPES),
        ("--hidden", "none"),
        ("--hidden", "5"),
        ("--batch-size", "160"),
        ("--batch-size", "1"),
        ("--no-standardize", "--learning-rate", "1e-6"),
        ("--test-fraction", "0"),
        ("--test-fraction", "0.9"),
        ("--ignore", "b"),
        ("--task", "regression"),
        ("--steps", "1"),
    ],
    ids=" ".join,
)
def test_every_option_works(options: tuple[str, ...], run: Run, prices: Path) -> None:
    """A short training with each."""
    done = run("fit", prices, "--target", "price", *(() if "--steps" in options else ("--steps", 4)), *options)
    assert (done.code, done.err) == (0, "")
    assert DIGEST.fullmatch(done.value("digest"))
    assert ("test R^2" in done.out) == (options != ("--test-fraction", "0"))


def test_standardizing_and_holding_out_are_said(run: Run, prices: Path) -> None:
    """What was done to the data stands above the losses."""
    plain = run("fit", prices, "--target", "price", "--steps", 1, "--no-standardize", "--test-fraction", 0)
    assert "standardized" not in plain.out
    assert "200 rows to train on, none held out" in plain.out
    assert plain.value("final loss")


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        ("0 1 1 0 2", "classification"),
        ("yes no yes no yes", "classification"),
        ("0.5 1 1 0 2", "regression"),
        (" ".join(map(str, range(21))), "regression"),
        ("-1 1 -1 1 1", "classification"),
    ],
)
def test_the_task_is_chosen_by_the_target(cells: str, task: str, tmp_path: Path) -> None:
    """A few distinct whole numbers, or text, are classes; all else is a quantity. Saying the task overrules it."""
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells.split())), encoding="utf-8")
    assert read_source(str(path), "y", None).task == task
    if not cells.startswith(("yes", "0.5")):
        other: Any = "regression" if task == "classification" else "classification"
        assert read_source(str(path), "y", other).task == other


def test_arrays_from_an_archive_are_learned(run: Run, tmp_path: Path) -> None:
    """Integers in y are classes, other numbers are targets, one or several; weights take part."""
    x = np.random.RandomState(0).randn(60, 3)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=(x[:, 0] > 0).astype(np.int64))
    assert "classification into 2 classes" in run("fit", path, "--steps", 5).out
    np.savez(path, x=x.astype(np.float32), y=x[:, :2], weights=np.ones(60))
    done = run("fit", path, "--steps", 5, "--save", tmp_path / "model.safetensors")
    assert "3 -> 64 -> 64 -> 2 with relu; mean squared error" in done.out
    assert done.value("test R^2")
    predicted = run("predict", tmp_path / "model.safetensors", path)
    assert predicted.out.splitlines()[0] == "prediction_0,prediction_1"
    assert len(predicted.out.splitlines()) == 61


def test_an_overflow_after_the_last_step_is_shown(run: Run, prices: Path) -> None:
    """As the value it is, without a warning in between."""
    options = ("--optimizer", "sgd", "--learning-rate", "1e200", "--steps", 1)
    done = run("fit", prices, "--target", "price", *options)
    assert (done.code, done.err) == (0, "")
    assert done.value("train loss") in ("inf", "nan")


def test_a_score_far_from_any_use_is_short(run: Run, prices: Path) -> None:
    """A network that was thrown out of all proportion has a score in a few digits, as every other number has."""
    done = run("fit", prices, "--target", "price", "--steps", 20, "--learning-rate", 1e9)
    assert re.fullmatch(r"-\d(\.\d+)?e\+\d+", done.value("test R^2"))


def test_a_constant_held_out_target_has_no_score(run: Run, tmp_path: Path) -> None:
    """And says so, instead of dividing by zero."""
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "".join(f"{i},0.5\n" for i in range(10)), encoding="utf-8")
    done = run("fit", path, "--target", "y", "--task", "regression", "--steps", 2)
    assert (done.code, done.err) == (0, "")
    assert done.value("test R^2").startswith("none")


# --- predictions


def test_a_saved_model_predicts(run: Run, flowers: Path, tmp_path: Path) -> None:
    """Columns are found by name: their order, other columns and a missing target do not matter."""
    model = tmp_path / "model.safetensors"
    run("fit", flowers, "--target", "kind", "--steps", 300, "--save", model)
    done = run("predict", model, flowers)
    assert (done.code, done.err) == (0, "")
    name, *kinds = done.out.splitlines()
    assert name == "kind"
    table = pn.read_csv(flowers, "kind")
    assert kinds == pn.load(model, classes=(Model,)).predict(table.select(("length", "width"))).tolist()
    assert table.categories is not None
    known = [table.categories[2][int(i)] for i in table.column("kind")]  # type: ignore[index]
    assert np.mean(np.array(kinds) == known) > 0.85

    shuffled = tmp_path / "shuffled.csv"
    rows = zip(table.column("length"), table.column("width"), strict=True)
    shuffled.write_text("note,width,length\n" + "".join(f"some text,{w},{n}\n" for n, w in rows), encoding="utf-8")
    assert run("predict", model, shuffled).out == done.out


def test_predicted_numbers_have_the_units_of_the_target(run: Run, prices: Path, tmp_path: Path) -> None:
    """The scale that training took away is given back."""
    model = tmp_path / "model.safetensors"
    run("fit", prices, "--target", "price", "--steps", 400, "--save", model)
    predicted = np.array(run("predict", model, prices).out.splitlines()[1:], float)
    assert np.corrcoef(predicted, pn.read_csv(prices).column("price"))[0, 1] > 0.99
    assert abs(predicted.mean() - 600) < 10


# --- mistakes

TABLE = "a,b,c\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"

ERRORS = [
    ("a ragged row", "a,b,c\n1,2,x\n3,4\n", ("--target", "c"), ["table.csv, line 3", "3 cells", "got 2"]),
    ("text for a number", "a,b,c\n1,2,x\n3,four,y\n", ("--target", "c"), ["line 3", "column 'b'", "'four'", "ignore"]),
    ("NaN", "a,b,c\n1,2,x\n3,nan,y\n", ("--target", "c"), ["line 3", "column 'b'", "NaN", "remove the line"]),
    ("infinity", "a,b,c\n1,inf,x\n3,1,y\n", ("--target", "c"), ["line 2", "column 'b'", "infinite"]),
    ("an empty cell", "a,b,c\n1,,x\n3,1,y\n", ("--target", "c"), ["line 2", "column 'b'", "empty"]),
    ("no such target", TABLE, ("--target", "prize_c"), ["no column 'prize_c'", "The columns are: a, b, c"]),
    ("a mistyped target", "size,price\n1,2\n", ("--target", "prise"), ["did you mean 'price'?"]),
    ("no such column to ignore", TABLE, ("--target", "c", "--ignore", "d"), ["no column 'd'"]),
    ("no target", TABLE, (), ["--target", "which column of table.csv"]),
    ("an empty file", "", ("--target", "c"), ["table.csv", "the file is empty"]),
    ("no rows", "a,b,c\n", ("--target", "c"), ["no data"]),
    ("one row", "a,b\n1,2.5\n", ("--target", "b"), ["table.csv", "1 row", "--test-fraction 0"]),
    ("one class", "a,b\n1,x\n2,x\n", ("--target", "b"), ["'b'", "at least two classes"]),
    ("a fraction as class", "a,b\n1,2\n2,0.5\n", ("--target", "b", "--task", "classification"), ["line 3", "0.5"]),
    ("a class as number", TABLE, ("--target", "c", "--task", "regression"), ["line 2", "'x'", "classification"]),
    ("one bad cell in a target", "a,b\n1,2.5\n2,3,\n", ("--target", "b"), ["line 3"]),
    ("text in a numeric target", "a,b\n1,2.5\n2,1.5\n3,1o\n", ("--target", "b"), ["line 4", "'1o'", "mend the cell"]),
    ("nothing to learn from", "a\n1\n2\n", ("--target", "a"), ["the only column"]),
    ("another delimiter", "a;b\n1;2\n", ("--target", "b"), ["delimiter"]),
    ("batches too large", TABLE, ("--target", "c", "--batch-size", "64"), ["--batch-size 64", "3 rows", "3 or less"]),
    ("divergence", "a,b\n" + "1,2.5\n-3,4\n" * 9,
     ("--target", "b", "--task", "regression", "--optimizer", "sgd", "--learning-rate", "1e30"),
     ["loss", "at step", "lower the learning rate"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "parts"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_a_mistake_in_the_data_is_named(
    text: str, options: tuple[str, ...], parts: list[str], run: Run, tmp_path: Path
) -> None:
    """Exit code 1, and one line on standard error that has the place and the fix."""
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    save = tmp_path / "model.safetensors"
    done = run("fit", path, *options, "--steps", 60, "--save", save)
    assert done.code == 1
    assert done.err.startswith("purenet: error: ")
    assert done.err.count("\n") == 1
    for part in parts:
        assert part in done.err
    assert not save.exists()


ARCHIVES: list[tuple[str, dict[str, Any], tuple[str, ...], str]] = [
    ("no y", {"x": np.ones((3, 2))}, (), "expected the arrays x and y"),
    ("pictures", {"x": np.ones((3, 2, 2)), "y": np.arange(3)}, (), r"x of shape \(rows, inputs\), got \(3, 2, 2\)"),
    ("lengths", {"x": np.ones((3, 2)), "y": np.arange(4)}, (), "same number of rows"),
    ("NaN", {"x": np.full((3, 2), np.nan), "y": np.arange(3)}, (), "NaN at row 0, column 0"),
    ("labels", {"x": np.ones((3, 2)), "y": np.ones(3)}, ("--task", "classification"), "integer labels.*float64"),
    ("one class", {"x": np.ones((3, 2)), "y": np.ones(3, int)}, (), "at least two classes"),
    ("complex", {"x": np.ones((3, 2), complex), "y": np.arange(3)}, (), "real numbers in x"),
    ("target", {"x": np.ones((3, 2)), "y": np.arange(3)}, ("--target", "y"), "leave --target out"),
]


@pytest.mark.parametrize(
    ("arrays", "options", "message"), [row[1:] for row in ARCHIVES], ids=[row[0] for row in ARCHIVES]
)
def test_a_mistake_in_an_archive_is_named(
    arrays: dict[str, Any], options: tuple[str, ...], message: str, run: Run, tmp_path: Path
) -> None:
    """Exit code 1, and what is wrong with the arrays."""
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    done = run("fit", path, *options)
    assert done.code == 1
    assert re.search(message, done.err), done.err
    assert "data.npz" in done.err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("fit", "--optimizer", "adm"), ["--optimizer", "did you mean adam?", "rmsprop"]),
        (("fit", "--activation", "RELU"), ["--activation", "did you mean relu?"]),
        (("fit", "--activation", "xyz"), ["there is no 'xyz'", "gelu"]),
        (("fit", "t.csv", "--task", "clasification"), ["did you mean classification?"]),
        (("fit", "--hidden", "64,x"), ["--hidden", "64,64"]),
        (("fit", "--hidden", "0"), ["--hidden"]),
        (("fit", "--steps", "0"), ["--steps", "at least 1"]),
        (("fit", "--steps", "many"), ["'many'"]),
        (("fit", "--seed", "-1"), ["--seed", "at least 0"]),
        (("fit", "--learning-rate", "0"), ["--learning-rate", "above 0"]),
        (("fit", "--learning-rate", "nan"), ["--learning-rate"]),
        (("fit", "--test-fraction", "1"), ["--test-fraction", "0.2"]),
        (("fit", "t.csv", "--delimiter", "ab"), ["--delimiter"]),
        (("fit", "--hiden", "3"), ["--hiden"]),
        (("fitt",), ["fitt", "fit"]),
        ((), ["COMMAND"]),
        (("predict", "model"), ["table"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_is_written_wrongly_is_told_how(words: tuple[str, ...], parts: list[str], run: Run) -> None:
    """Exit code 2, and the option with what it may be."""
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    for part in (*parts, "--help"):
        assert part in done.err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--target", "a"), ("--task", "regression"), ("--test-fraction", "0.5"), ("--batch-size", "4"), ("--ignore", "a")],
)
def test_an_option_that_needs_a_table_says_so(option: str, value: str, run: Run) -> None:
    """Nothing is ignored silently."""
    done = run("fit", option, value)
    assert done.code == 1
    assert f"{option}: needs a table" in done.err


def test_a_seed_that_random_data_cannot_have_is_refused(run: Run) -> None:
    """NumPy's generator takes 32 bits."""
    done = run("fit", "--seed", 2**32)
    assert (done.code, "--seed" in done.err) == (1, True)


def test_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    """The path, and no traceback."""
    for words in (("fit", tmp_path / "none.csv", "--target", "a"), ("predict", tmp_path / "none.csv", "t.csv")):
        done = run(*words)
        assert done.code == 1
        problem = f"{tmp_path / 'none.csv'}: No such file or directory; check the path and its permissions"
        assert done.err == f"purenet: error: {problem}\n"


def test_a_path_that_cannot_be_written_is_refused_before_the_training(
    run: Run, prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing folder, a folder as file, the data itself, and a folder without permission; nothing is left behind."""
    before = sorted(tmp_path.iterdir())
    cases = {
        tmp_path / "no" / "model.safetensors": "there is no folder",
        tmp_path: "this is a folder",
        prices: "this would replace the data",
    }
    for path, message in cases.items():
        done = run("fit", prices, "--target", "price", "--save", path)
        assert (done.code, done.out) == (1, "")
        assert f"--save {path}: {message}" in done.err

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(types.tempfile, "TemporaryFile", refuse)
        done = run("fit", prices, "--target", "price", "--save", tmp_path / "model.safetensors")
    assert (done.code, done.out) == (1, "")
    assert "Permission denied" in done.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda path: pn.save(pn.Relu(), path), "it holds a Relu, not a model"),
        (lambda path: path.write_text("hello"), "model"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    content: Callable[[Path], None], message: str, run: Run, prices: Path, tmp_path: Path
) -> None:
    """With its path."""
    path = tmp_path / "model"
    content(path)
    done = run("predict", path, prices)
    assert (done.code, done.out) == (1, "")
    assert str(path) in done.err
    assert message in done.err


def test_a_table_that_lacks_an_input_is_refused(run: Run, prices: Path, tmp_path: Path) -> None:
    """With the name of the column, and of all that the table has, also if it has none of those that are needed."""
    model, table = tmp_path / "model", tmp_path / "table.csv"
    run("fit", prices, "--target", "price", "--steps", 1, "--save", model)
    for columns, missing in {"a,c": "b", "c,d": "a"}.items():
        table.write_text(f"{columns}\n1,2\n", encoding="utf-8")
        done = run("predict", model, table)
        assert done.code == 1
        assert f"no column '{missing}'" in done.err
        assert done.err.endswith(f"The columns are: {columns.replace(',', ', ')}\n")


# --- manners


def test_progress_goes_to_a_terminal_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is wiped away before each result, and at the end; nothing of it where nobody looks."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert run("fit", "--steps", 50).err == ""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    done = run("fit", "--steps", 50)
    assert re.search(r"\r\x1b\[Kstep \d+ of 50, loss \d", screen.getvalue())
    assert screen.getvalue().endswith("\r\x1b[K")
    assert "step 1 of" not in done.out


def test_help_lists_commands_and_options(run: Run) -> None:
    """On standard output, with exit code 0."""
    for command in COMMANDS:
        assert re.search(rf"^ +{command.name} +{command.summary}$", run("--help").out, re.M)
        assert run(command.name, "--help").code == 0
    assert "--learning-rate" in run("fit", "--help").out
    assert run("--version").out.split()[0] == "purenet"
    assert re.fullmatch(r"purenet \d+\.\d+\.\d+\S*\n", run("--version").out)


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m purenet` is the command, in a process with warnings as errors."""
    done = python("-m", "purenet", "fit", "--steps", "2", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[4].startswith("0 263655")
    assert python("-m", "purenet", "fit", "--optimizer", "x", folder=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_with_what_was_reached(tmp_path: Path) -> None:
    """Code 130, the summary of the steps that were done, and the model as it was then."""
    path = tmp_path / "model.safetensors"
    with start("fit", "--steps", 10**8, "--save", path) as process:
        assert process.stdout is not None
        before = [process.stdout.readline() for _ in range(6)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert before[-1].startswith("1 ")
    done = Done(process.returncode, "".join(before) + out, err)
    assert done.code == 130
    steps = int(done.value("steps"))
    assert done.err == f"purenet: interrupted after {steps} of {10**8} steps\n"
    assert 2 <= steps < 10**8
    assert float(done.value("final loss")) > 0
    assert pn.digest(pn.load(path, classes=(Model,)).net) == done.value("digest")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE")
@pytest.mark.parametrize("saves", [False, True])
def test_a_reader_that_leaves_ends_the_command(saves: bool, tmp_path: Path) -> None:
    """`purenet fit | head -1`: no traceback, code 141; a model is saved, and only that is said."""
    path = tmp_path / "model.safetensors"
    with start("fit", "--steps", 2000, *(("--save", path) if saves else ())) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("0 "):
            pass
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 141
    assert bool(err) == path.exists() == saves
    if saves:
        assert re.fullmatch(r"purenet: nobody reads the output; what was reached after \d+ of 2000 steps .*\n", err)
        assert isinstance(pn.load(path, classes=(Model,)), Model)
