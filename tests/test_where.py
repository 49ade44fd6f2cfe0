"""Where a message's time goes, held against servers of which it is known."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest

from loadgen.command.server_options import server_options
from loadgen.fleet.measure import Silent, measure
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task
from loadgen.judge.audit import audit
from loadgen.judge.where import Part, Where, where
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.show.where_table import where_table
from tests import runs
from tests.traces import WORK, client, handled, stay, traced, two_in_turn


def shares(one: Where) -> Mapping[Part, float]:
    """The parts in ms, those that are nothing left out."""
    return {part: round(value * 1e3, 6) for part, value in one.parts.items() if value}


def test_the_parts_of_messages_made_by_hand() -> None:
    found = where(two_in_turn())
    assert shares(found["A"]) == {Part.TALK: 10}
    assert shares(found["B"]) == {Part.BEHIND: 10, Part.TALK: 10}  # all in one thread
    # From 5 to 20 others ran, at 20.5 it was received, at 20.6 answered, at 21 it had its reply.
    assert shares(found["quick"]) == {
        Part.BEHIND: 15, Part.IN: 0.5, Part.TALK: 0.1, Part.BACK: 0.4,
    }  # fmt: skip
    assert all(one.missing_share < 1e-9 for one in found.values())


def two_threads(gil: bool) -> Run:
    """Two that run by turns in threads of their own, 5 ms each."""
    first, second = handled(0, 15, (0, 5), (10, 15)), handled(1, 20, (5, 10), (15, 20))
    run = traced(
        [
            (WORK, client("a", (0, 15)), stay("a", first)),
            (replace(WORK, name="B"), client("b", (1, 20)), stay("b", (*second[:4], 8, second[5]))),
        ]
    )
    assert run.trace is not None
    return replace(run, trace=replace(run.trace, gil=gil))


def test_who_waits_for_the_gil_and_without_one_for_a_core() -> None:
    assert shares(where(two_threads(gil=True))["B"]) == {Part.GIL: 9, Part.TALK: 10}
    assert shares(where(two_threads(gil=False))["B"]) == {Part.CORE: 9, Part.TALK: 10}


def test_who_is_let_in_late() -> None:
    late = stay("a", handled(20, 30, (20, 30)), begun=19)
    found = where(traced([(WORK, client("a", (0, 31)), late)]))["A"]
    assert shares(found) == {Part.OUTSIDE: 19, Part.IN: 1, Part.TALK: 10, Part.BACK: 1}


def test_a_message_that_the_server_knows_nothing_of_fails_the_audit() -> None:
    sound = two_in_turn()
    assert {check.passed for check in audit(sound).checks if "traced" in check.name} == {True}
    assert sound.trace is not None
    robbed = replace(sound, trace=replace(sound.trace, stays=sound.trace.stays[1:]))
    [failed] = [check for check in audit(robbed).failures if "traced" in check.name]
    assert failed.detail == "3 answered, 2 noted by the server"


def test_without_a_trace_there_is_no_table() -> None:
    assert where(runs.run()) == {}
    assert where_table(runs.rows(runs.result(runs.run()))) is None


def test_the_table_has_the_parts_that_there_are() -> None:
    table = where_table(runs.rows(runs.result(two_in_turn())))
    assert table is not None
    assert table.headers == (
        "server", "group", "latency", "in the\ntalk", "behind\nothers", "way\nin", "way\nback",
    )  # fmt: skip
    assert table.rows[1] == ("thread", "B", "20.0 ms", "10.0 ms", "10.0 ms", "0 s", "0 s")


def served(model: str, *groups: Group) -> dict[str, Where]:
    """Where the time of these groups' messages went with a server that runs."""
    plan = Plan(groups, duration_seconds=0.5, warmup_seconds=0.0, trace_clients=10)
    server = ModelServer(model, tuple(server_options(plan, ())))
    run = measure(Task(model, server, plan), Silent(), threading.Event())
    assert run.problem is None
    assert [check for check in audit(run).failures if "trace" in check.name] == []
    found = where(run)
    assert all(one.missing_share < 1e-6 for one in found.values())
    return found


def test_a_server_that_sleeps() -> None:
    alone = served("thread", Group(2, work="sleep:10"))["all"]
    assert alone.parts[Part.ASLEEP] > 0.01
    assert alone.parts[Part.ASLEEP] > 0.2 * alone.latency_seconds
    behind = served("selectors", Group(2, work="sleep:10"))["all"]
    assert behind.parts[Part.BEHIND] > 0.2 * behind.latency_seconds  # the other's sleep is its own


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no GIL to wait for"
)
def test_one_that_computes_beside_another_thread() -> None:
    threads = served("thread", Group(2, work="fib:23"))["all"]
    # About as long as each runs; how long all of it takes is the machine's affair.
    assert threads.parts[Part.GIL] > 0.2 * threads.parts[Part.TALK]
    processes = served("process", Group(2, work="fib:23"))["all"]
    assert processes.parts[Part.GIL] == processes.parts[Part.BEHIND] == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_one_beside_a_busy_program_on_its_core() -> None:
    core = {min(os.sched_getaffinity(0))}
    all_cores = os.sched_getaffinity(0)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            os.sched_setaffinity(busy.pid, core)
            os.sched_setaffinity(0, core)  # those that we start inherit it
            found = served("iterative", Group(1, work="fib:25"))["all"]
        finally:
            os.sched_setaffinity(0, all_cores)
            busy.kill()
    waited = found.parts[Part.CORE] + found.parts[Part.IN] + found.parts[Part.BACK]
    assert found.parts[Part.CORE] > 0.1 * found.latency_seconds
    assert waited > 0.25 * found.latency_seconds
