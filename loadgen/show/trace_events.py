"""Traces in the Trace Event format, which Perfetto and Chromium open: processes, threads, flows.

Each client is a thread of a process of its own making, above all process ids of the kernel; each
process and thread of the server is what it was. A flow leads from a client's message to where it
was handled, and another from there to its reply: Perfetto takes the end of one flow with a step in
between for a second arrow to the server. It draws arrows from slice to slice, so a reply has a
slice of its own, without length; one back to the message would lead into the past. Source: "Trace
Event Format", Google, 2016 (JSON Object Format; times in microseconds).
"""

import json
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

from loadgen.judge.handled import handled
from loadgen.record.result import Run
from loadgen.record.trace import ServerTrace

FIRST_OF_CLIENTS: Final = 1 << 23
"""Process ids of the kernel are below 2**22."""

Event = dict[str, Any]


def trace_events(runs: Sequence[Run]) -> str | None:
    """The traces of all runs as JSON text, one after the other; None where there are none."""
    traced = [run for run in runs if run.trace is not None or _clients(run)]
    numbers = count(1)
    events = [
        event
        for place, run in enumerate(traced)
        for event in _events(run, FIRST_OF_CLIENTS + place, numbers)
    ]
    if not events:
        return None
    start = min(event["ts"] for event in events if "ts" in event)
    for event in events:
        if "ts" in event:
            event["ts"] = _microseconds(event["ts"] - start)
    whole = {"traceEvents": events, "displayTimeUnit": "ns"}
    return json.dumps(whole, separators=(",", ":")) + "\n"


def _clients(run: Run) -> bool:
    return run.tally is not None and any(group.traces for group in run.tally.groups)


def _events(run: Run, clients: int, numbers: Iterator[int]) -> Iterator[Event]:
    """One run's events, with `ts` in nanoseconds of the clock."""
    name = f"{run.label or run.model} ({run.trial})"
    yield _named("process_name", clients, 0, f"clients of {name}")
    if run.trace is not None:
        yield from _server(run.trace, name)
    threads = count(1)
    for group in run.tally.groups if run.tally else ():
        for client in group.traces:
            thread = next(threads)
            yield _named("thread_name", clients, thread, f"{group.name} {client.client + 1}")
            for started, stood in client.connecting:
                yield _slice("connect", clients, thread, started, stood)
            for due, sent, reply in client.exchanges:
                if reply is not None:
                    yield _slice("message", clients, thread, sent, reply, late_ns=sent - due)
                else:
                    yield _instant("sent, and never answered", clients, thread, sent)
            for (_, sent, reply), stay, message in handled(client, run.trace) if run.trace else ():
                assert reply is not None
                received, answered, server = message[0], message[1], message[4]
                way_in, way_back = next(numbers), next(numbers)
                yield _flow("s", way_in, clients, thread, sent)
                yield _flow("f", way_in, stay.process, server, received, bp="e")
                # Within the slice: at its end a viewer may take it for over.
                yield _flow("s", way_back, stay.process, server, max(received, answered - 1))
                # The slice that comes next, of those at the same moment too.
                yield _flow("f", way_back, clients, thread, reply)
                yield _slice("reply", clients, thread, reply, reply)
    if run.trace is not None:
        # After the flows, which else would lead to the first of them and not to the answer.
        yield from _runs(run.trace)


def _server(trace: ServerTrace, name: str) -> Iterator[Event]:
    processes = {trace.process: f"server {name}"}
    threads: dict[tuple[int, int], str] = {}
    for stay in trace.stays:
        processes.setdefault(stay.process, f"a process of {name}")
        threads |= {(stay.process, int(number)): one for number, one in stay.threads.items()}
        if not stay.threads and stay.acceptor is not None:
            threads.setdefault((stay.process, stay.process), stay.acceptor)
    for process, text in processes.items():
        yield _named("process_name", process, 0, text)
    for (process, thread), text in threads.items():
        yield _named("thread_name", process, thread, text)
    handed_over = {(stay.client, stay.accepted) for stay in trace.stays if stay.begun is None}
    for stay in trace.stays:
        first = min(map(int, stay.threads), default=stay.process)
        moments = {"accepted": stay.accepted, "begun": stay.begun}
        if stay.begun is not None and (stay.client, stay.accepted) in handed_over:
            del moments["accepted"]  # known to a forked child as well, and not done by it
        moments["ended" if stay.begun is not None else "handed over"] = stay.ended
        for text, at in moments.items():
            if at is not None:
                yield _instant(f"{stay.client} {text}", stay.process, first, at)
        for received, answered, sent, cpu, thread, _ in stay.messages:
            client = {"client": stay.client, "sent_ns_later": sent - answered, "thread_cpu_ns": cpu}
            yield _slice("answer", stay.process, thread, received, answered, **client)


def _runs(trace: ServerTrace) -> Iterator[Event]:
    for stay in trace.stays:
        for *_, thread, pieces in stay.messages:
            for start, end in pieces:
                yield _slice("run", stay.process, thread, start, end)


def _named(kind: str, process: int, thread: int, name: str) -> Event:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": name}}


def _slice(name: str, process: int, thread: int, start: int, end: int, **args: object) -> Event:
    lasted = _microseconds(end - start)
    event = {"ph": "X", "name": name, "cat": "trace", "pid": process, "tid": thread, "ts": start}
    return {**event, "dur": lasted, "args": args}


def _instant(name: str, process: int, thread: int, at: int) -> Event:
    event = {"ph": "i", "name": name, "cat": "trace", "pid": process, "tid": thread, "ts": at}
    return {**event, "s": "t"}


def _flow(phase: str, number: int, process: int, thread: int, at: int, **bound: str) -> Event:
    """A flow's start or end; `bp` is "e" where it ends in the slice around it, not in the next."""
    event = {"ph": phase, "name": "message", "cat": "flow", "id": number, "pid": process}
    return {**event, "tid": thread, "ts": at, **bound}


def _microseconds(nanoseconds: int) -> float:
    return nanoseconds / 1000
