"""`python tests/benchmarks`: measure, and print or write the tables of docs/performance.md."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    tests = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(tests), str(tests.parent)]  # this checkout's purenet, even where another one is installed

    from benchmarks.command import main

    sys.exit(main(sys.argv[1:]))
