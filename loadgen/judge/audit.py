"""Whether one run may be believed: sums over its counts that must agree.

A check that fails makes the run invalid, and it is not ranked. Every threshold stands at the top of
this file with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.judge.figures import Figures, figures
from loadgen.judge.handled import handled
from loadgen.judge.names import separated
from loadgen.judge.where import TOLERANCE, where
from loadgen.plan.group import Group
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally

# Little's law compares clocks of single messages with the clock of the window. What it leaves out
# is the engine's own time between a reply and the next message.
LITTLE_TOLERANCE = 0.10
# A message that is on its way when the window opens or closes is counted on one side only. Where
# one message may take more than this share of the window, the law cannot be checked this way.
LITTLE_LONGEST = 0.10
# The window may come out shorter or longer than asked for by this much before that is a fault.
WINDOW_TOLERANCE = 0.10
# An engine that is woken late on a busy machine measures so much less of a turn, which is short, or
# by so many seconds less of any window. Its rates are right all the same, as they are over the time
# that was measured.
TURN_TOLERANCE = 0.5
LATE_SECONDS = 0.1
# On many machines a window is one if it opened everywhere within this share of it, or so many
# seconds, by clocks that are known to within this share.
APART_TOLERANCE = 0.05


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


def audit(run: Run) -> Audit:
    """Check one run's sums against each other."""
    if run.tally is None:
        return Audit((Check("measured", False, run.problem or "nothing was measured"),))
    found = figures(run)
    return Audit(
        (
            _messages_add_up(found),
            _clients_accounted_for(run, found),
            _bytes_agree(run.tally.groups),
            _bytes_sent_agree(run.tally.groups),
            _connections_agree(run, found),
            _window_as_asked(run, found),
            *([_machines_there(run), _windows_together(run)] if run.tally.machines else []),
            *([_traced_messages_handled(run)] if run.trace else []),
            *([_parts_add_up(run)] if run.trace else []),
            *(
                _littles_law(count, group, run)
                for count, group in zip(run.tally.groups, run.plan.groups, strict=True)
            ),
        )
    )


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


def _clients_accounted_for(run: Run, found: Figures) -> Check:
    """Whether every client of the plan was somebody's, and has what became of it.

    The plan is what was asked for; the tally counts the clients of those workers that handed in
    theirs, so that one that was lost shows here.
    """
    assert run.tally is not None
    counted = [group.clients for group in run.tally.groups]
    silent = (found.connected or 0) - (found.served or 0) - (found.starved or 0)
    held = found.held or 0
    return Check(
        "clients add up",
        counted == [group.clients for group in run.plan.groups]
        and silent >= held
        and (found.connected or 0) <= found.clients,
        f"{found.clients} clients asked for, {sum(counted)} counted, {found.connected} connected, "
        f"{found.served} served, {found.starved} starved, {held} held",
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


def _bytes_sent_agree(groups: Sequence[GroupTally]) -> Check:
    """What we say that we sent against what the kernel says, connection by connection."""
    name = "bytes sent agree with the kernel's count"
    agreed = sum(group.sent_agreed for group in groups)
    disagreed = sum(group.sent_disagreed for group in groups)
    if not agreed + disagreed:
        return Check(name, None, "the kernel does not say, or clients have many connections")
    return Check(name, not disagreed, f"on {agreed} connections it does, on {disagreed} not")


def _connections_agree(run: Run, found: Figures) -> Check:
    """The server's own count against ours, where it has workers that count what they accept.

    It accepted each connection that a reply came over, and none that we did not make.
    """
    name, spread = "connections agree with the server's count", run.connections_by_worker
    if spread is None or run.probe is not None or found.connections is None:
        return Check(name, None, "the server does not count, or others connected as well")
    used, counted = found.first_reply_seconds.count, sum(spread)
    # Where nobody was served, it was asked once more what it answers.
    made = found.connections + (0 if found.served else 1)
    return Check(
        name,
        used <= counted <= made,
        f"{counted} counted by the server, {found.connections} made, {used} with a reply",
    )


def _window_as_asked(run: Run, found: Figures) -> Check:
    asked, window = run.plan.duration_seconds, found.window_seconds
    if asked is None or window is None or run.tally is None or run.tally.cut_short:
        return Check("window as long as asked", None, "no fixed window, or it was cut short")
    if run.tally.stopped_early is not None:
        return Check("window as long as asked", None, run.tally.stopped_early)
    turns = [turn.seconds for turn in run.tally.turns]
    windows = turns or [window]
    usual = asked / (run.plan.turns or 1)
    tolerance = max(LATE_SECONDS, (TURN_TOLERANCE if turns else WINDOW_TOLERANCE) * usual)
    in_turns = f" in turns of {min(turns):.3f} to {max(turns):.3f} s" if turns else ""
    return Check(
        "window as long as asked",
        len(turns) == (run.plan.turns or 0)
        and all(abs(seconds - usual) <= tolerance for seconds in windows),
        f"{window:.3f} s measured{in_turns}, {asked:g} s asked for",
    )


def _machines_there(run: Run) -> Check:
    """Whether every machine of a cluster could be reached to the end."""
    assert run.tally is not None
    machines = run.tally.machines
    lost = [f"{one.name} {one.lost}" for one in machines if one.lost is not None]
    said = "; ".join(lost) or f"{len(machines)} were there to the end"
    return Check("no machine was lost", not lost, said)


def _windows_together(run: Run) -> Check:
    """Whether the window was open on all machines at once, as far as their clocks are known."""
    name = "window open on all machines at once"
    assert run.tally is not None
    turns = run.tally.turns
    known = [one for one in run.tally.machines if one.opened_late_seconds is not None]
    usual = run.tally.window_seconds / max(1, len(turns))
    if not known or not usual or run.tally.cut_short:
        return Check(name, None, "no window opened, or it was cut short")
    late = [one.opened_late_seconds or 0.0 for one in known]
    doubt = max(one.uncertainty_seconds or 0.0 for one in known)
    # What opens when it should, by itself, is at 0.
    apart = max(*late, 0.0) - min(*late, 0.0)
    worst = max(known, key=lambda one: abs(one.opened_late_seconds or 0.0))
    return Check(
        name,
        apart <= max(LATE_SECONDS, APART_TOLERANCE * usual) and doubt <= APART_TOLERANCE * usual,
        f"it opened within {apart * 1e3:.3f} ms of when it was to, the worst on {worst.name}, by "
        f"clocks known to within {doubt * 1e3:.3f} ms; it lasted {usual:.3f} s",
    )


def _traced_messages_handled(run: Run) -> Check:
    """Whether the server noted each message of a traced client that was answered.

    Of clients of whom both halves kept everything.
    """
    name = "traced messages were handled"
    if run.tally is None or run.trace is None or run.plan.talk == "greet":
        return Check(name, None, "a greeting answers no message")
    answered = paired = 0
    for client in (one for group in run.tally.groups for one in group.traces):
        if client.left_out or any(stay.left_out for stay in run.trace.of(client.addresses)):
            continue
        answered += sum(reply is not None for _, _, reply in client.exchanges)
        paired += sum(1 for _ in handled(client, run.trace, run.clock_doubt_ns))
    return Check(name, answered == paired, f"{answered} answered, {paired} noted by the server")


def _parts_add_up(run: Run) -> Check:
    """Whether the parts that a message's time is split into make its latency."""
    missing = {name: one.missing_share for name, one in where(run).items()}
    said = separated([f"{name} by {share:.2%}" for name, share in missing.items()])
    return Check(
        "parts of a message's time add up",
        all(share <= TOLERANCE for share in missing.values()) if missing else None,
        f"they miss the latency: {said}" if missing else "no traced message was handled",
    )


def _littles_law(count: GroupTally, group: Group, run: Run) -> Check:
    """Little's law (1961): clients in the loop = rate x time for once round the loop.

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
    # Every turn has an opening and a closing of its own.
    longest_at_edges = longest * max(1, len(run.tally.turns))
    if longest_at_edges > LITTLE_LONGEST * window:
        return Check(
            name,
            None,
            f"a message may take {longest:.3f} s, too long for a window of {window:.3f} s"
            + (f" in {len(run.tally.turns)} turns" if run.tally.turns else ""),
        )
    # On a busy machine a pause is longer than it was meant to be.
    late = count.lateness.mean if group.think_seconds and count.lateness is not None else None
    around = service + group.think_seconds + (late or 0.0)
    in_loop = count.answered_in_window * around / window
    clients = sum(1 for answered in count.answered_per_client if answered)
    slack = clients * (LITTLE_TOLERANCE + longest_at_edges / window)
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
