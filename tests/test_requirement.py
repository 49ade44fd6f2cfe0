"""Requirements as people write them, met or not."""

from dataclasses import replace

import pytest

from loadgen.judge.requirement import RequirementError, parse
from loadgen.record.tally import GroupTally
from tests.runs import group_tally, result, rows, run, tally, trials


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("messages_per_second >= 1000", True),
        ("messages_per_second > 1000", False),
        ("messages_per_second>=1_001", False),
        ("latency_seconds.p99 < 0.011", True),
        ("latency_seconds.p99 < 5e-3", False),
        ("wrong == 0", True),
        ("failed != 0", False),
        ("starved <= 0", True),
        ("server.memory_bytes < 20000000", True),
        ("fairness > .9", True),
    ],
)
def test_a_requirement_is_met_or_not(text: str, met: bool) -> None:
    said = parse(text).failures(rows(result(run())))
    assert (said == []) == met
    if not met:
        assert said[0].startswith(f"thread: {parse(text)} is not met, ")


@pytest.mark.parametrize("number", ["0.005", "1234567", "0.0012345678", "1e+20", "-3"])
def test_as_text_it_is_the_same_again(number: str) -> None:
    text = f"latency_seconds.p99 < {number}"
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


def test_it_holds_for_every_row_and_names_those_that_fail() -> None:
    found = rows(result(*trials("thread", [200, 202]), *trials("process", [100, 102])))
    said = parse("messages_per_second >= 800").failures(found)
    assert [line.split(":")[0] for line in said] == ["process"]


def test_percentiles_are_those_of_all_trials_together() -> None:
    quick = replace(run(), tally=tally(group_tally(latency_seconds=0.001)))
    slow = replace(run(trial=2), tally=tally(group_tally(latency_seconds=0.1)))
    found = rows(result(quick, slow))
    assert "latency_seconds.p90 is 0.0998" in parse("latency_seconds.p90 < 9").failures(found)[0]
    assert "latency_seconds.p50 is 0.00100" in parse("latency_seconds.p50 < 9").failures(found)[0]


def test_what_chance_may_have_put_on_this_side_of_the_bound_is_no_proof() -> None:
    found = rows(result(*trials("thread", [200, 202, 198])))  # 1,000/s, +/- 2.5 %
    assert parse("messages_per_second >= 970").failures(found) == []
    assert "is not met" in parse("messages_per_second >= 1030").failures(found)[0]
    for bound in (990, 1010):
        (said,) = parse(f"messages_per_second >= {bound}").failures(found)
        assert "cannot be told" in said
        assert "may be 975" in said


def test_what_was_counted_happened_and_has_no_interval() -> None:
    lost = [
        replace(run(trial=trial), tally=tally(group_tally(served=served)))
        for trial, served in enumerate((10, 9, 7), start=1)
    ]
    found = rows(result(*lost))
    assert parse("starved <= 3").failures(found) == []
    assert parse("messages >= 5200").failures(found) == []


def test_what_was_not_measured_fulfils_nothing() -> None:
    nothing = tally(GroupTally("all", clients=10, refused=10), window=0.0)
    found = rows(result(replace(run(), tally=nothing)))
    for text in ("messages_per_second >= 0", "latency_seconds.p50 < 9"):
        assert "was not measured" in parse(text).failures(found)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a requirement"),
        ("messages_per_second", "is not a requirement"),
        ("messages_per_second >= fast", "is not a requirement"),
        ("messages_per_second >= 1.2.3", "is not a number"),
        ("messages_per_second >= 1e999", "is not a number"),
        ("messages_per_sec >= 5", "did you mean messages_per_second"),
        ("latency_seconds >= 5", "there is no figure"),
        ("groups.slow.mesages >= 5", "there is no figure"),
        ("server.memory_kind == 5", "there is no figure"),
        ("zzz >= 5", "--help-figures lists them"),
    ],
)
def test_what_is_no_requirement(text: str, said: str) -> None:
    with pytest.raises(RequirementError, match=said):
        parse(text)
