"""The benchmarks compare like with like, and their tables say what was measured."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from benchmarks import command, environment, growth, measure, processes, promises, tables, timing
from benchmarks.peers import PEERS, Peer, Training, present
from benchmarks.workloads import PREDICTIONS, ROWS, Workload, problem

SMALL = Workload(8, (5, 7, 3), "float64")
OWN = [peer.name for peer in PEERS if not peer.requires]


def _training(name: str, workload: Workload) -> Training:
    [peer] = [peer for peer in PEERS if peer.name == name]
    return peer.load().training(workload)  # type: ignore[no-any-return]


# --- like with like


@pytest.mark.parametrize("workload", ROWS, ids=lambda workload: workload.title)
def test_purenet_computes_the_losses_of_the_plain_script(workload: Workload) -> None:
    """Every row of the training table is the same arithmetic for both; float32 with Adam shows it in float64."""
    exact = replace(workload, dtype="float64") if workload.optimizer == "adam" else workload
    contenders = {name: _training(name, exact) for name in ("script", "fold")}
    measure.check_losses(exact, contenders, steps=4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_contender_computes_the_losses_of_the_plain_script(peer: Peer, optimizer: str) -> None:
    """Whoever is installed, on a small network."""
    if peer.missing or peer.asked_for:
        pytest.skip(f"{peer.title}: {', '.join(peer.missing) or 'only if asked for'}")
    workload = replace(SMALL, optimizer=optimizer)
    measure.check_losses(workload, {"script": _training("script", workload), peer.name: _training(peer.name, workload)})


def test_other_arithmetic_is_refused() -> None:
    """A contender with another learning rate does not get timed."""
    contenders = {"script": _training("script", SMALL), "fold": _training("fold", replace(SMALL, learning_rate=0.011))}
    with pytest.raises(AssertionError, match=r"fold: losses .* apart from the plain script's"):
        measure.check_losses(SMALL, contenders)


@pytest.mark.parametrize("name", OWN)
def test_a_turn_starts_afresh(name: str) -> None:
    """Turns of a contender do the same work: nothing of one is left for the next."""
    contender = _training(name, SMALL)
    first, second = (contender.advance(contender.fresh(), 3)[1] for _ in range(2))
    assert np.array_equal(first, second, equal_nan=True)


def test_the_floor_is_the_products_of_a_step() -> None:
    """Forward one for each layer, backward two less the first layer's: by count, and by their shapes."""
    from benchmarks.peers.floor import _products

    shapes = [out.shape for _, _, out in _products(SMALL)]
    assert shapes == [(8, 7), (8, 3), (7, 3), (8, 7), (5, 7)]


def test_the_seed_programs_agree() -> None:
    """The script and purenet end on the same loss, in processes of their own, and both have their memory read."""
    found = processes.measure(["script", "purenet"], rounds=1, steps=3)
    assert set(found["seconds"]) == set(found["megabytes"]) == {"script", "purenet"}
    assert all(megabytes > 1 for values in found["megabytes"].values() for megabytes in values)


def test_problems_are_the_same_every_time() -> None:
    """Data and weights depend on the workload alone, and nobody can change them."""
    first, second = problem(SMALL), problem(SMALL)
    assert np.array_equal(first.x, second.x)
    assert not first.x.flags.writeable
    assert first.copies()[0].flags.writeable


# --- who takes part


def test_a_missing_peer_is_skipped() -> None:
    """What is not installed is not measured, nor what has to be asked for."""
    assert Peer("nobody", "nobody", ("no_such_package_here",)).missing == ["no_such_package_here"]
    assert {"floor", "script", "fold"} <= {peer.name for peer in present()}
    assert not {peer.name for peer in present() if peer.asked_for}
    assert [peer.name for peer in present(["fold", "script"])] == ["script", "fold"]


def test_a_peer_that_does_not_work_here_is_told_of() -> None:
    """One that is installed but fails, as a compiler that is missing makes it, is left out with the reason."""

    class Broken(Peer):
        def load(self) -> Any:
            raise RuntimeError("no compiler")

    contenders, skipped = measure.starters(SMALL, [Broken("torch_compile", "torch.compile"), *present(["script"])])
    assert list(contenders) == ["script"]
    assert skipped == {"torch_compile": "RuntimeError: no compiler"}


# --- timing


def test_rounds_interleave() -> None:
    """Every round has a turn of each, backwards in odd rounds, and the untimed work is not counted."""
    now, done = [0.0], []

    def turn(name: str, cost: float) -> timing.Turn:
        def of(units: int) -> Any:
            now[0] += 1000.0  # preparing is not timed

            def work() -> None:
                done.append(name)
                now[0] += cost * units

            return work

        return of

    turns = {"a": turn("a", 1.0), "b": turn("b", 2.0)}
    times = timing.interleave(turns, rounds=3, seconds=0.5, pause=0, clock=lambda: now[0])
    assert times == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert done[-12:] == [*"aabb", *"bbaa", *"aabb"]


def test_what_is_done_once_is_told_apart() -> None:
    """A turn of n units that costs 5 + 2 n: five is what one unit costs more than the others."""
    now = [0.0]

    def of(units: int) -> Any:
        return lambda: now.__setitem__(0, now[0] + 5.0 + 2.0 * units)

    for seconds in (0.5, 50.0):
        times = timing.interleave(
            {"a": of}, rounds=2, seconds=seconds, pause=0, net={"a": "once"}, clock=lambda: now[0]
        )
        assert times == {"a": [2.0, 2.0], "once": [7.0, 7.0]}


def test_a_turn_lasts_long_enough() -> None:
    """Short units are repeated until a turn takes the time asked for."""
    now = [0.0]

    def of(units: int) -> Any:
        return lambda: now.__setitem__(0, now[0] + 0.001 * units)

    units = timing.calibrate(of, 0.1, lambda: now[0])
    assert 100 <= units <= 150


def test_ratios_are_taken_within_a_round() -> None:
    """A round that is slow for both changes no ratio."""
    assert timing.ratio([1.0, 50.0, 1.0], [2.0, 100.0, 2.0]) == 0.5
    assert timing.spread([1.0]) == 0.0
    assert timing.spread([1.0, 2.0, 3.0]) == 0.5


# --- conditions


def test_the_environment_of_a_measurement() -> None:
    """Every library gets its number of threads, and the BLAS chooses its own kernel."""
    inherited = {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": "1", "OMP_NUM_THREADS": "7", "PATH": "here"}
    made = environment.with_threads(1, inherited, [])
    assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & set(made)
    assert {made[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")} == {"1"}
    assert made["PATH"] == "here"
    assert "multi_thread_eigen=false" in made["XLA_FLAGS"]
    assert "multi_thread_eigen" not in environment.with_threads(2, inherited, [])["XLA_FLAGS"]


def test_the_description_names_processor_and_blas() -> None:
    """Nothing that a reader needs is empty."""
    told = environment.describe(2)
    assert told["threads"] == 2
    assert told["versions"]["numpy"] == np.__version__
    assert all(told[name] for name in ("cpu", "cores", "system", "python", "blas"))


# --- growth


def test_a_fit_finds_what_departs() -> None:
    """Rows on a line do not depart from it; a row that is half as slow again does."""
    floors = {1: 1.0, 2: 4.0, 4: 16.0, 8: 64.0, 16: 256.0}

    def rows(disturbed: int) -> list[dict[str, Any]]:
        times = {n: (2 * floor + 3 * n) * (1.5 if n == disturbed else 1) for n, floor in floors.items()}
        return [{"size": n, "layers": n, "rounds": {"floor": [floors[n]], "fold": [t]}} for n, t in times.items()]

    (a, c), found = growth.departures(rows(0))
    assert math.isclose(a, 2)
    assert math.isclose(c, 3)
    assert np.allclose(found, 0)
    _, disturbed = growth.departures(rows(4))
    assert max(disturbed) == disturbed[2] > 0.2


@pytest.mark.parametrize(("per_layer", "a", "c"), [(0.0, 1.5, 0.0), (4.0, 1.0, 4.0)])
def test_a_fit_stays_in_bounds(per_layer: float, a: float, c: float) -> None:
    """A step costs at least its products, and a layer at least nothing, even where noise says otherwise."""
    rows = [
        {"layers": 1, "rounds": {"floor": [floor], "fold": [a * floor + per_layer - 1e-3 / floor]}}
        for floor in (1.0, 2.0, 4.0)
    ]
    (found_a, found_c), _ = growth.departures(rows)
    assert math.isclose(found_a, a, rel_tol=1e-2)
    assert math.isclose(found_c, c, rel_tol=1e-2, abs_tol=1e-9)


# --- the whole command


def _measured() -> dict[str, Any]:
    options = measure.Options(
        tables=("training", "prediction", "arithmetic", "recording", "width", "batch", "depth", "length"),
        rows=(1, 5),
        peers=tuple(OWN),
        rounds=2,
        seconds=1e-5,
        recorded=1e-5,
        largest={"width": 32, "batch": 4, "depth": 2, "length": 1000},
    )
    return json.loads(json.dumps(measure.measure(options)))  # type: ignore[no-any-return]


def test_what_is_measured_becomes_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the measuring process's JSON to Markdown: every row is there, with a figure for every contender."""
    monkeypatch.setattr(timing, "PAUSE", 0)
    monkeypatch.setattr(promises, "ARITHMETIC", (SMALL,))
    monkeypatch.setattr(promises, "RECORDED", (SMALL,))
    monkeypatch.setattr(promises, "LONG", 1000)
    result = _measured()
    megabytes = {"script": [30.0, 30.0], "purenet": [33.0, 33.0]}
    seconds = {"script": [0.2, 0.2], "purenet": [0.21, 0.21]}
    result["processes"] = {"seconds": seconds, "megabytes": megabytes, "steps": 500, "empty": 0.01}
    texts = tables.render([result, result], "2030-01-01")
    assert set(texts) == {"training", "prediction", "arithmetic", "recording", "processes", "growth"}
    for text in texts.values():
        assert text.count("**1 thread.** 2030-01-01;") == 2  # one for each setting of the threads
        for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", re.M):
            lines = block.splitlines()
            assert len({line.count("|") for line in lines}) == 1, block
            assert len(lines) >= 3
    assert "A history of 1,000 steps: " in texts["recording"]
    assert re.search(r"\| the product 128,784 @ 784,256 alone \| \*\*", texts["arithmetic"])
    figure = r"[\d.,]+~?"
    for row in (ROWS[0], ROWS[4]):
        cells = [row.title, *3 * [rf"{figure} \([\d.]+\)"], rf"\*\*{figure}\*\*"]
        assert re.search(r" \| ".join(cells), texts["training"])
    assert "| **purenet** | 210 | 1.05 | 33 | 1.10 |" in texts["processes"]
    assert len(PREDICTIONS) == texts["prediction"].count(" float64 |") / 2


def test_a_busy_machine_is_told_of() -> None:
    """Figures measured while other programs ran come with a warning."""
    told = {**environment.describe(2), "rounds": 5}
    assert "do not trust" not in tables.conditions({**told, "others": 0.01}, "today")
    assert "do not trust" not in tables.conditions({**told, "others": None}, "today")
    assert "used 40% of the machine" in tables.conditions({**told, "others": 0.4}, "today")


def test_noise_is_marked() -> None:
    """A figure with a wide spread carries a mark, and the table says what it means."""
    rows = [{"title": "row", "rounds": {"script": [1e-6, 2e-6, 3e-6], "fold": [2e-6] * 3}, "notes": {}, "skipped": {}}]
    text = tables.training({"training": rows})
    assert "| row | 2.00~ (1.00) | **2.00** |" in text
    assert "~ marks" in text


def test_the_page_has_a_place_for_every_table() -> None:
    """Each table goes between its marks and leaves the rest of the page alone; a missing mark is an error."""
    page = command.PAGE.read_text(encoding="utf-8")
    texts = {
        name: f"new {name}" for name in ("training", "prediction", "arithmetic", "recording", "processes", "growth")
    }
    written = tables.placed(page, texts)
    assert all(f"<!-- table: {name} -->\n\nnew {name}\n\n<!-- end of table -->" in written for name in texts)
    assert tables.placed(written, texts) == written
    with pytest.raises(ValueError, match="no lines <!-- table: speed -->"):
        tables.placed(page, {"speed": "new"})


def test_options_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows alone mean the training table; purenet and the script always take part; settings of threads add up."""
    [options] = command.parse(["--rows", "1", "3", "--peers", "floor", "--threads", "1"])["options"]
    assert options == {"tables": ("training",), "rows": [1, 3], "peers": ["floor", "script", "fold"], "threads": 1}
    both = command.parse(["--threads", "1", "2", "--write"])
    assert [options["threads"] for options in both["options"]] == [1, 2]
    assert both["write"]
    assert command.parse(["--quick"])["options"][0]["rounds"] < measure.Options(tables=()).rounds
    assert "torch_compile" in command.parse(["--compile"])["options"][0]["peers"]
    assert set(command.parse([])["options"][0]["tables"]) == set(command.TABLES)
    with pytest.raises(SystemExit):
        command.parse(["--peers", "tensorflow"])
    assert "no such peer: tensorflow" in capsys.readouterr().err
