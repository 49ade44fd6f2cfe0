"""What held one run back: the server, its GIL, the load generator, machine, network, or waiting.

Pure judgement over a run's figures. Every threshold stands at the top of this file with its reason.
"""

from dataclasses import dataclass

from loadgen.judge.figures import Figures, LoadFigures, figures
from loadgen.judge.service import groups_of, kept_up
from loadgen.record.machine import MachineTally
from loadgen.record.result import Ceiling, Run

# An engine worker is one thread: close to a whole core it has nothing left to give.
GENERATOR_BUSY = 0.93
# At this share of the rate against a null server, a faster server would hardly show.
GENERATOR_NEAR_CEILING = 0.90
# An engine that sends late by this share of the response time is itself what is measured.
GENERATOR_LATE = 0.25
LATE_SECONDS = 0.0005
# A process keeps about one core busy at most, since its interpreter has one lock; of several
# processes one is their parent and does nothing.
SERVER_BUSY = 0.85
# With this share of all cores busy, nobody could have had much more.
MACHINE_BUSY = 0.88

# Of the speed of a link, as payload: with what frames carry beside it (some 4 % of full ones, and
# much more of small ones) there is hardly any room left.
LINK_FULL = 0.85

# With so many threads at any moment that wait for the lock, somebody always has it.
GIL_WAITERS = 1.0

# Models whose threads have an interpreter each, and so a lock each.
LOCK_EACH = ("subinterpreters",)

SERVER = "server"
GIL = "GIL"
GENERATOR = "generator"
MACHINE = "machine"
NETWORK = "network"
WAITING = "waiting"


@dataclass(frozen=True)
class Verdict:
    """What bound the rate: "server", its "GIL", "generator", "machine", "network", "waiting".

    None when the figures do not say. `because` is the evidence in a few words.
    """

    bound: str | None
    because: str


def verdict(
    run: Run, ceiling: Ceiling | None, cores: int | None, quota: float | None = None
) -> Verdict:
    """What bound one run, from who kept how many cores busy, and from the engine's ceiling.

    `ceiling` must come from the same load; None leaves that evidence out. `cores` are those that
    server and engine may run on, `quota` how many cores' worth of time they may use in all, None
    for as much as there is; a server on a machine of a cluster has that machine's.
    """
    found = figures(run)
    if (own := _server_machine(run)) is not None:
        cores, quota = int(own.cores or 0) or None, own.cores
    server, worker = found.server.cpu_cores, found.engine.busiest_worker_cpu
    rate, asked = found.messages_per_second, found.requested_per_second
    if not rate:
        return Verdict(None, "no message was answered in the window")
    if worker is not None and worker >= GENERATOR_BUSY:
        return Verdict(GENERATOR, f"an engine worker used {worker:.0%} of its core")
    if (late := sent_late(run, found)) is not None:
        return Verdict(GENERATOR, f"it sent late itself, 1 in 100 by over {late * 1e3:.1f} ms")
    if asked is not None and kept_up(run, found):
        return Verdict(WAITING, f"it kept up with the {asked:,.0f} messages/s asked for")
    if ceiling is not None and near_ceiling(rate, ceiling):
        more = "hardly more" if ceiling.messages_per_second > rate else "no more"
        return Verdict(
            GENERATOR,
            f"a server that does nothing gets {more} out of it, "
            f"{ceiling.messages_per_second:,.0f} messages/s",
        )
    waiters = found.server.gil_waiters
    if run.gil == "on" and waiters is not None and waiters >= GIL_WAITERS:
        return Verdict(GIL, f"{waiters:.1f} of its threads waited for it at any moment")
    if server is not None and at_its_limit(run, found):
        return Verdict(SERVER, f"it used {server:.2f} cores")
    if (full := _full_link(run)) is not None:
        return Verdict(NETWORK, full)
    both = (server or 0.0) + (0.0 if own is not None else found.engine.cpu_cores or 0.0)
    busy, stolen = found.machine.busy_cores, found.machine.stolen_cores or 0.0
    # The machine is watched for longer than the load is on, so those two may be more.
    taken = max(busy + stolen, both) if busy is not None else 0.0
    if cores and taken >= MACHINE_BUSY * cores:
        return Verdict(MACHINE, f"{min(taken, cores):.2f} of {cores} cores were busy")
    if quota is not None and both >= MACHINE_BUSY * quota:
        return Verdict(MACHINE, f"both used {both:.2f} of the {quota:g} cores that they may use")
    if server is None:
        return Verdict(None, "the server's CPU could not be measured")
    return Verdict(
        WAITING, f"the server used {server:.2f} cores, an engine worker {worker or 0:.2f}"
    )


def _server_machine(run: Run) -> MachineTally | None:
    """The server's machine where it is one of a cluster."""
    machines = run.tally.machines if run.tally is not None else ()
    return next((one for one in machines if one.serves), None)


def _full_link(run: Run) -> str | None:
    """Which machine's link carried what it can, where that is known; half of it each way."""
    tally = run.tally
    if tally is None or not tally.window_seconds:
        return None
    for one in tally.machines:
        total = sum(other.payload_bytes for other in tally.machines)
        carried = (total if one.serves else one.payload_bytes) * 8 / 2 / tally.window_seconds
        if one.link_bits_per_second and carried >= LINK_FULL * one.link_bits_per_second:
            return (
                f"the link of {one.name} carried {carried / 1e6:,.0f} of "
                f"{one.link_bits_per_second / 1e6:,.0f} Mbit/s each way, headers not counted"
            )
    return None


def at_its_limit(run: Run, found: Figures) -> bool:
    """Whether the server kept as many cores busy as its processes can, or its threads.

    Those count where no lock has one wait for the other; one of them is the main one, as among
    processes, and does nothing.
    """
    serving = max(1, (found.server.processes or 1) - 1)
    if run.gil == "off" or run.model in LOCK_EACH:
        serving = max(serving, (found.server.threads or 1) - 1)
    return (found.server.cpu_cores or 0.0) >= SERVER_BUSY * serving


def near_ceiling(rate: float, ceiling: Ceiling) -> bool:
    """Whether a null server was hardly faster, and not itself the limit of what it was asked."""
    own_limit = ceiling.server_cpu_cores is None or ceiling.server_cpu_cores >= SERVER_BUSY
    return not own_limit and rate >= GENERATOR_NEAR_CEILING * ceiling.messages_per_second


def sent_late(run: Run, found: Figures) -> float | None:
    """How late the engine of an open loop sent by its own fault (p99, seconds), if that matters."""
    lates = [_sent_late(own) for _, own in groups_of(run, found)]
    return max(filter(None, lates), default=None)


def _sent_late(found: LoadFigures) -> float | None:
    if found.lateness_seconds is None or found.response_seconds is None:
        return None
    late, response = found.lateness_seconds.p99, found.response_seconds.p99
    if late is None or response is None:
        return None
    return late if late >= max(LATE_SECONDS, GENERATOR_LATE * response) else None
