"""The one sentence per row: the gravest thing first, and nothing that the intervals do not say."""

from dataclasses import fields, replace

from loadgen.judge.analysis import analyse
from loadgen.plan.group import Group
from loadgen.record.effort import Effort
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally
from loadgen.show.sentences import sentences
from tests.runs import PLAN, cost, group_tally, result, rows, run, starving, tally, trials


def said(*runs: Run) -> dict[str, str]:
    found = dict(sentences(rows(result(*runs))))
    for sentence in found.values():
        assert "\n" not in sentence
        assert "None" not in sentence
    return found


def test_the_first_and_by_how_much() -> None:
    found = said(*trials("thread", [200, 201, 199]), *trials("process", [100, 101, 99]))
    assert found["thread"].startswith("most messages/s: 2.00 times (1.9")
    assert found["process"].startswith("0.50 times")
    assert "thread in messages/s" in found["process"]


def test_no_clear_difference_is_said_as_such() -> None:
    found = said(*trials("thread", [110, 140, 90]), *trials("process", [100, 130, 80]))
    assert found["thread"] == "most messages/s, but no clear difference from process"
    assert found["process"].startswith("no clear difference from thread")


def test_what_it_cost_more_than_its_peers() -> None:
    dear = [replace(one, server=cost(3.0, busy=3.6)) for one in trials("process", [200, 201, 199])]
    found = said(*trials("thread", [200, 200, 201]), *dear)
    assert "3.01 times the CPU per message of thread" in found["process"]


def test_starvation() -> None:
    assert said(starving())["iterative"] == (
        "1 client was served, the other 9 connected and starved: its 10,000 messages/s went to "
        "that one"
    )
    some = replace(run(), tally=tally(group_tally(served=4)))
    assert "6 of 10 clients starved" in said(some)["thread"]
    assert "up to 6 of 10" in said(some, run(trial=2))["thread"]
    none = replace(run(), tally=tally(group_tally(served=0)))
    assert "none ever got a reply" in said(none)["thread"]


def test_wrong_replies_come_before_any_praise() -> None:
    group = group_tally()
    group.wrong += 3
    group.intended += 3
    assert said(replace(run(), tally=tally(group)))["thread"].startswith(
        "3 of 2,003 messages got a wrong reply"
    )


def test_whoever_serves_several_at_a_time_is_said_to() -> None:
    two = replace(run(), at_once=2, tally=tally(group_tally(10, served=2)))
    found = said(two)["thread"]
    assert found.startswith("it serves 2 clients at a time, the other 8 starved: its ")
    assert found.endswith(" messages/s went to those 2")
    fewer = said(replace(two, at_once=3))["thread"]
    assert fewer == "8 of 10 clients starved: not all were served"


def test_nobody_connected() -> None:
    counts = tally(GroupTally("all", clients=10, refused=10, errors={"ECONNREFUSED": 10}))
    found = said(replace(run(), tally=counts))["thread"]
    assert found == "no client could connect (ECONNREFUSED 10)"


def test_an_invalid_run_is_not_to_be_used() -> None:
    group = group_tally()
    group.intended += 1
    found = said(replace(run(), tally=tally(group)))["thread"]
    assert found == "the run failed its own audit (messages add up): do not use it"


def test_a_server_that_did_not_start() -> None:
    words = ("Traceback (most recent call last):", "  1 / 0", "  ~~^~~", "ZeroDivisionError: zero")
    problem = "\n    ".join(["it ended with status 1; it said:", *words])
    one = analyse(result(Run("thread", PLAN, problem=problem)))
    brief = "it ended with status 1; it said: ZeroDivisionError: zero"
    assert dict(sentences(one.rows))["thread"] == f"did not run: {brief}"
    assert f"thread: {brief}" in one.cautions
    assert one.result.runs[0].problem == problem
    assert said(Run("thread", PLAN, problem="no"))["thread"] == "did not run: no"


def test_a_single_row_speaks_for_itself() -> None:
    found = said(run())["thread"]
    assert found.startswith("1,000 messages/s, half of them within 9.99 ms")
    assert "the server was the limit (it used 1.00 cores)" in found


def test_an_open_loop() -> None:
    def at(rate: float) -> str:
        plan = replace(PLAN, groups=(Group(10, rate_per_second=rate),))
        return said(run(plan=plan))["thread"]

    assert at(1000.0).startswith("kept up with the 1,000 messages/s asked for")
    assert at(2000.0).startswith("reached 50% of the 2,000 messages/s asked for")


def test_silent_connections_alone() -> None:
    plan = replace(PLAN, groups=(Group(10, silent=True),))
    counts = tally(GroupTally("all", clients=10, connected=10, held=10))
    assert said(replace(run(plan=plan), tally=counts))["thread"] == "held 10 silent connections"


def test_uneven_service() -> None:
    group = group_tally()
    group.answered_per_client = [20] * 5 + [380] * 5
    uneven = [replace(one, tally=tally(group)) for one in trials("process", [200, 200, 200])]
    found = said(*trials("thread", [200, 201, 199]), *uneven)
    assert "the least served client got 20 messages, the most served 380" in found["process"]


def with_effort(one: Run, effort: Effort) -> Run:
    """The same run, with what the kernel counted for a thousand of its messages."""
    assert one.tally is not None
    times = one.tally.groups[0].answered_in_window / 1000
    known = {item.name: getattr(effort, item.name) * times for item in fields(effort)}
    return replace(one, server=replace(one.server, effort=Effort(**known)))


def test_a_difference_is_explained_by_what_differs() -> None:
    quick = [
        with_effort(one, Effort(0.003, 0.004, 0, 20, 10, 0.0))
        for one in trials("selectors", [200, 201, 199])
    ]
    slow = [
        with_effort(one, Effort(0.0031, 0.008, 0, 2000, 20, 0.1))
        for one in trials("thread", [100, 101, 99])
    ]
    assert said(*quick, *slow)["thread"] == (
        "0.50 times (0.49 to 0.51) selectors in messages/s: 2.00 switches a message against 0.02 "
        "and 8.00 us of kernel time against 4.00 us"
    )


def test_what_hardly_differs_explains_nothing() -> None:
    same = Effort(0.003, 0.004, 0, 20, 10, 0.0)
    quick = [with_effort(one, same) for one in trials("selectors", [200, 201, 199])]
    slow = [with_effort(one, same) for one in trials("thread", [100, 101, 99])]
    assert " against " not in said(*quick, *slow)["thread"]
