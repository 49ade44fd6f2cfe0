"""The control of all comparisons, a server against itself: what is made of its runs."""

from dataclasses import replace

import pytest

from loadgen.record.result import Run
from tests.benchmarks import false_alarms
from tests.benchmarks.false_alarms import Comparison, compare, judged, summary
from tests.benchmarks.slowed_server import nanoseconds_per_loop
from tests.runs import in_turns

STEADY = [[1000, 1010], [990, 1000], [1020, 1010], [1000, 990], [1010, 1000]]


def labelled(name: str, lives: list[list[int]]) -> list[Run]:
    return [replace(run, label=name) for run in in_turns("selectors", lives)]


def test_a_server_that_is_as_fast_is_not_called_different() -> None:
    other = [[rounds[1], rounds[0]] for rounds in STEADY]
    found = judged([*labelled("A", STEADY), *labelled("B", other)], 1)
    assert not found.different
    assert found.ratio is not None
    assert found.ratio.mean == pytest.approx(1, abs=0.02)


def test_a_slower_one_is() -> None:
    slower = [[round(0.9 * one) for one in rounds] for rounds in STEADY]
    found = judged([*labelled("A", STEADY), *labelled("B", slower)], 1)
    assert found.different
    assert found.ratio is not None
    assert found.ratio.mean == pytest.approx(0.9, abs=0.01)


def test_what_could_not_be_judged_is_not_counted() -> None:
    lives = labelled("A", STEADY)
    broken = [replace(run, tally=None, problem="no") for run in labelled("B", STEADY)]
    found = judged([*lives, *broken], 1)
    assert found.ratio is None
    assert "B did not run" in found.why
    good = judged([*lives, *labelled("B", STEADY)], 1)
    text = summary([found, good], "selectors against itself")
    assert "called different 0 of 1 times (0.0%)" in text
    assert "1 could not be judged: B did not run" in text
    assert "0 of 0 times" in summary([Comparison(None, different=False, why="x")], "it")


def test_the_busy_loop_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a millisecond a message, as measured here: few messages get through."""
    assert 1 < nanoseconds_per_loop() < 1_000
    monkeypatch.setattr(false_alarms, "LIVES", 2)
    plan = replace(false_alarms.PLAN, duration_seconds=0.2, turns=1)
    found = compare("selectors", round(500_000 / nanoseconds_per_loop()), 1, plan)
    assert found.ratio is not None, found.why
    assert found.ratio.mean < 0.5
