"""A curve of losses, drawn in text."""

from __future__ import annotations

from typing import Any

import numpy as np

_BLOCKS, _ASCII = " ▁▂▃▄▅▆▇█", " .:|"
_WIDE = 30.0  # a range of factors that is hard to see on a linear axis


def loss_curve(losses: Any, width: int, height: int = 8, *, blocks: bool = True, first: int = 0) -> list[str]:
    """The lines of a chart: a column for each stretch of steps, as high as the mean of its finite losses.

    The axis is logarithmic where the losses are positive and span a wide range.

    Args:
        losses: one for each step.
        width: of the lines, in characters.
        height: in lines, at least 3.
        blocks: whether block characters can be shown; ASCII if not.
        first: the number of the first step.

    Example:
        >>> for line in loss_curve([3.0, 1.5, 2.0, 1.5, 1.0], 9, 4, blocks=False):
        ...     print(line)
        3 | |
          | | .
          | |.|.
        1 | ||||.
            0   4
    """
    values = np.asarray(losses, np.float64)
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return ["no step has a finite loss"]
    low, high = float(values[is_finite].min()), float(values[is_finite].max())
    is_log = low > 0 and high > _WIDE * low
    sides = [f"{high:.4g}", *(["log"] if is_log else [""]), *[""] * (height - 3), f"{low:.4g}"]
    margin = max(map(len, sides))
    if is_log:
        values, low, high = np.log(np.where(is_finite, values, np.nan)), float(np.log(low)), float(np.log(high))
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the largest
        columns = _means(values, max(1, width - margin - 3))
        heights = np.clip((columns - low) / ((high - low) or 1.0), 0.0, 1.0)
    rows = _bars(heights, height, _BLOCKS if blocks else _ASCII)
    begin, end = str(first), str(first + len(values) - 1)
    axis = begin + end.rjust(len(columns) - len(begin)) if len(columns) > len(begin + end) else end
    lines = [f"{side:>{margin}} | {row}" for side, row in zip(sides, rows, strict=True)]
    return [line.rstrip() for line in [*lines, f"{'':{margin}}   {axis}"]]


def _means(values: Any, most: int) -> Any:
    """The means of at most so many stretches of equal length; NaN where a stretch has no finite value."""
    bounds = np.linspace(0, len(values), min(most, len(values)) + 1).astype(np.int64)[:-1]
    is_finite = np.isfinite(values)
    sums = np.add.reduceat(np.where(is_finite, values, 0.0), bounds)
    counts = np.add.reduceat(is_finite.astype(np.float64), bounds)
    return np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)


def _bars(heights: Any, lines: int, characters: str) -> list[str]:
    """The lines of columns whose heights are from 0 to 1; the lowest column can still be seen."""
    parts = len(characters) - 1
    levels = np.where(np.isnan(heights), 0, 1 + np.rint(np.nan_to_num(heights) * (lines * parts - 1))).astype(np.int64)
    filled = [np.clip(levels - parts * line, 0, parts) for line in reversed(range(lines))]
    return ["".join(characters[level] for level in row) for row in filled]
