"""`Run`: a training run as a value, and `train`: the states that it goes through, without a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import attrs

from purenet.arguments import check_count
from purenet.arithmetic.modes import Native, Portable
from purenet.canonical import canonical_bytes
from purenet.errors import ArgumentError, DtypeError
from purenet.keys import Key
from purenet.records import is_struct, static, struct
from purenet.training import State, init_state, make_step
from purenet.transforms.portability.function import portable

Metrics = tuple[tuple[str, Callable[[State, Any], Any]], ...]


def _as_metrics(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, Mapping) else value


def _checked_mode(value: Any) -> Any:
    if not isinstance(value, Portable | Native):
        raise DtypeError(f"expected pn.Portable() or pn.Native(), got {value!r:.60}", path="Run.arithmetic")
    return value


@struct
class Run:
    """A training run as data: all that decides its bits.

    Everything in it is a record, an array or a function with a name (`pn.register`), so that it can be stored, compared
    and digested: `pn.digest(run)` is its identity. `pn.train(run)` goes through it, `pn.record(run, path)` keeps it.

    Args:
        net: the initial parameters.
        objective: `(net, batch) -> scalar`, as `pn.make_step` takes it.
        optimizer: such as `pn.adam(1e-3)`.
        batches: a record whose method `at(t)` gives batch t as a pure function of t, such as `pn.Batches`.
        steps: how many steps to take.
        key: where the steps draw their random numbers from.
        arithmetic: `pn.Portable(slices=1)`, the same bits on every machine, or `pn.Native()`, the speed of this one.
        metrics: what to write down beside the loss: functions `(state, batch) -> number` by their names, of the state
            after a step and the batch that it learned from.
        stop: `stop(state)` is asked after every step whether the run ends there.

    Raises:
        DtypeError: if something is not what is named here; ArgumentError if a function in it has no name.

    Example:
        >>> import purenet as pn
        >>> import numpy as np
        >>> data = pn.Dataset(np.ones((4, 2)), np.zeros((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.mlp(pn.key(0), (2, 1)), objective, pn.sgd(0.1), pn.Batches(data, size=None), steps=3)
        >>> [state.step for state in pn.train(run)]
        [0, 1, 2, 3]
    """

    net: Any
    objective: Callable[..., Any] = static()
    optimizer: Any
    batches: Any
    steps: int = static(converter=partial(check_count, "Run.steps", at_least=0))
    key: Key | None = None
    arithmetic: Portable | Native = attrs.field(factory=Portable, converter=_checked_mode)
    metrics: Any = static(default=(), converter=_as_metrics)
    stop: Callable[[State], Any] | None = static(default=None)

    def __attrs_post_init__(self) -> None:
        make_step(self.objective, self.optimizer)  # says what is wrong with either
        if not (is_struct(self.batches) and callable(getattr(self.batches, "at", None))):
            problem = f"expected a record with the method at(t), such as pn.Batches, got {type(self.batches).__name__}"
            raise DtypeError(problem, path="Run.batches")
        if not isinstance(self.metrics, tuple) or not all(map(_is_metric, self.metrics)):
            problem = f"expected functions (state, batch) -> number by their names, got {self.metrics!r:.80}"
            raise DtypeError(problem, path="Run.metrics")
        if len({name for name, _ in self.metrics}) < len(self.metrics):
            raise ArgumentError("two metrics have one name", path="Run.metrics")
        if self.stop is not None and not callable(self.stop):
            raise DtypeError(f"expected a function of the state, got {self.stop!r:.60}", path="Run.stop")
        try:  # its functions need names
            canonical_bytes(_Functions(self.objective, self.metrics, self.stop))
        except ArgumentError as error:
            raise error.within("Run") from None


@struct
class _Functions:
    """The functions of a run, apart from its arrays."""

    objective: Any = static()
    metrics: Any = static()
    stop: Any = static()


class Program(NamedTuple):
    """What makes a state of the last one: a step, batches by their numbers, what is measured, and when to stop."""

    step: Callable[[Any, Any], Any]
    batches: Any
    metrics: Metrics = ()
    stop: Callable[[Any], Any] | None = None

    def measure(self, state: Any, batch: Any) -> tuple[float, ...]:
        """The metrics of a state and the batch that it learned from."""
        return tuple([_as_number(name, metric(state, batch)) for name, metric in self.metrics])


def program_of(run: Run) -> Program:
    """The step, batches, metrics and end of a run, in its arithmetic."""
    step = make_step(run.objective, run.optimizer)
    if isinstance(run.arithmetic, Native):
        return Program(step, run.batches, run.metrics, run.stop)
    slices = run.arithmetic.slices
    in_portable = tuple([(name, portable(metric, slices=slices)) for name, metric in run.metrics])
    stop = None if run.stop is None else portable(run.stop, slices=slices)
    return Program(portable(step, slices=slices), run.batches, in_portable, stop)


def start_of(run: Run) -> State:
    """The state before the first step of a run."""
    return init_state(run.net, run.optimizer, key=run.key)


def advance(program: Program, state: Any, begin: int) -> Iterator[tuple[Any, Any]]:
    """The batch and the state after it of step `begin`, `begin + 1` and so on, without end."""
    step = program.step
    for batch in _batches_from(program.batches, begin):
        state = step(state, batch)
        yield batch, state


def train(run: Run) -> Iterator[State]:
    """The states of a run, one by one as they are computed: the state before the first step, after it, and so on.

    Nothing is stored. The states are those of `toolz.accumulate` over the step and the batches, in the arithmetic of
    the run; `pn.record` writes down the same.

    Raises:
        NonFiniteError: in the step whose loss is NaN or infinite.

    Example:
        >>> import purenet as pn
        >>> import numpy as np
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=2)
        >>> [state.net.weight.tolist() for state in pn.train(run)]
        [[[0.0]], [[1.5]], [[2.25]]]
    """
    if not isinstance(run, Run):
        raise DtypeError(f"expected a pn.Run, got {type(run).__name__}", path="train.run")
    return _states(program_of(run), start_of(run), run.steps)


def _states(program: Program, state: State, steps: int) -> Iterator[State]:
    yield state
    for _, (_, following) in zip(range(steps), advance(program, state, 0), strict=False):
        yield following
        if program.stop is not None and program.stop(following):
            return


def _batches_from(batches: Any, t: int) -> Iterator[Any]:
    """Batches t, t + 1, ... of what has `from_step` or `at`, or is a function of t."""
    if hasattr(batches, "from_step"):
        return iter(batches.from_step(t))
    return map(batches.at if hasattr(batches, "at") else batches, count(t))


def _is_metric(pair: Any) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and callable(pair[1])


def _as_number(name: str, value: Any) -> float:
    """What a metric gave."""
    try:
        if getattr(value, "ndim", 0) == 0:
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise DtypeError(f"expected a number, got {type(value).__name__} {value!r:.60}", path=f"Run.metrics[{name!r}]")


def loss_of(state: Any) -> float:
    """The loss of a state of any kind: its attribute or entry `loss`; NaN where there is none."""
    if state.__class__ is State:
        return state.loss  # type: ignore[no-any-return]
    loss = state.get("loss") if isinstance(state, dict) else getattr(state, "loss", None)
    return float("nan") if loss is None else float(loss)
