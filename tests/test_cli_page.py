"""What docs/command-line.md shows is what the command does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from documents import DocumentError, blocks, check_printed
from repository import ROOT

from purenet.cli import COMMANDS, main

PAGE = ROOT / "docs" / "command-line.md"


def run_page(text: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Run the Python and the commands of a page in this folder, and compare what is shown; how many commands ran."""
    printed, count = "", 0
    for block in blocks(text):
        if block.language == "python":
            exec(compile(block.text, "page", "exec"), {})
        elif block.language == "sh":
            for line in block.text.splitlines():
                name, *words = shlex.split(line)
                assert (name, main(words) in (0, 1)) == ("purenet", True), line
                count += 1
            printed, errors = capsys.readouterr()
            assert errors == ""
        elif block.comment == "shows":
            check_printed(block.text, printed, f"line {block.line}")
    return count


def test_the_page_shows_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command and all that it prints, to the last digit of every loss and digest, on any machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "90")
    assert run_page(PAGE.read_text(encoding="utf-8"), capsys) >= 9


def test_the_page_has_every_command() -> None:
    """In the words of `purenet --help`."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.M)
    plain = [(name, re.sub(r"\[(.*?)\]\(.*?\)", r"\1", summary)) for name, summary in rows]
    assert plain == [(command.name, command.summary) for command in COMMANDS]


def test_a_page_that_shows_something_else_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that is not the one that is printed."""
    monkeypatch.chdir(tmp_path)
    page = "```sh\npurenet fit --steps 1 --hidden 2\n```\n\n<!-- shows -->\n```text\n...\n0 1.5\n...\n```\n"
    with pytest.raises(DocumentError):
        run_page(page, capsys)
