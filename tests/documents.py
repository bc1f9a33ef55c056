"""Runs the Python of a Markdown document from top to bottom, as one program.

Blocks fenced as ```python are executed and blocks fenced as ```pycon are doctested, in order and in one namespace. A
block fenced as ```text with the comment `<!-- prints -->` above it is what the Python block before it has to print.
A comment `<!-- not run -->` or `<!-- not run: why -->` above a block leaves that block out. As a program:

    python -W error tests/documents.py README.md
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import sys
import types
from dataclasses import dataclass
from pathlib import Path

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+-]*)[^`]*$")
_COMMENT = re.compile(r"^\s*<!--\s*(.*?)\s*-->\s*$")
_NUMPY_2_SCALAR = re.compile(r"np\.(?:(?:float|int|uint|complex)\d+|str_)\(([^()]*(?:\([^()]*\))?)\)|np\.(True|False)_")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the comment above it, the line of its first line of text, and its text."""

    language: str
    comment: str
    line: int
    text: str


class DocumentError(AssertionError):
    """A document shows something that does not happen."""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text.

    Example:
        >>> blocks("<!-- not run -->\\n```python\\n1 / 0\\n```\\n")
        [Block(language='python', comment='not run', line=3, text='1 / 0\\n')]
    """
    found: list[Block] = []
    lines = text.splitlines()
    comment, position = "", 0
    while position < len(lines):
        opening = _FENCE.match(lines[position])
        if opening is None:
            above = _COMMENT.match(lines[position])
            if above is not None or lines[position].strip():
                comment = above[1] if above is not None else ""
            position += 1
            continue
        start = position + 1
        position = start
        while position < len(lines) and lines[position].strip() != opening["fence"]:
            position += 1
        if position == len(lines):
            raise DocumentError(f"line {start}: this block is not closed")
        indent = len(opening["indent"])
        body = "".join(line[indent:] + "\n" for line in lines[start:position])
        found.append(Block(opening["language"], comment, start + 1, body))
        comment, position = "", position + 1
    return found


def prose(text: str) -> str:
    """A Markdown text without its fenced blocks and code spans, line for line."""
    lines = text.splitlines()
    for block in blocks(text):
        for line in range(block.line - 1, block.line - 1 + block.text.count("\n")):
            lines[line] = ""
    return re.sub(r"`[^`\n]*`", "", "\n".join(lines))


def run(path: Path) -> int:
    """Run a document's blocks in the current directory, and return how many ran.

    Raises:
        DocumentError: if a doctest fails, or a block prints something else than the document says.
        Exception: whatever a block raises; the traceback has the document's own line.
    """
    program = types.ModuleType("__main__")
    program.__dict__["__file__"] = str(path)
    sys.modules["__main__"] = program
    printed, count = "", 0
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.comment.startswith("not run"):
            continue
        if block.language == "python":
            printed = _execute(block, path, program)
        elif block.language == "pycon":
            _doctest(block, path, program)
        elif block.comment == "prints":
            check_printed(block.text, printed, f"{path.name}, line {block.line}")
        else:
            continue
        count += 1
    return count


def check_printed(want: str, got: str, where: str) -> None:
    """Compare what a document says is printed with what was, forgiving white space and `...` as doctest does."""
    if not doctest.OutputChecker().check_output(want, got, OPTIONS):
        raise DocumentError(f"{where}: the document says that this is printed:\n{want}\nbut this was:\n{got}")


def without_scalar_types(text: str) -> str:
    """NumPy 2's way to show scalars turned into NumPy 1's.

    Example:
        >>> without_scalar_types("(np.float64(1.5), np.True_, np.complex128(1+2j), array([1.]))")
        '(1.5, True, (1+2j), array([1.]))'
    """

    def plain(match: re.Match[str]) -> str:
        if match[2]:
            return match[2]
        return f"({match[1]})" if match[0].startswith("np.complex") else match[1]

    return _NUMPY_2_SCALAR.sub(plain, text)


def show_scalars_as_numpy_1_does() -> None:
    """Make every doctest of this process, written for NumPy 2, expect scalars as NumPy 1 shows them."""
    check = doctest.OutputChecker.check_output

    def tolerant(self: doctest.OutputChecker, want: str, got: str, optionflags: int) -> bool:
        return check(self, without_scalar_types(want), got, optionflags)

    doctest.OutputChecker.check_output = tolerant  # type: ignore[method-assign]


def _execute(block: Block, path: Path, program: types.ModuleType) -> str:
    output = io.StringIO()
    source = "\n" * (block.line - 1) + block.text
    with contextlib.redirect_stdout(output):
        exec(compile(source, str(path), "exec"), program.__dict__)
    return output.getvalue()


def _doctest(block: Block, path: Path, program: types.ModuleType) -> None:
    session = doctest.DocTestParser().get_doctest(block.text, program.__dict__, path.name, str(path), block.line - 1)
    session.globs = program.__dict__
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    if runner.run(session, out=report.append, clear_globs=False).failed:
        raise DocumentError("".join(report))


if __name__ == "__main__":
    import numpy

    if numpy.__version__.startswith("1."):
        show_scalars_as_numpy_1_does()
    document = Path(sys.argv[1]).resolve()
    print(f"{run(document)} blocks of {document.name} hold")
