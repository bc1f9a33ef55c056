"""The self-test: it passes here, and a single wrong bit, an error or a missing answer makes it fail and say where."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from laws import assert_pure

import purenet as pn
from purenet import conformance
from purenet.arithmetic.contract import CONTRACT, PRODUCTS
from purenet.cli import selftest as command
from purenet.conformance import selftest
from purenet.conformance.answers import ANSWERS
from purenet.conformance.operations import operations
from purenet.errors import ContractError, PurenetError
from purenet.transforms.portability import array as portable_array


def differing(report: Any) -> set[str]:
    """The operations that do not conform."""
    return {outcome.operation for outcome in report.outcomes if not outcome.conforms}


def test_this_machine_conforms() -> None:
    """Every operation has its known answer, twice; nothing is changed by asking."""
    report = assert_pure(selftest)
    assert report, str(report)
    assert len(report.outcomes) == len(ANSWERS)


def test_answers_and_operations_go_together() -> None:
    """Each operation has an answer and each answer an operation, and no two answers are the same."""
    names = {f"{group}: {name}" for group, members in operations().items() for name in members}
    assert names == set(ANSWERS)
    assert len(set(ANSWERS.values())) == len(ANSWERS)
    assert all(len(answer) == conformance.DIGITS for answer in ANSWERS.values())


def test_a_wrong_bit_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One element of `tanh` that is off by an ulp: `tanh` and what is made of it differ, and nothing else."""

    def tanh(x: Any, **options: Any) -> Any:
        y = np.array(CONTRACT[np.tanh](x, **options))
        y.reshape(-1)[0] = np.nextafter(y.reshape(-1)[0], y.dtype.type(2))
        return y[()]

    monkeypatch.setattr(portable_array, "CONTRACT", {**CONTRACT, np.tanh: tanh})
    report = selftest()
    assert not report
    found = differing(report)
    assert {"tanh", "Tanh", "sgd"} <= found
    assert not found & {"sinh", "exp", "matmul, 1 slice", "softmax", "sum", "Sequential"}
    assert "DIFFERS" in str(report)
    assert f"{len(report.outcomes) - len(found)} of {len(report.outcomes)} operations conform" in str(report)


def test_an_error_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that raises does not conform, and the others are still tried."""

    def broken(*_: Any, **__: Any) -> Any:
        raise ContractError("no such thing here")

    monkeypatch.setattr(portable_array, "PRODUCTS", {**PRODUCTS, np.inner: broken})
    report = selftest()
    assert differing(report) == {"inner"}
    assert "ContractError: no such thing here" in str(report)


def test_a_missing_answer_does_not_conform(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be compared is not taken for granted."""
    monkeypatch.setattr(
        conformance, "ANSWERS", MappingProxyType({k: v for k, v in ANSWERS.items() if not k.endswith(": log1p")})
    )
    assert differing(selftest()) == {"log1p"}


def test_the_report_is_a_table_and_a_record() -> None:
    """A line for each operation, what the machine is, and a sum; the record has a digest like any other."""
    report = selftest()
    lines = str(report).splitlines()
    assert sum(line.endswith("conforms") for line in lines) == len(ANSWERS)
    assert lines[-1] == report.summary == f"portable-1: {len(ANSWERS)} of {len(ANSWERS)} operations conform"
    assert any(line.startswith("BLAS kernel") for line in lines)
    assert pn.digest(report) == pn.digest(selftest())


def test_the_command_prints_the_table_and_fails_if_a_bit_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns where all conforms, and raises the error that gives exit code 1 otherwise."""
    from argparse import ArgumentParser, Namespace

    command.configure(ArgumentParser())
    command.run(Namespace())
    assert f"{len(ANSWERS)} of {len(ANSWERS)} operations conform" in capsys.readouterr().out
    monkeypatch.setattr(conformance, "ANSWERS", {**ANSWERS, "elementary functions: exp": "0" * 16})
    with pytest.raises(PurenetError, match="1 operation does not conform: exp"):
        command.run(Namespace())
    assert "exp " in capsys.readouterr().out
