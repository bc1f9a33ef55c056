"""The repository as the tests see it: where it is, its own text files, and how to run a program against it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "purenet"

# What tools and runs leave behind; git ignores it.
_LEFT_BEHIND = {"__pycache__", "build", "dist", "runs"}
_TEXT = {".py", ".md", ".toml", ".txt", ".csv", ".svg", ".json", ".cfg", ".ini", ".yml", ".yaml", ".typed", ""}

_OFFLINE = """
import runpy, sys
def forbid(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"):
        raise PermissionError(f"{event}: this program has to work offline")
sys.addaudithook(forbid)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def is_own(path: Path) -> bool:
    """Whether a file belongs to the repository, rather than to a tool, a virtual environment or git."""
    parts = path.relative_to(ROOT).parts
    if any(part in _LEFT_BEHIND or part.endswith((".egg-info", ".pyc")) for part in parts):
        return False
    return parts[0] in {".ci", ".gitignore", ".github"} or not parts[0].startswith(".")


def own_files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file of the repository below a folder, in order."""
    for path in sorted(folder.iterdir()):
        if is_own(path):
            if path.is_dir():
                yield from own_files(path)
            else:
                yield path


def text_files() -> Iterator[Path]:
    """Every file of the repository that people read."""
    return (path for path in own_files() if path.suffix in _TEXT)


def documents() -> list[Path]:
    """The README and the pages of docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def modules() -> list[Path]:
    """Every module of the package."""
    return [path for path in own_files(PACKAGE) if path.suffix == ".py"]


def shown(path: Path) -> str:
    """A path as a test's name shows it."""
    return path.relative_to(ROOT).as_posix()


def python(
    *arguments: str | Path, folder: Path, path: Path = ROOT, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with the purenet of this checkout, or of another path, and with warnings as errors."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        encoding="utf-8", timeout=timeout, check=False,
    )  # fmt: skip


def python_offline(program: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python program like `python` does, where any use of the network is an error."""
    return python("-c", _OFFLINE, program, *arguments, folder=folder)
