"""Results as Markdown tables, and where they stand in docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean, median
from typing import Any

from benchmarks.environment import BUSY
from benchmarks.growth import departures
from benchmarks.peers import TITLES
from benchmarks.timing import NOISY, ratio, spread

GROWTH_COLUMNS = {"width": "width", "batch": "rows of the batch", "depth": "layers", "length": "rows of the dataset"}
ARITHMETIC_TITLES = {
    "fold": "native",
    "portable": "**portable, 1 slice**",
    "portable_2": "2 slices",
    "portable_3": "3 slices",
    "torch_eager": "PyTorch",
    "loop": "a loop in fixed order",
}
PROGRAM_TITLES = {"script": "plain script", "purenet": "**purenet**", "jax": "JAX", "torch": "PyTorch"}


def render(results: Sequence[dict[str, Any]], date: str) -> dict[str, str]:
    """The text of each table that was measured, with a part for each result (one for each setting of the threads)."""
    makers = {
        "training": training,
        "prediction": prediction,
        "arithmetic": arithmetic,
        "recording": recording,
        "processes": whole_processes,
        "growth": growth,
    }
    texts: dict[str, str] = {}
    for name, make in makers.items():
        measured = [result for result in results if (set(GROWTH_COLUMNS) if name == "growth" else {name}) & set(result)]
        if measured:
            parts = [f"{conditions(r['environment'], date)}\n\n{make(r)}" for r in measured]
            texts[name] = "\n\n".join(parts)
    return texts


def conditions(environment: dict[str, Any], date: str) -> str:
    """The machine, the libraries and the settings, in a sentence, with a warning if the machine was busy."""
    e = environment
    threads = f"{e['threads']} thread" + "s" * (e["threads"] != 1)
    names = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "optax": "Optax"}
    versions = ", ".join(f"{names.get(name, name)} {number}" for name, number in e["versions"].items())
    text = (
        f"**{threads[0].upper()}{threads[1:]}.** {date}; {e['cpu']}, {e['cores']} cores, {e['system']}; Python "
        f"{e['python']}; {versions}; {e['blas']}; {e['rounds']} rounds."
    )
    if e["others"] is not None and e["others"] > BUSY:
        text += f" **Other programs used {e['others']:.0%} of the machine meanwhile: do not trust these figures.**"
    return text


def training(result: dict[str, Any]) -> str:
    """Microseconds of a step, with a line of what the rows come to together."""
    rows = result["training"]
    lines = [_timings("workload", rows, TITLES), "", *_summary(rows), *_notes(rows)]
    return "\n".join(lines)


def prediction(result: dict[str, Any]) -> str:
    """Microseconds of a prediction for one example."""
    rows = result["prediction"]
    shares = ", ".join(f"{share:.2f}" for share in _over("script", rows))
    note = [f"purenet over the bare expression: {shares}."] if shares else []
    return "\n".join([_timings("network", rows, TITLES), "", *note, *_noise(rows)]).rstrip()


def arithmetic(result: dict[str, Any]) -> str:
    """Microseconds of a step in native and portable arithmetic."""
    rows = result["arithmetic"]
    return "\n".join([_timings("workload", rows, ARITHMETIC_TITLES), "", *_noise(rows)]).rstrip()


def recording(result: dict[str, Any]) -> str:
    """Microseconds that recording adds to a step, and what a long history takes."""
    rows, opening = result["recording"]["rows"], result["recording"]["opening"]
    lines = ["| workload | native step | recorded | more, µs | more, % | once, ms |", "|---|---:|---:|---:|---:|---:|"]
    for row in rows:
        bare, recorded = row["rounds"]["fold"], row["rounds"]["recorded"]
        more = median(b - a for a, b in zip(bare, recorded, strict=True))
        share = 100 * (ratio(recorded, bare) - 1)
        cells = [_cell(bare, 1e6), _cell(recorded, 1e6), f"{1e6 * more:.1f}", f"{share:.1f}"]
        cells.append(_cell(row["rounds"]["once"], 1e3))
        lines.append(f"| {row['title']} | {' | '.join(cells)} |")
    opened = f"{1e3 * median(opening['seconds']):.1f} ms to open, {opening['bytes']:.0f} bytes of journal a step"
    return "\n".join([*lines, "", f"A history of {opening['steps']:,} steps: {opened}.", *_noise(rows)])


def whole_processes(result: dict[str, Any]) -> str:
    """Milliseconds and megabytes of whole processes."""
    found = result["processes"]
    lines = ["| process | milliseconds | times the plain script | peak memory, MB | times the plain script |"]
    lines.append("|---|---:|---:|---:|---:|")
    for name, seconds in found["seconds"].items():
        memory = found["megabytes"][name]
        slower = ratio(seconds, found["seconds"]["script"])
        larger = ratio(memory, found["megabytes"]["script"])
        cells = [_figure(1e3 * median(seconds)), f"{slower:.2f}", f"{median(memory):.0f}", f"{larger:.2f}"]
        lines.append(f"| {PROGRAM_TITLES[name]} | {' | '.join(cells)} |")
    lines += ["", f"An empty Python process takes {1e3 * found['empty']:.0f} ms of each."]
    noisy = [PROGRAM_TITLES[name] for name, times in found["seconds"].items() if spread(times) > NOISY]
    if noisy:
        lines.append(f"Noisy (quartiles more than {NOISY:.0%} apart): {', '.join(noisy)}.")
    return "\n".join(lines)


def growth(result: dict[str, Any]) -> str:
    """Microseconds of a step as one size grows, beside the floor, and the departure from the fit."""
    parts = []
    for what, column in GROWTH_COLUMNS.items():
        if what in result:
            parts.append(_growth(result[what], what, column))
    return "\n\n".join(parts)


def _growth(table: list[dict[str, Any]], what: str, column: str) -> str:
    beside = "bare epoch" if what == "length" else TITLES["floor"]
    lines = [f"| {column} | {beside} | **purenet** | ratio | departure from the fit |", "|---:|---:|---:|---:|---:|"]
    (a, c), found = departures(table)
    for row, departure in zip(table, found, strict=True):
        floor, fold = row["rounds"]["floor"], row["rounds"]["fold"]
        cells = [f"{row['size']:,}", _figure(1e6 * median(floor)), _cell(fold, 1e6), f"{ratio(fold, floor):.2f}"]
        lines.append(f"| {' | '.join(cells)} | {100 * departure:+.0f} % |")
    fit = f"{a:.2f} times the {beside}, and {1e6 * c:.1f} µs for each layer"
    lines += ["", f"Growth with {what}: the fit is {fit}.", *_noise(table)]
    return "\n".join(lines)


def _timings(corner: str, rows: list[dict[str, Any]], titles: dict[str, str]) -> str:
    """A line for each row, a column for each contender: microseconds, and in brackets the ratio to purenet."""
    titles = {name: title for name, title in titles.items() if any(name in row["rounds"] for row in rows)}
    lines = [f"| {corner} | {' | '.join(titles.values())} |", "|---|" + "---:|" * len(titles)]
    for row in rows:
        times = row["rounds"]
        cells = []
        for name in titles:
            if name not in times:
                cells.append("-")
            elif name == "fold" or "fold" not in times:
                cells.append(f"**{_cell(times[name], 1e6)}**" if name == "fold" else _cell(times[name], 1e6))
            else:
                cells.append(f"{_cell(times[name], 1e6)} ({ratio(times[name], times['fold']):.2f})")
        lines.append(f"| {row['title']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _summary(rows: list[dict[str, Any]]) -> list[str]:
    """What the acceptance of the training table asks for, in sentences."""
    lines = []
    if floors := _over("floor", rows):
        lines.append(f"purenet over the matrix products, row by row: {', '.join(f'{f:.2f}' for f in floors)}.")
    if scans := _over("jax_scan", rows):
        lines.append(f"purenet over `jax.lax.scan`: geometric mean {geometric_mean(scans):.2f} of {len(scans)} rows.")
    if bounds := _over("jax_scan", rows, of="bare"):
        lines.append(f"{TITLES['bare']} over `jax.lax.scan`: geometric mean {geometric_mean(bounds):.2f}.")
    slower = [
        f"{TITLES[name]} on {row['title']} ({ratio(row['rounds']['fold'], times):.2f})"
        for row in rows if "fold" in row["rounds"]
        for name, times in row["rounds"].items()
        if name not in {"floor", "bare", "fold", "jax_scan"} and ratio(row["rounds"]["fold"], times) > 1
    ]  # fmt: skip
    if any("fold" in row["rounds"] and len(row["rounds"]) > 2 for row in rows):
        lines.append(f"purenet is slower than {'; '.join(slower) or 'nobody else'}.")
    return lines


def _over(name: str, rows: list[dict[str, Any]], of: str = "fold") -> list[float]:
    """The ratio of purenet, or of another, to a contender, on the rows where both were measured."""
    return [ratio(r["rounds"][of], r["rounds"][name]) for r in rows if {of, name} <= set(r["rounds"])]


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    """How somebody's arithmetic differs, who could not run, and which figures are noisy."""
    lines = []
    for name in TITLES:
        for key in ("notes", "skipped"):
            told = dict.fromkeys(row[key][name] for row in rows if name in row.get(key, {}))
            lines += [f"{TITLES[name]}: {text}." for text in told if name != "floor"]
    return [*lines, *_noise(rows)]


def _noise(rows: list[dict[str, Any]]) -> list[str]:
    """A warning if figures are marked as noisy."""
    if any(spread(times) > NOISY for row in rows for times in row["rounds"].values()):
        return [f"~ marks a figure whose quartiles are more than {NOISY:.0%} apart: measure on a quieter machine."]
    return []


def _cell(times: Sequence[float], scale: float) -> str:
    return _figure(scale * median(times)) + ("~" if spread(times) > NOISY else "")


def _figure(value: float) -> str:
    """Three significant digits.

    Example:
        >>> [_figure(x) for x in (0.1234, 12.34, 1234.5)]
        ['0.123', '12.3', '1,234']
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def placed(document: str, texts: dict[str, str]) -> str:
    """A document with each text between its marks, `<!-- table: NAME -->` and `<!-- end of table -->`.

    Raises:
        ValueError: if a mark is missing.

    Example:
        >>> placed("<!-- table: a -->\\nold\\n<!-- end of table -->\\n", {"a": "new"})
        '<!-- table: a -->\\n\\nnew\\n\\n<!-- end of table -->\\n'
    """
    for name, text in texts.items():
        opening, closing = f"<!-- table: {name} -->\n", "<!-- end of table -->"
        before, found, rest = document.partition(opening)
        _, ended, after = rest.partition(closing)
        if not found or not ended:
            raise ValueError(f"the document has no lines <!-- table: {name} --> and {closing}")
        document = f"{before}{opening}\n{text}\n\n{closing}{after}"
    return document
