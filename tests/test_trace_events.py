"""Exported traces, held against the rules of the Trace Event format."""

import json
from collections import defaultdict
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
    flow: {"ts", "id", "cat"} for flow in "stf"
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
        if event["ph"] in "stf":
            flows[event["id"]].append(event)
            at = round(event["ts"] * 1000)
            assert any(start <= at <= end for start, end in slices[event["pid"], event["tid"]])
    for steps in flows.values():
        assert [step["ph"] for step in steps] == ["s", "t", "f"]
        assert [step["ts"] for step in steps] == sorted(step["ts"] for step in steps)
        assert steps[2]["bp"] == "e"
    return events


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
    starts = [event for event in events if event["ph"] == "s"]
    assert len(starts) == 3
    assert all(event["pid"] == FIRST_OF_CLIENTS for event in starts)
    steps = {event["id"]: event["tid"] for event in events if event["ph"] == "t"}
    assert set(steps.values()) == {7}


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
