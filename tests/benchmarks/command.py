"""The command: measure with each setting of the threads in a process of its own, then print or write the tables."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "performance.md"
TABLES = ("training", "prediction", "arithmetic", "recording", "processes", "width", "batch", "depth", "length")
QUICK: dict[str, Any] = {
    "rounds": 5,
    "seconds": 0.01,
    "checked": 5,
    "recorded": 0.2,
    "largest": {"width": 512, "batch": 1024, "depth": 16, "length": 100_000},
}
QUICK_TABLES = ("training", "prediction")


def main(arguments: list[str]) -> int:
    """Run the command with these arguments."""
    chosen = parse(arguments)
    results = [measured(options) for options in chosen["options"]]
    from benchmarks.tables import placed, render

    texts = render(results, datetime.datetime.now(tz=datetime.UTC).date().isoformat())
    for name, text in texts.items():
        print(f"\n## {name}\n\n{text}")
    if chosen["write"]:
        PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), texts), encoding="utf-8")
        print(f"\nwritten to {PAGE}")
    return 0


def parse(arguments: list[str]) -> dict[str, Any]:
    """The arguments as `{"write": bool, "options": [options of measure.Options for each setting of the threads]}`."""
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks",
        description="Measure purenet and every installed peer on the same work (peers: pip install '.[bench]').",
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, metavar="TABLE", help=f"of {', '.join(TABLES)}; all")
    parser.add_argument("--rows", nargs="+", type=int, choices=range(1, 8), metavar="ROW", help="training rows; all 7")
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="modules of peers/; all but torch_compile")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too (minutes of compiling)")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N", help="thread settings, one after the other")
    parser.add_argument("--quick", action="store_true", help="training and prediction, few and short rounds")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/performance.md")
    given = parser.parse_args(arguments)

    options: dict[str, Any] = dict(QUICK) if given.quick else {}
    options["tables"] = given.tables or (QUICK_TABLES if given.quick else TABLES)
    if given.rows:
        options["rows"] = given.rows
        options["tables"] = given.tables or ("training",)
    options["peers"] = chosen_peers(parser, given.peers, given.compile)
    settings = given.threads or [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()]
    return {"write": given.write, "options": [{**options, "threads": threads} for threads in settings]}


def chosen_peers(parser: argparse.ArgumentParser, names: list[str] | None, compiled: bool) -> list[str]:
    """The names of the contenders; purenet always takes part, for everything is compared with it."""
    from benchmarks.peers import PEERS

    known = [peer.name for peer in PEERS]
    for name in names or ():
        if name not in known:
            parser.error(f"no such peer: {name}; there are {', '.join(known)}")
    wanted = {*names, "script", "fold"} if names else {peer.name for peer in PEERS if not peer.asked_for}
    return [name for name in known if name in wanted or (compiled and name == "torch_compile")]


def measured(options: dict[str, Any]) -> dict[str, Any]:
    """What a process of its own measures with these options."""
    from benchmarks.environment import with_threads

    environment = with_threads(options["threads"], dict(os.environ), [TESTS.parent, TESTS])
    print(f"measuring with {options['threads']} thread(s)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.measure", json.dumps(options)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"the measuring process ended with exit code {done.returncode}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]
