"""What the engine can do at most on this machine, so that its limit is not taken for a server's."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from loadgen.fleet.conductor import Stop
from loadgen.fleet.events import Event
from loadgen.fleet.measure import observe
from loadgen.fleet.server import ProgramServer
from loadgen.judge.figures import figures
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Ceiling, Run
from loadgen.servers.problem import TargetError
from loadgen.servers.started import place_for

# The ceiling's own run: long enough for the engine to reach its stride, short enough not to be
# waited for. More clients would mostly measure how long they take to connect.
CEILING_SECONDS = 1.0
CEILING_WARMUP_SECONDS = 0.3
CEILING_CLIENTS = 1000
# Below this share of a core the engine's busiest worker was plainly not the limit.
CEILING_NEEDED = 0.3


def ceiling_needed(runs: Sequence[Run]) -> bool:
    """Whether the engine was busy enough in some run for its ceiling to matter."""
    shares = [run.tally.busiest_worker_cpu for run in runs if run.tally is not None]
    return any(share is not None and share >= CEILING_NEEDED for share in shares)


def measure_ceiling(plan: Plan, stop: Stop) -> Ceiling | None:
    """What the engine makes of this plan's messages against a server that only echoes.

    Every client is in a closed loop without thinking; silent ones are left out. Of several workers
    one is measured with its share of the clients, and the others are taken for its like: together
    they would find the limit of that server, which is one process. None when the server does not
    start or nothing was answered.
    """
    talking = [group for group in plan.groups if not group.silent]
    groups = tuple(_at_full_speed(group, plan.workers) for group in talking)
    if not groups:
        return None
    fastest = replace(
        plan,
        groups=groups,
        framing="length",
        reply_prefix=b"",
        duration_seconds=CEILING_SECONDS,
        messages_per_client=None,
        warmup_seconds=CEILING_WARMUP_SECONDS,
        ramp_seconds=0.0,
        connect_rate=None,
        workers=1,
    )
    program = ("-m", "loadgen.servers.null_server", plan.family, plan.transport, plan.talk)
    try:
        with place_for(plan.family) as place:
            null = ProgramServer("null server", (sys.executable, "-P", *program, *place))
            with null.running(plan) as server:
                run = observe(Run(null.name, fastest), server, _ignore, stop)
    except TargetError:
        return None
    found = figures(run)
    if not found.messages_per_second or not found.engine.busiest_worker_cpu or stop.is_set():
        return None
    return Ceiling(
        found.messages_per_second * plan.workers,
        found.engine.busiest_worker_cpu,
        found.server.cpu_cores,
        plan.workers,
    )


def _at_full_speed(group: Group, workers: int) -> Group:
    return Group(
        clients=min(-(-group.clients // workers), CEILING_CLIENTS),
        name=group.name,
        size_bytes=group.size_bytes if group.request is None else len(group.request),
        messages_per_connection=group.messages_per_connection,
    )


def _ignore(event: Event) -> None:
    pass
