"""Whether one run may be believed, and what held it back: pure judgement over its figures.

The audit checks sums that must agree; one that fails makes the run invalid, and it is not ranked.
The verdict names what bound the rate: the server, the load generator, the machine that both share,
or waiting. Every threshold stands at the top of this file with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .figures import Figures, figures
from .plan import Group
from .record import Ceiling, Run
from .tally import GroupTally

# Little's law compares clocks of single messages with the clock of the window. What it leaves out
# is the engine's own time between a reply and the next message.
LITTLE_TOLERANCE = 0.10
# A message that is on its way when the window opens or closes is counted on one side only. Where
# one message may take more than this share of the window, the law cannot be checked this way.
LITTLE_LONGEST = 0.10
# The window may come out shorter or longer than asked for by this much before that is a fault.
WINDOW_TOLERANCE = 0.10

# An engine worker is one thread: close to a whole core it has nothing left to give.
GENERATOR_BUSY = 0.93
# At this share of what the engine can do at all, a faster server would hardly show.
GENERATOR_NEAR_CEILING = 0.90
# A server in one process keeps about one core busy at most: its interpreter has one lock.
SERVER_BUSY = 0.85
# With this share of all cores busy, nobody could have had more.
MACHINE_BUSY = 0.92
# An open loop that gets this share of the rate asked for has what it asked for.
RATE_REACHED = 0.98

SERVER = "server"
GENERATOR = "generator"
MACHINE = "machine"
WAITING = "waiting"


@dataclass(frozen=True)
class Check:
    """One sum that must agree.

    `passed` is None where it could not be checked; `detail` says why, or gives both sides.
    """

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class Audit:
    """A run's checks; it is valid when none of them failed."""

    checks: tuple[Check, ...]

    @property
    def valid(self) -> bool:
        return all(check.passed is not False for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.passed is False)


@dataclass(frozen=True)
class Verdict:
    """What bound the rate: "server", "generator", "machine", "waiting".

    None when the figures do not say. `because` is the evidence in a few words.
    """

    bound: str | None
    because: str


def audit(run: Run) -> Audit:
    """Check one run's sums against each other."""
    if run.tally is None:
        return Audit((Check("measured", False, run.problem or "nothing was measured"),))
    found = figures(run)
    return Audit(
        (
            _messages_add_up(found),
            _clients_add_up(found),
            _bytes_agree(run.tally.groups),
            _window_as_asked(run, found),
            *(
                _littles_law(count, group, run)
                for count, group in zip(run.tally.groups, run.plan.groups, strict=True)
            ),
        )
    )


def verdict(run: Run, ceiling: Ceiling | None, cores: int | None) -> Verdict:
    """What bound one run, from who kept how many cores busy, and from the engine's ceiling.

    `ceiling` must come from the same kind of load; None leaves that evidence out. `cores` are those
    that server and engine may use.
    """
    found = figures(run)
    server, worker = found.server.cpu_cores, found.engine.busiest_worker_cpu
    rate, asked = found.messages_per_second, found.requested_per_second
    if not rate:
        return Verdict(None, "no message was answered in the window")
    if asked is not None and rate >= RATE_REACHED * asked:
        return Verdict(WAITING, f"it was asked for {asked:,.0f} messages/s and kept up")
    capacity = engine_capacity(ceiling)
    if worker is not None and worker >= GENERATOR_BUSY:
        return Verdict(GENERATOR, f"an engine worker used {worker:.0%} of its core")
    if capacity is not None and rate >= GENERATOR_NEAR_CEILING * capacity:
        return Verdict(
            GENERATOR, f"{rate / capacity:.0%} of the {capacity:,.0f} messages/s it can make here"
        )
    if server is not None and found.server.processes == 1 and server >= SERVER_BUSY:
        return Verdict(SERVER, f"its process used {server:.2f} cores")
    busy = found.machine.busy_cores
    if busy is not None and cores and busy >= MACHINE_BUSY * cores:
        return Verdict(MACHINE, f"{busy:.2f} of {cores} cores were busy")
    if server is None:
        return Verdict(None, "the server's CPU could not be measured")
    if server >= SERVER_BUSY:
        return Verdict(SERVER, f"its processes used {server:.2f} cores")
    return Verdict(
        WAITING, f"the server used {server:.2f} cores, an engine worker {worker or 0:.2f}"
    )


def engine_capacity(ceiling: Ceiling | None) -> float | None:
    """Messages/s that the engine could make if nothing else held it back.

    That is what it made against a server that does nothing, divided by how busy it was meanwhile.
    """
    if ceiling is None or not ceiling.busiest_worker_cpu:
        return None
    return ceiling.messages_per_second / min(1.0, ceiling.busiest_worker_cpu)


def _messages_add_up(found: Figures) -> Check:
    ends = {
        "answered": found.answered,
        "wrong": found.wrong,
        "failed": found.failed,
        "waiting": found.waiting,
    }
    total = sum(count or 0 for count in ends.values())
    parts = " + ".join(f"{count} {name}" for name, count in ends.items())
    return Check("messages add up", total == found.intended, f"{found.intended} intended, {parts}")


def _clients_add_up(found: Figures) -> Check:
    ends = (found.served or 0) + (found.starved or 0)
    silent = (found.connected or 0) - ends
    held = found.held or 0
    return Check(
        "clients add up",
        silent >= held and (found.connected or 0) <= found.clients,
        f"{found.clients} clients, {found.connected} connected, {found.served} served, "
        f"{found.starved} starved, {held} held",
    )


def _bytes_agree(groups: Sequence[GroupTally]) -> Check:
    received = sum(group.bytes_received for group in groups)
    expected = sum(group.expected_bytes_received for group in groups)
    # What came with a wrong reply, or before a failure, belongs to no right answer.
    if any(group.wrong or group.failed for group in groups):
        return Check("bytes agree", None, "some replies were wrong or failed")
    return Check("bytes agree", received == expected, f"{received} received, {expected} expected")


def _window_as_asked(run: Run, found: Figures) -> Check:
    asked, window = run.plan.duration_seconds, found.window_seconds
    if asked is None or window is None or run.tally is None or run.tally.cut_short:
        return Check("window as long as asked", None, "no fixed window, or it was cut short")
    if run.tally.stopped_early is not None:
        return Check("window as long as asked", None, run.tally.stopped_early)
    return Check(
        "window as long as asked",
        abs(window - asked) <= WINDOW_TOLERANCE * asked,
        f"{window:.3f} s measured, {asked:g} s asked for",
    )


def _littles_law(count: GroupTally, group: Group, run: Run) -> Check:
    """Little's law (1961): clients in the loop = rate x time per turn of the loop.

    An equality where every client goes round a closed loop all the time. Where messages are sent by
    the clock, or clients come and go, those in the loop cannot be more than there are.
    """
    name = f"Little's law, {count.name}"
    service = count.service.mean
    if run.tally is None or not run.tally.window_seconds or service is None:
        return Check(name, None, "no message was answered in the window")
    window = run.tally.window_seconds
    thinks = 5 if group.think_distribution == "exponential" else 1
    longest = (count.service.max or 0.0) + thinks * group.think_seconds
    if longest > LITTLE_LONGEST * window:
        return Check(
            name, None, f"a turn may take {longest:.3f} s, too long for a window of {window:.3f} s"
        )
    in_loop = count.answered_in_window * (service + group.think_seconds) / window
    clients = sum(1 for answered in count.answered_per_client if answered)
    slack = clients * (LITTLE_TOLERANCE + longest / window)
    always_in_loop = not (
        group.open_loop
        or group.messages_per_connection is not None
        or run.plan.duration_seconds is None
        or count.failed
        or count.wrong
    )
    return Check(
        name,
        in_loop <= clients + slack and (in_loop >= clients - slack or not always_in_loop),
        f"{in_loop:.2f} clients' worth of time, {clients} clients in the loop",
    )
