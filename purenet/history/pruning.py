"""`prune`: stored states are removed to make room; what they held can be computed again."""

from __future__ import annotations

from purenet.arguments import check_count
from purenet.errors import ReplayError, StorageError
from purenet.history.files import check_path
from purenet.history.integrity import problems
from purenet.history.opened import History, open_history
from purenet.history.policy import superfluous
from purenet.history.writer import HistoryWriter
from purenet.safetensors import PathLike


def prune(history: History | PathLike, budget: int = 0) -> int:
    """Remove stored states until the rest takes at most `budget` bytes; the first and the last one stay.

    Every state can still be computed, which takes longer, and nothing is removed where that cannot be. The older the
    states are, the further apart are those that stay.

    Args:
        history: the history or its path; one of states alone has to be opened with what made them.
        budget: how many bytes may be left, the first and the last state apart.

    Returns:
        How many bytes were freed.

    Raises:
        StorageError: if the history is damaged, or names what is not known here.
        ReplayError: if it was recorded in native arithmetic elsewhere, its data is not as it was, or it holds states
            alone: what is removed could be lost.
        WriteError: if someone is writing it.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=6)
        >>> path = pathlib.Path(tempfile.mkdtemp(), "first")
        >>> pn.record(run, path, snapshots=pn.Snapshots(every=2)).snapshots
        (2, 4, 6)
        >>> pn.prune(path) > 0, pn.open_history(path).snapshots
        (True, (6,))
    """
    check_count("prune.budget", budget, at_least=0)
    if not isinstance(history, History):
        check_path("prune.history", history)
    path = history.reader.folder if isinstance(history, History) else history
    with HistoryWriter.reopen(path) as writer:
        opened = history.reopened() if isinstance(history, History) else open_history(path)
        changed = opened.changed_environment
        if changed:
            problem = f"it was recorded in native arithmetic elsewhere ({'; '.join(changed)})"
            raise ReplayError(f"{problem}: what is removed may not be computed again here", path=str(path))
        damage = [str(problem) for problem in problems(path) if not problem.is_tail]
        if damage:
            raise StorageError(
                f"it is damaged, and what is removed may not be computed again: {damage[0]}", path=str(path)
            )
        sizes = {step: snapshot.size for step, snapshot in writer.snapshots.items()}
        gone = superfluous(sizes, budget, keep=writer.start)
        if gone:
            opened.program  # noqa: B018 - raises if what computes the states again is not there
            writer.remove_snapshots(gone)
    return sum(sizes[step] for step in gone)
