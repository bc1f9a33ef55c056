"""What is installed: small, self-contained, and by the commands that the README gives."""

from __future__ import annotations

import ast
import email
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from documents import blocks
from repository import PACKAGE, ROOT, own_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUN_TIME = {"numpy", "attrs", "toolz"}
WHEEL_LIMIT = 350_000
TRAINING_LIMIT = 200_000
"""Of the wheel without what the promises of the same bits and of replay take, and without the command line."""
PROMISES = tuple(
    f"purenet/{part}"
    for part in ("arithmetic/", "transforms/portability/", "conformance/", "history/", "cli/", "fingerprint.py")
)


def _taken(member: zipfile.ZipInfo) -> int:
    """The bytes that a member takes in an archive: its content, and its name and an entry before it and in the list."""
    return member.compress_size + 30 + 46 + 2 * len(member.filename)


def required_names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, without those of an extra."""
    return {re.split(r"[^\w.-]", line)[0].lower() for line in requirements if "extra ==" not in line}


def test_running_needs_three_packages_and_testing_one_more() -> None:
    """The core brings numpy, attrs and toolz and nothing else; the test extra brings pytest."""
    assert required_names(PROJECT["dependencies"]) == RUN_TIME
    assert required_names(PROJECT["optional-dependencies"]["test"]) == {"pytest"}
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_package_is_typed_and_has_a_command() -> None:
    """py.typed tells type checkers to read the annotations, and `purenet` starts a function that exists."""
    assert (PACKAGE / "py.typed").exists()
    module, _, function = PROJECT["scripts"]["purenet"].partition(":")
    base = ROOT / module.replace(".", "/")
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    assert path.exists(), f"there is no {module}"
    names = {node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
    assert function in names


def test_the_readme_gives_both_commands_on_a_line_each() -> None:
    """.ci/run runs what stands below these two comments, so the README cannot promise another command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = {block.comment: block.text for block in blocks(text) if block.comment.startswith("command: ")}
    assert set(commands) == {"command: run", "command: test"}
    for name, command in commands.items():
        assert command.count("\n") == 1, f"{name} is not one line"
        assert command.startswith("python3 -m venv .venv && ")
    assert "purenet fit" in commands["command: run"]
    assert "pytest" in commands["command: test"]


@pytest.mark.longer
def test_the_wheel_is_small_and_holds_the_package_alone(tmp_path: Path) -> None:
    """Built from the source distribution: under 350 kB, all modules and nothing besides, three requirements."""
    pytest.importorskip("build")
    checkout, built = tmp_path / "checkout", tmp_path / "built"
    for file in own_files():
        copy = checkout / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    command = [sys.executable, "-m", "build", "--outdir", str(built), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    [wheel] = built.glob("*.whl")
    assert wheel.stat().st_size < WHEEL_LIMIT, f"the wheel has {wheel.stat().st_size} bytes"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        promises = [_taken(member) for member in archive.infolist() if member.filename.startswith(PROMISES)]
        [metadata_name] = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(metadata_name))
    assert wheel.stat().st_size - sum(promises) < TRAINING_LIMIT
    package = {name for name in names if ".dist-info/" not in name}
    assert package == {path.relative_to(ROOT).as_posix() for path in own_files(PACKAGE)}
    assert required_names(metadata.get_all("Requires-Dist", [])) == RUN_TIME
    assert metadata["Version"] == PROJECT["version"]
