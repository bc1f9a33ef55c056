"""What README and docs show is what happens, and their links lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import names_page
import pytest
from documents import DocumentError, blocks, prose, run
from repository import ROOT, documents, python, shown

_LINK = re.compile(
    r"""!?\[[^\]]*\]\(([^)\s]+)(?:\s+"[^"]*")?\)"""  # [text](target "title"), ![picture](target)
    r"""|<img[^>]*\ssrc="([^"]+)\""""
    r"""|^\[[^\]]+\]:\s*(\S+)""",  # [name]: target
    re.M,
)


def links(text: str) -> list[str]:
    """Every link and picture of a Markdown text that does not lead to another site."""
    found = ["".join(match) for match in _LINK.findall(prose(text))]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(text: str) -> set[str]:
    """The names by which links lead to the headings of a Markdown text."""
    headings = re.findall(r"^#+ +(.*?) *#*$", re.sub(r"^(`{3,}|~{3,}).*?^\1", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", documents(), ids=shown)
def test_the_python_of_a_document_runs(path: Path, tmp_path: Path) -> None:
    """A document's blocks, in order, in a process and an empty folder of their own, with warnings as errors."""
    done = python(ROOT / "tests" / "documents.py", path, folder=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("path", documents(), ids=shown)
def test_every_python_block_is_fenced_as_one(path: Path) -> None:
    """Nothing escapes by its fence: no other spelling of python, and no `>>>` outside pycon."""
    for block in blocks(path.read_text(encoding="utf-8")):
        where = f"{shown(path)}, line {block.line}"
        assert block.language not in {"py", "python3", "Python", "doctest"}, f"{where}: fence it as python or pycon"
        if ">>>" in block.text:
            assert block.language == "pycon", f"{where}: fence a session with >>> as pycon"


@pytest.mark.parametrize("path", documents(), ids=shown)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file of the repository, and a heading where it names one."""
    for link in links(path.read_text(encoding="utf-8")):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{shown(path)}: no such file: {link}"
        assert target.is_relative_to(ROOT), f"{shown(path)}: {link} leads out of the repository"
        if anchor and target.suffix == ".md":
            known = anchors(target.read_text(encoding="utf-8"))
            assert anchor in known, f"{shown(path)}: no such heading: {link}; there are {sorted(known)}"


def test_every_page_can_be_reached_from_the_index() -> None:
    """README leads to docs/index.md, and that leads to every other page of docs."""
    reached, to_visit = set(), [ROOT / "README.md"]
    while to_visit:
        page = to_visit.pop()
        if page in reached or not page.exists():
            continue
        reached.add(page)
        targets = [link.partition("#")[0] for link in links(page.read_text(encoding="utf-8"))]
        to_visit += [(page.parent / target).resolve() for target in targets if target.endswith(".md")]
    assert ROOT / "docs" / "index.md" in reached, "README.md does not link to docs/index.md"
    assert set(documents()) <= reached, f"nothing leads to {[shown(page) for page in set(documents()) - reached]}"


def test_the_page_of_names_is_up_to_date() -> None:
    """It has every public name, as it is called now and with what its docstring says now."""
    assert names_page.unlisted() == set()
    assert names_page.PAGE.read_text(encoding="utf-8") == names_page.page(), "run python tests/names_page.py"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\nassert 1 + 1 == 3\n```\n", AssertionError),
        ("```python\na = 1\n```\n\n```pycon\n>>> a\n2\n```\n", DocumentError),
        ("```python\nprint('loss 3')\n```\n\n<!-- prints -->\n```text\nloss 4\n```\n", DocumentError),
        ("1. In a list:\n\n   ```python\n   undefined\n   ```\n", NameError),
        ("```python\nopen_ended = True\n", DocumentError),
    ],
)
def test_a_document_that_shows_something_else_fails(text: str, error: type[Exception], tmp_path: Path) -> None:
    """A false assertion, session or printout, an error, and a block without end are each caught."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        with pytest.raises(error):
            run(page)


def test_a_document_that_holds_passes(tmp_path: Path) -> None:
    """One namespace for all blocks, `...` in what is printed, and no run of what is marked so."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run -->\n\n```python\n1 / 0\n```\n\n```python\nx = 2\nprint('took', x, 's')\n```\n\n"
        "<!-- prints -->\n```text\ntook ... s\n```\n\n```pycon\n>>> y = x + 1\n>>> y\n3\n```\n\n"
        "```sh\nexit 1\n```\n\n~~~python\nassert y == 3\n~~~\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        assert run(page) == 4


def test_links_and_anchors_are_found() -> None:
    """Links, titled links, pictures and references count; code, and other sites, do not."""
    text = (
        '[a](a.md) ![b](b.svg "picture") [c](https://c.org) `[d](d.md)` <img alt=\'\' src="e.png">\n'
        "[f]: f.md\n\n```python\nx[0](g)\n```\n"
    )
    assert links(text) == ["a.md", "b.svg", "e.png", "f.md"]
    assert anchors("# One\n## Two, `three`: four-5\n```sh\n# six\n```\n") == {"one", "two-three-four-5"}
