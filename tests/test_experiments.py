"""Experiments as data, judged on made-up figures both ways; their clients against known servers."""

import io
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concurrency_models.backends import MODELS
from concurrency_models.talk import FRAMINGS
from loadgen.command.main import main
from loadgen.command.status import INTERRUPTED
from loadgen.experiments import judge, predict, show
from loadgen.experiments.catalogue import EXPERIMENTS
from loadgen.experiments.clients import BackToBack, Holders, NeverReads
from loadgen.experiments.conduct import conduct, side_by_side, unavailable
from loadgen.experiments.experiment import (
    FULL,
    QUICK,
    Case,
    Column,
    Experiment,
    Hypothesis,
    Ranking,
    Scale,
    named,
    names_of,
)
from loadgen.experiments.quantity import Ends, Figure, Look, Quantity, shown, unit_of
from loadgen.experiments.specimens import SPECIMENS
from loadgen.fleet.events import Event, WindowClosed, WindowOpened
from loadgen.fleet.task import Driver
from loadgen.judge.registry import CPU_CORES, MESSAGES, figure_of
from loadgen.judge.rows import load_of
from loadgen.judge.units import COUNT, NUMBER
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.files import read_result
from loadgen.record.result import Claim, Run
from loadgen.record.tally import Tally
from loadgen.servers import interpreters
from loadgen.servers.interpreters import InterpreterError
from tests.known_servers import serving, talk
from tests.servers import ROOT

EVERY = list(EXPERIMENTS.values())
HYPOTHESES = [(one, hypothesis) for one in EVERY for hypothesis in one.hypotheses]


def names(one: object) -> str:
    return one.name if isinstance(one, Experiment) else ""


# The catalogue


@pytest.mark.parametrize("experiment", EVERY, ids=names)
def test_an_experiment_says_all_that_it_has_to(experiment: Experiment) -> None:
    assert EXPERIMENTS[experiment.name] is experiment
    assert experiment.question.endswith("?")
    assert all([experiment.load, experiment.expectation, experiment.source, experiment.columns])
    assert any(hypothesis.lesson for hypothesis in experiment.hypotheses)


@pytest.mark.parametrize("experiment", EVERY, ids=names)
def test_its_cases_are_models_or_specimens_under_sound_plans(experiment: Experiment) -> None:
    for case in experiment.cases:
        assert case.server in MODELS or case.server in SPECIMENS
        for scale in (QUICK, FULL):
            plan = case.plan_at(scale)
            plan.validate()
            assert (plan.duration_seconds or 1.0) >= 1.0, "a shorter window shows too little"
            if any(group.work for group in plan.groups):
                assert "--work" in case.options


@pytest.mark.parametrize("experiment", EVERY, ids=names)
def test_its_cases_are_told_apart(experiment: Experiment) -> None:
    assert len({case.name for case in experiment.cases}) == len(experiment.cases)
    for scale in (QUICK, FULL):
        rows = {
            (load_of(case.plan_at(scale)), case.server, case.shown_as) for case in experiment.cases
        }
        assert len(rows) == len(experiment.cases), "two cases would share a row"


PROBES = {
    "messages", "replies", "replies_per_message", "right_alone", "short_sends", "partial_reads",
    "holders", "holders_left", "unread_client_bytes",
    "clients", "held", "server_bytes_each", "generator_bytes_each", "kernel_bytes_each",
}  # fmt: skip


@pytest.mark.parametrize("experiment", EVERY, ids=names)
def test_it_names_cases_and_figures_that_there_are(experiment: Experiment) -> None:
    cases = {case.name for case in experiment.cases}
    used = [one for hypothesis in experiment.hypotheses for one in hypothesis.value.figures()]
    used += [Figure(name, experiment.ranking.path) for name in experiment.ranking.cases]
    paths = [one.path for one in used] + [column.path for column in experiment.columns]
    groups = {group.name for case in experiment.cases for group in case.plan.groups}
    assert {one.case for one in used} <= cases
    for path in paths:
        assert figure_of(path).path == path
        first, _, rest = path.partition(".")
        assert first != "groups" or rest.partition(".")[0] in groups
        assert first != "probe" or rest in PROBES


@pytest.mark.parametrize("experiment", EVERY, ids=names)
def test_its_picture_is_made_of_its_own_columns_and_cases(experiment: Experiment) -> None:
    columns, picture = named(experiment.columns), experiment.picture
    cases = {case.name for case in experiment.cases}
    assert picture.parts or picture.lanes
    assert set(picture.lanes) <= cases
    for part in picture.parts:
        assert part.cases
        assert set(part.cases) <= cases
        series = [path for one in part.series for path in (one.path, one.of) if path is not None]
        assert set(series) <= columns.keys()
        kinds = {COUNT if unit_of(path) is NUMBER else unit_of(path) for path in series}
        assert len(kinds) == 1, "one scale has one unit"
        for one in part.series:
            assert one.says.format(value=1, of=2)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (("messages\n/s", "connec-\ntions/s"), ["messages/s", "connections/s"]),
        (("latency\np50", "\np99", "p99"), ["latency p50", "latency p99", "p99"]),
        (("silent,\nheld", "\nmax"), ["silent, held", "silent, max"]),
    ],
)
def test_a_column_has_its_name_in_one_line(headers: tuple[str, ...], said: list[str]) -> None:
    columns = [Column(header, f"path {at}") for at, header in enumerate(headers)]
    assert list(named(columns).values()) == said


@pytest.mark.parametrize(("experiment", "hypothesis"), HYPOTHESES)
def test_a_hypothesis_can_turn_out_either_way(
    experiment: Experiment, hypothesis: Hypothesis
) -> None:
    seen = set()
    for values in made_up_figures(hypothesis):
        look = look_at({(one.case, one.path): value for one, value in values.items()})
        claim = judge.check(hypothesis, look, {}, None, certain)
        seen.add(claim.as_expected)
        if claim.as_expected is False:
            said = judge.reading([hypothesis], [claim], look)
            assert (hypothesis.otherwise or claim.text).partition("{value}")[0] in said
            assert not hypothesis.lesson or hypothesis.lesson.partition("{value}")[0] not in said
    assert seen >= {True, False}, experiment.name


def made_up_figures(hypothesis: Hypothesis) -> Iterator[dict[Figure, float]]:
    """Figures of all sizes: the bounds themselves, one size for each case, and some at random."""
    parts = hypothesis.value.figures()
    for bound in (hypothesis.at_least, hypothesis.at_most):
        yield dict.fromkeys(parts, bound or 0.0)
    cases = list(dict.fromkeys(one.case for one in parts))
    yield {one: 1.0 + cases.index(one.case) for one in parts}
    randomness = random.Random(1)
    for _ in range(200):
        yield {one: 10 ** randomness.uniform(-6, 9) for one in parts}


# Judging

RATIO = Figure("a", "messages_per_second") / Figure("b", "messages_per_second")
TWICE = Hypothesis("a is twice as fast", RATIO, at_least=2, lesson="It was {value}.", cores=2)


def look_at(figures_: Mapping[tuple[str, str], float]) -> Look:
    return lambda case, path: figures_.get((case, path))


def certain(case: str, path: str) -> None:
    """A figure without an interval."""


RATES = {("a", "messages_per_second"): 900.0, ("b", "messages_per_second"): 300.0}


def test_a_claim_says_the_numbers_that_decided() -> None:
    assert judge.check(TWICE, look_at(RATES), {}, 2, certain) == Claim(
        "a is twice as fast",
        True,
        "messages of a = 900/s; messages of b = 300/s: 3 times (expected at least 2 times)",
    )
    assert (
        judge.check(replace(TWICE, at_least=4), look_at(RATES), {}, 2, certain).as_expected is False
    )


def test_a_claim_about_a_difference_says_that_it_is_one() -> None:
    more = Hypothesis(
        "more", Figure("a", "messages_per_second") - Figure("b", "messages_per_second"), 100.0
    )
    numbers = judge.check(more, look_at(RATES), {}, 2, certain).numbers
    assert numbers.endswith("b = 300/s: a difference of 600/s (expected at least 100/s)")


def test_a_claim_names_its_figures() -> None:
    waits = Hypothesis("waits", Figure("iterative, backlog 128", "first_reply_seconds.max"), 1.0)
    look = look_at({("iterative, backlog 128", "first_reply_seconds.max"): 1.78})
    said = "first reply max of iterative, backlog 128 = 1.78 s (expected at least 1.00 s)"
    assert judge.check(waits, look, {}, 2, certain).numbers == said
    counted = {("raw, small", "probe.replies"): 7.0, ("raw, small", "probe.messages"): 2000.0}
    claim = judge.check(
        EXPERIMENTS["sticky"].hypotheses[0], look_at(counted), {}, 2, certain
    ).numbers
    assert claim.startswith("replies of raw, small = 7; messages of raw, small = 2,000: ")


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"a": (850, 950), "b": (280, 320)}, True),
        ({"a": (850, 950), "b": (200, 460)}, None),
        ({"a": (300, 1500), "b": (280, 320)}, None),
        ({"a": (500, 510), "b": (280, 320)}, False),
    ],
)
def test_a_claim_must_hold_all_over_the_interval(
    ends: Mapping[str, Ends], expected: bool | None
) -> None:
    look = look_at({(case, MESSAGES): math.sqrt(low * high) for case, (low, high) in ends.items()})
    claim = judge.check(TWICE, look, {}, 2, lambda case, _: ends[case])
    assert claim.as_expected is expected
    assert ("too close to tell" in claim.numbers) == (expected is None)
    assert "95 % interval" in claim.numbers
    assert claim.interval is not None
    words = {True: "as expected", False: "surprise", None: "not clear"}
    assert claim.verdict == words[expected]


def test_a_ratio_of_cases_that_took_turns_has_the_interval_of_their_pairs() -> None:
    look, wide = look_at(RATES), {"a": (500.0, 1600.0), "b": (150.0, 600.0)}

    def pairs(case: str, other: str, path: str) -> Ends | None:
        assert (case, other, path) == ("a", "b", MESSAGES)
        return 2.9, 3.1

    def reach(case: str, _path: str) -> Ends:
        return wide[case]

    assert judge.check(TWICE, look, {}, 2, reach).as_expected is None
    paired = judge.check(TWICE, look, {}, 2, reach, pairs)
    assert (paired.as_expected, paired.interval) == (True, (2.9, 3.1))
    unlike = Figure("a", MESSAGES) / Figure("b", "served")
    values = look_at({**RATES, ("b", "served"): 300.0})
    assert unlike.ends(values, reach, pairs) == unlike.ends(values, reach)


def test_intervals_add_up_as_squares_do() -> None:
    a, b = Figure("a", "served"), Figure("b", "served")
    look = look_at({("a", "served"): 100.0, ("b", "served"): 50.0})
    narrow = {"a": (97.0, 106.0), "b": (46.0, 58.0)}

    def ends(quantity: Quantity) -> Ends | None:
        return quantity.ends(look, lambda case, _: narrow[case])

    assert ends(a + b) == pytest.approx((150 - 5, 150 + 10))
    assert ends(a - b) == pytest.approx((50 - math.hypot(3, 8), 50 + math.hypot(6, 4)))
    assert (a - b).ends(look, certain) == (50, 50)
    narrow = {"a": (50.0, 200.0), "b": (50.0, 50.0)}
    assert ends(a / b) == pytest.approx((1, 4))
    narrow = {"a": (0.0, 200.0), "b": (25.0, 100.0)}
    assert ends(a / b) == (0, 8)


@pytest.mark.parametrize(("terminal", "wide"), [("80", 80), ("300", 100)])
def test_the_rule_between_experiments_is_as_wide_as_what_is_written(
    terminal: str, wide: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", terminal)
    monkeypatch.setattr("loadgen.command.experiment._hold", lambda *_: 0)
    assert main(["experiment", "sticky", "nagle", "--no-save"]) == 0
    rules = re.findall(r"^=+$", capsys.readouterr().out, re.MULTILINE)
    assert rules == ["=" * wide]


def test_what_was_not_measured_is_neither_expected_nor_a_surprise() -> None:
    half = {("a", "messages_per_second"): 900.0}
    claim = judge.check(TWICE, look_at(half), {"b": "it did not start"}, 2, certain)
    assert claim == Claim("a is twice as fast", None, "b: it did not start")
    assert judge.check(
        TWICE, look_at({**half, ("b", "messages_per_second"): 0.0}), {}, 2, certain
    ).numbers == ("there is nothing to divide by")
    assert "learn" in judge.reading([TWICE], [claim], look_at(half))


def test_a_claim_about_cores_needs_them() -> None:
    assert "this machine has 1" in judge.check(TWICE, look_at(RATES), {}, 1, certain).numbers
    others = {**RATES, ("b", "machine.other_cores"): 1.0}
    claim = judge.check(TWICE, look_at(others), {}, 2, certain)
    assert claim.as_expected is None
    assert "others used 1.00 of 2" in claim.numbers
    assert judge.check(TWICE, look_at(others), {}, 4, certain).as_expected


def test_the_reading_follows_from_what_was_found() -> None:
    held = judge.check(TWICE, look_at(RATES), {}, 2, certain)
    assert judge.reading([TWICE], [held], look_at(RATES)) == "It was 3 times."
    refuted = replace(TWICE, at_least=4)
    surprise = judge.check(refuted, look_at(RATES), {}, 2, certain)
    said = judge.reading([refuted], [surprise], look_at(RATES))
    assert said == "Not as expected: a is twice as fast; it was 3 times."


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("groups.x.messages_per_second", 12_345.6, "12,346/s"),
        ("latency_seconds.p99", 0.0123, "12.3 ms"),
        ("server.memory_bytes", 3 * 1024**2, "3.00 MiB"),
        ("payload_bytes_per_second", 2048, "2.00 KiB/s"),
        ("server.cpu_seconds_per_message", 2e-5, "20.0 us"),
        ("fairness", 0.5, "0.50"),
        ("served", 10, "10"),
        ("served", None, "-"),
    ],
)
def test_figures_are_written_with_their_units(path: str, value: float | None, text: str) -> None:
    assert shown(unit_of(path), value) == text


# Predictions

RANKING = Ranking("Which is fastest?", "messages_per_second", ("thread", "process", "one, more"))


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("2 1 3", ["process", "thread", "one, more"]),
        ("2,1", ["process", "thread"]),
        ("3 > 1", ["one, more", "thread"]),
        ("Process, thread", ["process", "thread"]),
    ],
)
def test_a_guess_is_numbers_or_names(line: str, order: list[str]) -> None:
    assert predict.parse(line, RANKING.cases) == order


@pytest.mark.parametrize("line", ["4 1", "1 1", "quick slow", "2"])
def test_a_guess_that_means_nothing(line: str) -> None:
    with pytest.raises(predict.GuessError):
        predict.parse(line, RANKING.cases)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_asked_again_and_a_pipe_is_not() -> None:
    out = io.StringIO()
    assert predict.ask(RANKING, Terminal("7 8\n2 1 3\n"), out) == ["process", "thread", "one, more"]
    assert "none of them" in out.getvalue()
    assert predict.ask(RANKING, io.StringIO("7 8\n2 1\n"), out) == []
    assert predict.ask(RANKING, io.StringIO(""), out) == []
    assert predict.ask(RANKING, Terminal("\n"), out) == []


def test_how_well_somebody_did() -> None:
    rate = "messages_per_second"
    look = look_at({("thread", rate): 100.0, ("process", rate): 95.0, ("one, more", rate): 10.0})
    assert judge.order(RANKING, look) == ["thread", "process", "one, more"]
    # The first two are too near each other to call.
    assert judge.pairs_right(RANKING, ["process", "thread", "one, more"], look) == (3, 3)
    assert judge.pairs_right(RANKING, ["one, more", "thread", "process"], look) == (1, 3)
    less = replace(RANKING, more_is_better=False)
    assert judge.pairs_right(less, ["one, more", "thread", "process"], look) == (3, 3)
    said = "\n".join(predict.reveal(RANKING, ["one, more", "thread"], look))
    assert "1  thread: 100/s (you said 2)" in said
    assert "2  process: 95.0/s (you did not say)" in said
    assert "0 of 1 pairs" in said


# Clients of their own


def put_on(
    client: Driver, plan: Plan, endpoint: Endpoint
) -> tuple[Tally, dict[str, float], list[Event]]:
    events: list[Event] = []
    tally, counted = client.put_on(plan, endpoint, on_event=events.append, stop=threading.Event())
    return tally, counted, events


def back_to_back(framing: str, messages: int = 50, size: int = 100) -> Plan:
    group = Group(1, size_bytes=size)
    return Plan((group,), framing=framing, duration_seconds=None, messages_per_client=messages)


def test_messages_back_to_back_have_a_reply_each() -> None:
    with serving(talk()) as endpoint:
        tally, counted, events = put_on(BackToBack(), back_to_back("length"), endpoint)
    assert counted["replies"] == counted["right_alone"] == 50
    assert counted["replies_per_message"] == 1
    [group] = tally.groups
    assert (group.intended, group.answered, tally.unaccounted) == (50, 50, 0)
    assert group.bytes_received == group.expected_bytes_received
    assert [type(event) for event in events] == [WindowOpened, WindowClosed]


def test_replies_that_are_no_answer_to_a_message_count_as_wrong() -> None:
    def glued(number: int, reply: bytes) -> bytes | None:
        return reply if number > 10 else None if number == 0 else reply[:4] + b"x" * len(reply[4:])

    with serving(talk(glued)) as endpoint:
        tally, counted, _ = put_on(BackToBack(), back_to_back("length"), endpoint)
    [group] = tally.groups
    assert (group.answered, group.wrong, tally.unaccounted) == (40, 10, 0)
    assert counted["right_alone"] == 40


def test_under_raw_replies_are_counted_by_their_prefix() -> None:
    def in_pieces(client: socket.socket) -> None:
        data = b""
        while piece := client.recv(65_536):
            data += piece
        # Two messages glued together, one by itself, and one in two pieces.
        for part in (data[:200], data[200:300], data[300:350], data[350:]):
            client.sendall(b"received: " + part)

    with serving(in_pieces) as endpoint:
        tally, counted, _ = put_on(BackToBack(), back_to_back("raw", messages=4), endpoint)
    assert counted["replies"] == 4
    assert counted["right_alone"] == 1
    assert "partial_reads" not in counted
    assert (tally.groups[0].answered, tally.groups[0].wrong) == (1, 3)


def test_holders_are_in_front_and_counted_at_the_end() -> None:
    plan = Plan((Group(2),), duration_seconds=None, messages_per_client=3)
    with serving(talk()) as endpoint:
        tally, counted, _ = put_on(Holders(3, asks=True), plan, endpoint)
    assert counted == {"holders": 3, "holders_left": 3}
    assert tally.groups[0].answered == 6
    with serving(lambda client: client.close()) as endpoint:
        _, counted, _ = put_on(Holders(3), replace(plan, timeout_seconds=1.0), endpoint)
    assert counted["holders_left"] < 3


def test_one_that_never_reads_is_bounded_and_leaves_the_others_alone() -> None:
    plan = Plan((Group(2),), duration_seconds=None, messages_per_client=50)
    with serving(talk()) as endpoint:
        tally, counted, _ = put_on(NeverReads(most_bytes=100_000), plan, endpoint)
    assert 0 <= counted["unread_client_bytes"] <= 200_000
    assert tally.groups[0].answered == 100


# Conducting


class Watcher:
    def begin(self, name: str, plan: Plan) -> None:
        pass

    def turn(self, name: str, life: int, number: int) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def end(self, name: str, run: Run) -> None:
        pass


ANSWERED = "answered"


def tiny(*cases: Case) -> Experiment:
    rate = "messages_per_second"
    return replace(
        EVERY[0],
        name="tiny",
        cases=cases,
        columns=(Column("messages\n/s", rate), Column("answered", ANSWERED)),
        ranking=Ranking("Which?", rate, tuple(case.name for case in cases)),
        hypotheses=tuple(
            Hypothesis(
                f"{case.name} answers", Figure(case.name, rate), at_least=1, lesson="It does."
            )
            for case in cases
        ),
    )


SHORT = Plan((Group(2),), duration_seconds=None, messages_per_client=20)


def test_a_missing_model_is_named_and_the_rest_is_measured() -> None:
    experiment = tiny(Case("here", "selectors", SHORT), Case("gone", "no-such-model", SHORT))
    findings = conduct(experiment, QUICK, 1, Watcher(), threading.Event())
    assert findings is not None
    here, gone = findings.outcome.claims
    assert here.as_expected is True
    assert gone == Claim(
        "gone answers", None, "gone: there is no model 'no-such-model' in this version"
    )
    assert findings.outcome.reading == "It does."
    first, second = findings.outcome.cases
    assert first.figures[ANSWERED].value == 40
    news = show.news(experiment, findings.result.runs[0])
    assert re.fullmatch(r"messages [0-9,.]+/s, answered 40", news)
    no_rate = replace(experiment, columns=(Column("?", "probe.nothing"), *experiment.columns[1:]))
    assert show.news(no_rate, findings.result.runs[0]) == "answered 40"
    assert (first.runs, second.runs) == ((0,), ())
    assert "no-such-model" in second.missing
    assert second.figures == {}
    assert "no-such-model" in show.closing(findings, [], list(findings.result.notes))


BRIEF = Scale(seconds=1.0, warmup_seconds=0.05, trials=2)


def test_servers_under_one_load_take_turns_and_are_compared_within_them() -> None:
    plan = Plan((Group(2, work="sleep:5"),))
    one = Case("thread", "thread", plan, ("--work",))
    other = Case("selectors", "selectors", plan, ("--work",))
    twice = Figure("thread", MESSAGES) / Figure("selectors", MESSAGES)
    claim = Hypothesis("threads wait side by side", twice, at_least=1.3)
    experiment = replace(tiny(one, other), hypotheses=(claim,))
    findings = conduct(experiment, BRIEF, 1, Watcher(), threading.Event())
    assert findings is not None
    assert len(findings.result.runs) == 4
    for run in findings.result.runs:
        assert run.tally is not None
        assert len(run.tally.turns) == 2
    [found] = findings.outcome.claims
    assert found.interval is not None
    low, high = found.interval
    first = findings.outcome.cases[0]
    rate = first.figures[MESSAGES]
    assert rate.interval is not None
    assert rate.interval[0] <= rate.value <= rate.interval[1]
    assert len(first.runs) == 2
    assert {findings.result.runs[at].model for at in first.runs} == {"thread"}
    one_rate, other_rate = (
        findings.look(case, MESSAGES) or 0.0 for case in ("thread", "selectors")
    )
    assert 0 < low <= 1.001 * one_rate / other_rate <= 1.002 * high
    said = " ".join(show.closing(findings, [], []).split())
    assert "95 % interval" in said
    assert "2 trials each. Geometric mean of the trials: messages/s. Sum of the trials: ans" in said


def test_what_keeps_whole_trials_is_in_one_place() -> None:
    plan = replace(SHORT, duration_seconds=2.0, messages_per_client=None)
    thread, selectors = Case("a", "thread", plan), Case("b", "selectors", plan)
    assert side_by_side([thread, selectors], FULL) == [[thread, selectors]]
    apart = [[thread], [selectors]]
    assert side_by_side([thread, selectors], QUICK) == apart
    for other in (
        replace(selectors, fixed=True),
        replace(selectors, open_files=100),
        replace(selectors, driver=Holders(1)),
    ):
        assert side_by_side([thread, other], FULL) == [[thread], [other]]
    counted = [replace(case, plan=SHORT) for case in (thread, selectors)]
    assert side_by_side(counted, FULL) == [[case] for case in counted]
    elsewhere = replace(selectors, plan=replace(plan, framing="raw"))
    assert side_by_side([thread, elsewhere], FULL) == [[thread], [elsewhere]]


def test_a_limit_of_descriptors_reaches_the_server() -> None:
    plan = Plan(
        (Group(40, messages_per_connection=2),), duration_seconds=None, messages_per_client=4
    )
    experiment = tiny(Case("few", "selectors", plan, open_files=24))
    findings = conduct(experiment, QUICK, 1, Watcher(), threading.Event())
    assert findings is not None
    assert findings.look("few", "served") == 40


def test_a_stop_before_anything_was_measured() -> None:
    stop = threading.Event()
    stop.set()
    findings = conduct(tiny(Case("here", "selectors", SHORT)), QUICK, 1, Watcher(), stop)
    assert findings is None or findings.result.cut_short


@pytest.mark.parametrize("name", SPECIMENS)
def test_every_specimen_answers(name: str) -> None:
    plan = replace(SHORT, groups=(Group(3),))
    findings = conduct(tiny(Case("it", name, plan)), QUICK, 1, Watcher(), threading.Event())
    assert findings is not None
    assert findings.look("it", "answered") == 60


def test_what_an_experiment_needs_is_known_before_it_runs() -> None:
    assert unavailable(Case("x", "selectors", SHORT), QUICK) is None
    assert unavailable(Case("x", "stalling-loop", SHORT), QUICK) is None
    assert "no model" in str(unavailable(Case("x", "nobody", SHORT), QUICK))


def test_a_case_without_the_gil_runs_under_such_a_python_or_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case("off", "selectors", SHORT, gil="off")
    pair = {"on": interpreters.own(), "off": replace(interpreters.own(), version="3.99.0t")}
    monkeypatch.setattr(interpreters, "with_and_without_gil", lambda: pair)
    findings = conduct(tiny(case), QUICK, 1, Watcher(), threading.Event())
    assert findings is not None
    assert [run.python for run in findings.result.runs] == ["3.99.0t"]

    def none_found() -> None:
        raise InterpreterError("it takes a Python without the GIL")

    monkeypatch.setattr(interpreters, "with_and_without_gil", none_found)
    assert unavailable(case, QUICK) == "it takes a Python without the GIL"
    assert unavailable(replace(case, gil=None), QUICK) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to cores")
def test_a_case_may_keep_its_server_on_one_core() -> None:
    """More worker threads than cores, all of which compute: one core is all they get."""
    plan = Plan((Group(3, work="sha256:512"),), duration_seconds=0.5, warmup_seconds=0.0)
    findings = conduct(
        tiny(Case("one", "thread", plan, ("--work",), fixed=True, cores=1)),
        QUICK,
        1,
        Watcher(),
        threading.Event(),
    )
    assert findings is not None
    assert (findings.look("one", CPU_CORES) or 9) < 1.1


# The command


def loadgen(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadgen", "experiment", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_the_list_names_every_experiment_in_order() -> None:
    done = loadgen("--list")
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines()[3:] if not line.startswith(" ")]
    assert [line.split()[0] for line in lines] == [one.name for one in EVERY]
    folded = " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert all(one.question.split()[-1] in folded for one in EVERY)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--list"),
        (("gil-dual",), "gil-duel"),
        (("sticky", "--report", "--no-save"), "--no-save"),
        (("gil-duel", "--idle", "3"), "silent clients there are in c1m; leave it out"),
    ],
)
def test_usage_is_one_line(words: tuple[str, ...], said: str) -> None:
    done = loadgen(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_an_experiment_from_the_question_to_the_saved_result(tmp_path: Path) -> None:
    done = loadgen(
        "sticky", "--quick", "--predict", "--results", str(tmp_path), stdin="3 1 2 4 5\n"
    )
    assert done.returncode == 0, done.stderr
    for part in ("Measured: sticky", "Your prediction", "Expected", "Claims", "Reading"):
        assert part in done.stdout
    assert done.stdout.index("Measured") < done.stdout.index("Expected")
    [folder] = tmp_path.iterdir()
    outcome = read_result(folder).experiment
    assert outcome is not None
    assert outcome.name == "sticky"
    assert outcome.predictions[0] == "length, small"
    assert outcome.picture == EXPERIMENTS["sticky"].picture
    assert [case.name for case in outcome.cases] == list(names_of(EXPERIMENTS["sticky"].cases))
    assert outcome.cases[1].figures["probe.replies"].value == 2000
    assert outcome.ranking is not None
    assert sorted(outcome.ranking.measured) == sorted(names_of(EXPERIMENTS["sticky"].cases))
    framed = [claim for claim in outcome.claims if "exactly one reply" in claim.text]
    assert [claim.as_expected for claim in framed] == [True, True]
    document = json.loads((folder / "run.json").read_text())
    assert {run["probe"]["replies_per_message"] for run in document["runs"]} >= {1}
    assert outcome.reading in (folder / "tables.md").read_text()


def test_a_fixed_folder_is_written_anew_with_one_report_for_all(tmp_path: Path) -> None:
    old = tmp_path / "sticky" / "run.json"
    old.parent.mkdir()
    old.write_text("from an earlier run")
    (tmp_path / "nagle").mkdir()  # of one that a full disk did not take
    done = loadgen("sticky", "--quick", "--folder", str(tmp_path), "--report")
    assert done.returncode == 0, done.stderr
    assert f"report in {tmp_path / 'report.html'}" in done.stderr
    outcome = read_result(old).experiment
    assert outcome is not None
    assert outcome.name == "sticky"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "report.html",
        "run.json",
        "tables.md",
    ]
    assert outcome.reading in (tmp_path / "report.html").read_text()


def test_every_framing_is_tried() -> None:
    tried = {case.plan.framing for case in EXPERIMENTS["sticky"].cases}
    assert tried == set(FRAMINGS)


def test_an_experiment_that_is_interrupted_while_it_is_judged_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    experiment = tiny(Case("here", "selectors", SHORT))
    monkeypatch.setitem(EXPERIMENTS, experiment.name, experiment)
    plain = judge.claims

    def interrupted(*arguments: Any) -> tuple[Claim, ...]:
        signal.raise_signal(signal.SIGINT)
        return plain(*arguments)

    monkeypatch.setattr(judge, "claims", interrupted)
    words = ("experiment", "tiny", "--quick", "--quiet", "--folder", str(tmp_path))
    assert main(words) == INTERRUPTED
    outcome = read_result(tmp_path / "tiny").experiment
    assert outcome is not None
    assert outcome.reading == "It does."
