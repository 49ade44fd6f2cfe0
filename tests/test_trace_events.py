"""Exported traces, held against the rules of the Trace Event format."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadgen.command.main import main
from loadgen.judge.handled import handled
from loadgen.show.trace_events import FIRST_OF_CLIENTS, trace_events
from tests import runs
from tests.traces import two_in_turn

Event = dict[str, Any]
PHASES = {"M": {"args"}, "X": {"ts", "dur"}, "i": {"ts", "s"}} | {
    flow: {"ts", "id", "cat"} for flow in "sf"
}
"""Kind of event -> what it needs beside a name, a process and a thread."""


def checked(text: str) -> list[Event]:
    """The events of a trace that follows the rules."""
    events: list[Event] = json.loads(text)["traceEvents"]
    for event in events:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert PHASES[event["ph"]] <= event.keys()
        assert event.get("ts", 0) >= 0
        assert event.get("dur", 0) >= 0
    named = {(one["name"], one["pid"], one["tid"]) for one in events if one["ph"] == "M"}
    slices = defaultdict(list)
    for event in events:
        if event["ph"] != "M":
            assert ("process_name", event["pid"], 0) in named
        if event["ph"] == "X":
            assert ("thread_name", event["pid"], event["tid"]) in named
            start = round(event["ts"] * 1000)
            slices[event["pid"], event["tid"]].append((start, start + round(event["dur"] * 1000)))
    for spans in slices.values():
        check_nested(spans)
    flows = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            flows[event["id"]].append(event)
            at = round(event["ts"] * 1000)
            assert any(start <= at <= end for start, end in slices[event["pid"], event["tid"]])
    for steps in flows.values():
        assert [step["ph"] for step in steps] == ["s", "f"]
        assert [step["ts"] for step in steps] == sorted(step["ts"] for step in steps)
    return events


def arrows(events: list[Event]) -> list[tuple[str, str]]:
    """From which slice to which each flow leads, by the names, as Perfetto binds them.

    Events come by their times, those of one moment in the order of the file. A flow starts in the
    slice of its thread that began last; it ends there as well with `bp`, else in the next one.
    """
    last: dict[tuple[int, int], Event] = {}
    began: dict[int, Event] = {}
    pending: dict[tuple[int, int], int] = {}
    found = {}
    for event in sorted((one for one in events if one["ph"] in "Xsf"), key=lambda one: one["ts"]):
        place = event["pid"], event["tid"]
        if event["ph"] == "X":
            last[place] = event
            if place in pending:
                number = pending.pop(place)
                found[number] = began[number]["name"], event["name"]
                assert began[number]["ts"] <= event["ts"]
        elif event["ph"] == "s":
            began[event["id"]] = last[place]
        elif "bp" in event:
            found[event["id"]] = began[event["id"]]["name"], last[place]["name"]
        else:
            pending[place] = event["id"]
    return [found[number] for number in sorted(found)]


def check_nested(spans: list[tuple[int, int]]) -> None:
    """Slices of one thread lie within each other or apart."""
    around: list[int] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        while around and around[-1] <= start:
            around.pop()
        assert not around or end <= around[-1]
        around.append(end)


def test_a_trace_has_flows_from_each_client_to_the_server_and_back() -> None:
    text = trace_events([two_in_turn()])
    assert text is not None
    events = checked(text)
    flows = [event for event in events if event["ph"] in "sf"]
    ways = [[one["pid"] == FIRST_OF_CLIENTS for one in flows if one["id"] == n] for n in (1, 2)]
    assert ways == [[True, False], [False, True]]
    assert {one["tid"] for one in flows if one["pid"] != FIRST_OF_CLIENTS} == {7}
    back = ("run", "reply")  # from what ran last, where it asked for work
    assert arrows(events) == [
        ("message", "answer"), back, ("message", "answer"), back,
        ("message", "answer"), ("answer", "reply"),
    ]  # fmt: skip


def test_a_client_who_is_handed_over_is_accepted_once_by_a_thread_with_a_name() -> None:
    run = two_in_turn()
    assert run.trace is not None
    first, *others = run.trace.stays
    there = replace(first, process=2, accepted=5)
    here = replace(there, process=1, acceptor="MainThread", begun=None, threads={}, messages=())
    text = trace_events([replace(run, trace=replace(run.trace, stays=(here, there, *others)))])
    assert text is not None
    events = checked(text)
    accepted = [event for event in events if event["name"] == f"{first.client} accepted"]
    assert [(one["pid"], one["tid"]) for one in accepted] == [(1, 1)]
    names = {(one["pid"], one["tid"]): one["args"]["name"] for one in events if one["ph"] == "M"}
    assert names[1, 1] == "MainThread"


def test_a_message_goes_with_its_handling() -> None:
    run = two_in_turn()
    assert run.tally is not None
    assert run.trace is not None
    for group in run.tally.groups:
        [(exchange, stay, message)] = handled(group.traces[0], run.trace)
        assert stay.client == group.traces[0].addresses[0]
        assert exchange[1] <= message[0] <= message[1] <= (exchange[2] or 0)


def test_without_a_trace_there_is_nothing_to_export() -> None:
    assert trace_events([runs.run()]) is None


def test_a_measured_run_is_traced_saved_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--model", "thread", "--model", "asyncio-streams", "--clients", "3", "--quiet")
    asked = ("--trace-clients", "2", "--export-trace", "mine.json", "--lives", "1")
    assert main([*words, *asked, "--duration", "0.1", "--no-ceiling"]) == 0
    events = checked((tmp_path / "mine.json").read_text())
    [saved] = tmp_path.glob("results/*/trace.json")
    assert saved.read_text() == (tmp_path / "mine.json").read_text()
    clients = {(event["pid"], event["tid"]) for event in events if event["pid"] >= FIRST_OF_CLIENTS}
    assert len({one for one in clients if one[1]}) == 4  # two of each server
    assert sum(event["ph"] == "f" for event in events) > 20
    tables = next(tmp_path.glob("results/*/tables.md")).read_text()
    assert "a trace was kept" in tables


def test_an_export_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--export-trace", "x", "--model", "thread"]) == 2
    assert "--trace-clients" in capsys.readouterr().err
