"""Histories of training runs on disk: recorded, seeked, resumed, forked, verified and compared."""

from purenet.history.comparison import Comparison, diff
from purenet.history.opened import History, open_history
from purenet.history.policy import Snapshots
from purenet.history.pruning import prune
from purenet.history.recording import fork, record, record_states, resume
from purenet.history.run import Run, train
from purenet.history.verification import Verification, verify

__all__ = [
    "Comparison",
    "History",
    "Run",
    "Snapshots",
    "Verification",
    "diff",
    "fork",
    "open_history",
    "prune",
    "record",
    "record_states",
    "resume",
    "train",
    "verify",
]
