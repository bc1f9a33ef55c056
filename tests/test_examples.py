"""Every example is a program that runs as it stands: offline, without a warning, and with something to show."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from repository import ROOT, own_files, python, python_offline, shown

FOLDER = ROOT / "examples"
EXAMPLES = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def test_the_examples_are_there_and_numbered() -> None:
    """There are examples, numbered from 01 without a gap, and no program among them that these tests would miss."""
    numbers = [int(path.name[:2]) for path in EXAMPLES]
    assert numbers, "the examples folder has no numbered program"
    assert numbers == list(range(1, len(numbers) + 1))
    assert {path for path in own_files(FOLDER) if path.suffix == ".py" and path.parent == FOLDER} == set(EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=shown)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """It ends well and prints something, offline, with warnings as errors; it writes only where it is run."""
    before = {file: file.stat().st_mtime_ns for file in own_files(FOLDER)}
    done = python_offline(path, folder=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.strip(), "the example prints nothing"
    assert not done.stderr, done.stderr
    assert {file: file.stat().st_mtime_ns for file in own_files(FOLDER)} == before, "the example wrote into its folder"


@pytest.mark.parametrize("path", EXAMPLES, ids=shown)
def test_an_example_can_be_imported(path: Path, tmp_path: Path) -> None:
    """Importing it prints nothing, and gives a `main` that needs no argument."""
    program = (
        f"import inspect, runpy; main = runpy.run_path({str(path)!r}, run_name='example')['main'];"
        "inspect.signature(main).bind()"
    )
    done = python("-c", program, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", EXAMPLES, ids=shown)
def test_an_example_says_what_it_shows(path: Path) -> None:
    """It opens with a docstring, and is short enough to be read at one sitting."""
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "the example has no docstring"
    assert text.count("\n") <= 150


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "has to work offline"),
        ("import warnings; warnings.warn('look')", "look"),
        ("raise SystemExit(3)", ""),
    ],
)
def test_a_program_that_breaks_a_rule_fails(program: str, message: str, tmp_path: Path) -> None:
    """The network, a warning and an exit code are each noticed."""
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    done = python_offline(path, folder=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
