"""What a run's figures do not say: why a server ended, or what it answers in place of a reply."""

import time
from dataclasses import replace
from typing import Final

from concurrency_models.talk import FRAMINGS
from loadgen.fleet.server import Process, Running
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.messages import Messages
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.servers.found import converse

ENDING_SECONDS: Final = 0.5
"""What a server may take to end once its connections are closed."""


def notes(run: Run, server: Running) -> list[str]:
    """Sentences on what went wrong with the server of a run that has just ended; [] if nothing."""
    if server.process is not None:
        ended = [_last_words(server.process)] if _has_ended(server.process, run) else []
        return [*server.notes, *ended]
    return _first_words(run.plan, server.endpoint) if _nobody_served(run) else []


def _has_ended(process: Process, run: Run) -> bool:
    """Whether a server is gone. Its connections end before it does: where some did, we wait."""
    lost = run.tally is not None and any(group.errors for group in run.tally.groups)
    until = time.monotonic() + (ENDING_SECONDS if lost else 0.0)
    while process.running and time.monotonic() < until:
        time.sleep(0.01)
    return not process.running


def _last_words(process: Process) -> str:
    # Less the lines of a traceback that only point at a place in the line above.
    lines = [line.strip() for line in process.output if line.strip(" ^~")]
    said = "; ".join(lines[-3:]) or "nothing"
    return f"the server ended during the run; the last it said: {said}"


def _nobody_served(run: Run) -> bool:
    if run.tally is None or run.tally.cut_short:
        return False
    groups = [
        count
        for count, group in zip(run.tally.groups, run.plan.groups, strict=True)
        if not group.silent
    ]
    return any(group.connected for group in groups) and not any(group.served for group in groups)


def _first_words(plan: Plan, endpoint: Endpoint) -> list[str]:
    """What the server answers to the first message of the plan, where that is not what it should.

    Asked after the run, so that the clients' own talks stay as they were.
    """
    if endpoint.transport != "tcp":
        return []
    group = next(group for group in plan.groups if not group.silent)
    request, expected = Messages(group, plan).pairs[0]
    # A server that does no work sends the message back, which may be longer than the answer.
    room = len(expected) + (len(request) if group.work is not None else 0)
    got = converse(endpoint, request, room)
    if got is None:
        return []
    if got == expected:
        if plan.talk == "loop":
            return []
        return [f"the server answers and does not close: start it with --talk {plan.talk}"]
    for framing in FRAMINGS:
        if framing != plan.framing and _answers(endpoint, replace(plan, framing=framing)):
            return [f"the server answers to another framing: repeat this with --framing {framing}"]
    if not got:
        when = "when it is sent a message" if request else "unasked: start it with --talk greet"
        return [f"the server hangs up, or says nothing, {when}"]
    said = [f"sent {shortened(request)}, expected {shortened(expected)}, got {shortened(got)}"]
    if group.work is not None and group.work.replace(":", " ").encode() in got:
        said.append("the server does not do the work: start it with --work")
    elif got == request:
        said.append("the server sends back what it gets: try --reply-prefix ''")
    elif got.startswith(b"HTTP/"):
        said.append("that is an HTTP server; --request and --reply can speak to it")
    return ["; ".join(said)]


def _answers(endpoint: Endpoint, plan: Plan) -> bool:
    """Whether the server answers a plan's first message as it should."""
    group = next(group for group in plan.groups if not group.silent)
    if group.request is not None:
        return False
    request, expected = Messages(group, plan).pairs[0]
    return converse(endpoint, request, len(expected)) == expected


def shortened(data: bytes) -> str:
    """Bytes as Python shows them, the middle left out when there are many."""
    return repr(data) if len(data) <= 40 else f"{data[:30]!r}... ({len(data):,} bytes)"
