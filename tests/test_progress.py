"""Progress for a terminal and for a file, and none where none is wanted."""

import io
import time
from dataclasses import replace

import pytest

from loadgen.fleet.events import Snapshot, WindowClosed, WindowOpened
from loadgen.plan.group import Group
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally
from loadgen.show.progress import Progress, spark
from tests.runs import PLAN, run, starving, tally


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def one_run(progress: Progress, result: Run) -> None:
    progress.begin("thread", PLAN)
    progress.event(Snapshot(0.1, 5, 50.0, 0.01, 3, 3))
    progress.event(Snapshot(0.4, 90, 900.0, 0.01, 10, 10))
    progress.event(WindowOpened(1.0))
    progress.event(Snapshot(0.7, 500, 1000.0, 0.012, 10, 10))
    progress.event(WindowClosed(3.0))
    progress.end("thread", result)


def test_a_file_gets_a_line_per_run() -> None:
    out = io.StringIO()
    with Progress({"thread": 2, "process": 2}, quiet=False, stream=out) as progress:
        one_run(progress, run())
    assert out.getvalue() == "[1/4] thread, trial 1: 1,000 messages/s, p99 9.99 ms\n"


def test_a_run_that_was_cut_short_before_its_window_says_so() -> None:
    out = io.StringIO()
    early = replace(run(), tally=tally(GroupTally("all", clients=10), window=0.0))
    with Progress({"thread": 1}, quiet=False, stream=out) as progress:
        one_run(progress, early)
    assert out.getvalue() == "[1/1] thread: nothing measured\n"


def test_what_came_out_of_a_run_is_told_in_the_words_that_were_asked_for() -> None:
    out = io.StringIO()
    with Progress(
        {"thread": 1}, quiet=False, tell=lambda run: f"trial {run.trial} did well", stream=out
    ) as progress:
        one_run(progress, run())
    assert out.getvalue() == "[1/1] thread: trial 1 did well\n"


def test_a_file_hears_of_connecting_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 9.0, 10.0, 10.0, 12.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with Progress({"thread": 1}, quiet=False, stream=out) as progress:
        progress.begin("thread", PLAN)
        for connected in (1, 3, 7, 10):
            progress.event(Snapshot(0.1, 0, 0.0, None, connected, 0))
    assert out.getvalue() == "thread: connecting, 3 of 10\n"


def test_a_server_that_did_not_run_is_named_as_such() -> None:
    out = io.StringIO()
    with Progress({"thread": 1}, quiet=False, stream=out) as progress:
        one_run(progress, replace(run(), tally=None, problem="no"))
    assert out.getvalue() == "[1/1] thread: did not run\n"


def test_quiet_is_quiet() -> None:
    for out in (io.StringIO(), Terminal()):
        with Progress({"thread": 1}, quiet=True, stream=out) as progress:
            one_run(progress, run())
            progress.note("something else")
        assert out.getvalue() == ""


def test_a_terminal_gets_a_table_that_is_gone_at_the_end() -> None:
    out = Terminal()
    with Progress({"thread": 1, "process": 1}, quiet=False, stream=out) as progress:
        one_run(progress, run())
        progress.note("measuring the ceiling")
        during = out.getvalue()
    assert "starting" in during
    assert "waiting" in during
    assert "measuring the ceiling" in during
    assert out.getvalue().endswith(("\x1b[2K", "\x1b[?25h"))  # erased, and the cursor shown again


@pytest.mark.parametrize("name", ["[fe80::1]:8008", "[/x]", ":smile:"])
def test_a_name_is_no_markup(name: str) -> None:
    out = Terminal()
    with Progress({name: 1}, quiet=False, stream=out) as progress:
        progress.begin(name, PLAN)
        assert name in out.getvalue()


def test_how_narrowly_a_server_is_known_stands_beside_its_rate() -> None:
    out = Terminal()
    with Progress({"thread": None, "process": None}, quiet=False, stream=out) as progress:
        one_run(progress, run())
        assert "+/-" not in out.getvalue()
        progress.know("thread", "12%")
        assert "+/-" in out.getvalue()
        assert "12%" in out.getvalue()
        progress.know("thread", "4.1%")
        assert "4.1%" in out.getvalue()


def test_it_redraws_no_more_than_four_times_a_second() -> None:
    out = Terminal()
    with Progress({"thread": 1}, quiet=False, stream=out) as progress:
        progress.begin("thread", PLAN)
        drawn = out.getvalue().count("messages/s")
        for number in range(100):
            progress.event(Snapshot(number / 1000, number, 1000.0, 0.01, 10, 10))
        assert out.getvalue().count("messages/s") - drawn <= 4


def test_what_a_run_is_doing() -> None:
    progress = Progress({"thread": 1}, quiet=True, stream=io.StringIO())
    progress.begin("thread", PLAN)
    states = []
    for event in (
        Snapshot(0.1, 0, 0.0, None, 3, 0),
        Snapshot(0.4, 90, 900.0, 0.01, 10, 10),
        WindowOpened(1.0),
        Snapshot(0.7, 500, 1000.0, 0.012, 10, 10),
        WindowClosed(3.0),
    ):
        progress.event(event)
        assert progress.current is not None
        states.append(progress.current.state.split(",")[0])
    assert states == ["connecting", "warming up", "warming up", "measuring", "finishing"]


def test_a_number_of_messages_is_shown_as_a_share() -> None:
    progress = Progress({"thread": 1}, quiet=True, stream=io.StringIO())
    plan = replace(PLAN, duration_seconds=None, messages_per_client=20)
    progress.begin("thread", plan)
    progress.event(Snapshot(0.4, 50, 900.0, 0.01, 10, 10))
    assert progress.current is not None
    assert progress.current.state == "25% of the messages"


def test_a_spark_line() -> None:
    assert spark([]) == ""
    assert spark([0.0, 0.0]) == ""
    assert spark([0.0, 4.0, 8.0]) == " ▄█"


def test_nobody_looks_good_who_served_one_of_many() -> None:
    out = io.StringIO()
    with Progress({"iterative": 1}, quiet=False, stream=out) as progress:
        progress.begin("iterative", PLAN)
        progress.end("iterative", starving())
    assert out.getvalue().endswith(", served 1/10\n")
    terminal = Terminal()
    with Progress({"iterative": 1}, quiet=False, stream=terminal) as progress:
        progress.begin("iterative", PLAN)
        progress.event(Snapshot(0.4, 90, 900.0, 0.01, 10, 1))
        progress.note("")
        assert "1/10" in terminal.getvalue()


def test_a_rate_stands_beside_the_load_that_it_belongs_to() -> None:
    terminal = Terminal()
    words = {10: "ten", 20: "twenty"}
    with Progress(
        {"thread": 2}, quiet=False, describe=lambda plan: words[plan.clients], stream=terminal
    ) as progress:
        one_run(progress, run())
        before = len(terminal.getvalue())
        progress.begin("thread", replace(PLAN, groups=(Group(20),)))
        row = next(line for line in terminal.getvalue()[before:].splitlines() if "1,000" in line)
    assert "ten" in row
    assert "twenty" not in row


def test_no_name_is_cut_on_a_projector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    names = "socketserver", "asyncio-protocol"
    with Progress(
        dict.fromkeys(names, 12), quiet=False, describe=lambda _: "1,000 clients", stream=out
    ) as progress:
        progress.begin("socketserver", PLAN)
        progress.event(Snapshot(0.4, 90, 55_900.0, 0.01, 10, 10))
        progress.turn("asyncio-protocol", 1, 2)
    for name in (*names, "1,000 clients", "55,900", "holding still"):
        assert name in out.getvalue()
