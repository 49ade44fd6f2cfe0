"""Whether one run may be believed, and what held it back: pure judgement over its figures.

The audit checks sums that must agree; one that fails makes the run invalid, and it is not ranked.
The verdict names what bound the rate: the server, the load generator, the machine that both share,
or waiting. Every threshold stands at the top of this file with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.judge.figures import Figures, figures
from loadgen.plan.group import Group
from loadgen.record.result import Ceiling, Run
from loadgen.record.tally import GroupTally

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

    `ceiling` must come from the same load; None leaves that evidence out. `cores` are those that
    server and engine may use.
    """
    found = figures(run)
    server, worker = found.server.cpu_cores, found.engine.busiest_worker_cpu
    rate, asked = found.messages_per_second, found.requested_per_second
    if not rate:
        return Verdict(None, "no message was answered in the window")
    if worker is not None and worker >= GENERATOR_BUSY:
        return Verdict(GENERATOR, f"an engine worker used {worker:.0%} of its core")
    if (late := _sent_late(found)) is not None:
        return Verdict(GENERATOR, f"it sent late itself, 1 in 100 by over {late * 1e3:.1f} ms")
    if asked is not None and rate >= RATE_REACHED * asked:
        return Verdict(WAITING, f"it kept up with the {asked:,.0f} messages/s asked for")
    if ceiling is not None and _near(rate, ceiling):
        return Verdict(
            GENERATOR,
            "a server that does nothing gets hardly more out of it, "
            f"{ceiling.messages_per_second:,.0f} messages/s",
        )
    serving = max(1, (found.server.processes or 1) - 1)
    if server is not None and server >= SERVER_BUSY * serving:
        return Verdict(SERVER, f"it used {server:.2f} cores")
    busy, stolen = found.machine.busy_cores, found.machine.stolen_cores or 0.0
    if busy is not None and cores and busy + stolen >= MACHINE_BUSY * cores:
        return Verdict(MACHINE, f"{busy + stolen:.2f} of {cores} cores were busy")
    if server is None:
        return Verdict(None, "the server's CPU could not be measured")
    return Verdict(
        WAITING, f"the server used {server:.2f} cores, an engine worker {worker or 0:.2f}"
    )


def _near(rate: float, ceiling: Ceiling) -> bool:
    """Whether a null server was hardly faster, and not itself the limit of what it was asked."""
    own_limit = ceiling.server_cpu_cores is None or ceiling.server_cpu_cores >= SERVER_BUSY
    return not own_limit and rate >= GENERATOR_NEAR_CEILING * ceiling.messages_per_second


def _sent_late(found: Figures) -> float | None:
    """How late the engine of an open loop sent by its own fault (p99, seconds), if that matters."""
    if found.lateness_seconds is None or found.response_seconds is None:
        return None
    late, response = found.lateness_seconds.p99, found.response_seconds.p99
    if late is None or response is None:
        return None
    return late if late >= max(LATE_SECONDS, GENERATOR_LATE * response) else None


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
    # A large reply may be half here when the run ends.
    on_their_way = any(group.waiting for group in groups)
    return Check(
        "bytes agree",
        received == expected or (on_their_way and received > expected),
        f"{received} received, {expected} expected",
    )


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
