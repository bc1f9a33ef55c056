"""A small program that records a history and can be stopped anywhere: run again, it goes on to the same end.

As a program it reads lines `STEPS FOLDER`, and for each starts a process that records. It prints the number of that
process, how many steps are flushed as they are, and, after another line was read, `ended` when the process has.
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from purenet.history import writer as writing
from purenet.history.reader import HistoryReader
from purenet.history.writer import HistoryWriter

EVERY = 4
START = {"weight": np.linspace(0.0, 1.0, 50), "step": 0}


def next_state(state):
    """The loss of a state, and the state after it."""
    weight, step = state["weight"], state["step"]
    return float(weight[step % 50]), {"weight": np.roll(weight, 1) * 0.75 + step, "step": step + 1}


def check_of(state):
    return hashlib.sha256(state["weight"].tobytes()).digest()[:16]


def course(steps):
    """All losses and all states."""
    losses, states = [], [START]
    for _ in range(steps):
        loss, state = next_state(states[-1])
        losses.append(loss)
        states.append(state)
    return losses, states


def run(folder, steps, report=lambda stop: None, flush_seconds=0.0):
    """Record so many steps, from the beginning or from where an earlier call was stopped."""
    writing._SAFE_SECONDS = 0.0  # a safe point for every stored state: more to go wrong
    folder = Path(folder)
    if folder.exists():
        writer = HistoryWriter.reopen(folder, flush_seconds)
    else:
        writer = HistoryWriter.create(folder, {"steps": steps}, state=START, flush_seconds=flush_seconds)
    with writer:
        state = HistoryReader.open(folder).load_snapshot(max(writer.snapshots))
        while state["step"] < steps:
            loss, state = next_state(state)
            if state["step"] > writer.stop:
                writer.append(writer.stop, loss, check_of(state))
                report(writer.stop)
            if state["step"] % EVERY == 0:
                writer.snapshot(state["step"], state)


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for line in iter(sys.stdin.readline, ""):
        steps, _, folder = line.rstrip("\n").partition(" ")
        child = os.fork()
        if child == 0:
            say(f"process {os.getpid()}")
            run(folder, int(steps), say)
            os._exit(0)
        sys.stdin.readline()  # until then the number belongs to this process, even if it has ended
        os.waitpid(child, 0)
        say("ended")
