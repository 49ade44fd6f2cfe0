"""What the clients of one group in one worker have in common: messages, rules, and the counts.

Clients read the rules and count here; nothing here knows a client.
"""

from loadgen.engine.clock import NEVER, SECOND
from loadgen.engine.share import Share
from loadgen.plan.group import Group
from loadgen.plan.messages import Messages
from loadgen.plan.plan import Plan
from loadgen.record.histogram import Histogram
from loadgen.record.tally import TIMELINE_SLICE_SECONDS, GroupTally, Turn
from loadgen.record.trace import ClientTrace

# More than this is read in several system calls.
LARGEST_READ = 256 * 1024


class GroupState:
    """What the clients of one group in one worker have in common.

    `plan` is the share's with the framing that these clients really use.
    """

    def __init__(self, group: Group, plan: Plan, share: Share) -> None:
        self.planned = group
        self.messages = Messages(group, plan)
        self.reply_prefix = plan.reply_prefix
        self.room = min(self.messages.reply_size + 1, LARGEST_READ)
        # The rules, by which a client decides what comes next.
        self.silent = group.silent
        self.open_loop = group.open_loop
        self.last_message = plan.messages_per_client or NEVER
        self.per_connection = group.messages_per_connection or NEVER
        self.backs_off = group.messages_per_connection is not None
        self.think_ns = round(group.think_seconds * SECOND)
        self._randomness = share.randomness_of(group)
        # A message follows the reply at once, for ever: what the hot loop can do on its own.
        self.endless = (
            not (group.silent or group.open_loop or self.think_ns)
            and self.last_message == NEVER
            and self.per_connection == NEVER
        )
        # The histograms that count now; the tally gets what windows hold. Clients keep the list of
        # counts within, so they are emptied and never replaced.
        self.service = Histogram()
        self.response = Histogram() if group.open_loop else self.service
        self.lateness = Histogram()
        self.tally = GroupTally(group.name)
        if group.open_loop or self.think_ns:
            self.tally.lateness = Histogram()
        # Counted as messages fall due; a closed loop's are counted as clients begin them.
        self.due_messages = 0
        self.bytes_received = 0
        self.answered_slowly = 0
        self._traced = plan.trace_clients
        # How long the load has been off between turns so far, in ns.
        self.held_ns = 0
        self._answered_before_slice = self._slices_in_window = self._ticks = 0
        self._connections_before_window = 0

    def notes_of(self, number: int) -> ClientTrace | None:
        """Where to note what the client of that number does; None if nothing of it is noted."""
        if number >= self._traced:
            return None
        self.tally.traces.append(ClientTrace(number))
        return self.tally.traces[-1]

    def think(self) -> int:
        """How long a client thinks before its next message, in ns."""
        if self.planned.think_distribution == "constant":
            return self.think_ns
        return round(self._randomness.expovariate(1 / self.think_ns))

    def open_window(self) -> None:
        """Forget what was measured of messages since the last window; whole-run counts go on."""
        self.service.clear()
        self.response.clear()
        self.lateness.clear()
        self._answered_before_slice = self._slices_in_window = self._ticks = 0
        self._connections_before_window = self.tally.connections

    def cut_slice(self) -> None:
        """So many seconds are over: end the timeline's slice once it has as many as it takes."""
        self._ticks += 1
        if self._ticks >= self._ticks_in_slice:
            self._add_slice()

    def cut_last_slice(self, whole: bool) -> None:
        """The window closes, at the end of a `whole` slice of the shortest kind or a scrap later.

        What is left is a slice of its own if it is more than half of one.
        """
        self._ticks += whole
        if 2 * self._ticks > self._ticks_in_slice or not self._slices_in_window:
            self._add_slice()
        else:
            self.tally.timeline[-1] += self._answered_since_slice()

    @property
    def _ticks_in_slice(self) -> int:
        """How many there are now: slices double in length as the timeline grows too long."""
        return round(self.tally.timeline_slice_seconds / TIMELINE_SLICE_SECONDS)

    def _add_slice(self) -> None:
        self.tally.add_slice(self._answered_since_slice())
        self._slices_in_window += 1
        self._ticks = 0

    def _answered_since_slice(self) -> int:
        answered = self.service.count
        since, self._answered_before_slice = answered - self._answered_before_slice, answered
        return since

    def close_window(self, turn: Turn) -> None:
        """Add the window's figures to the tally and to the turn that it was.

        Replies from now on count for the whole run alone.
        """
        tally = self.tally
        answered = self.service.count
        connections = tally.connections - self._connections_before_window
        for counts in (tally, turn):
            counts.service.merge(self.service)
            counts.response.merge(self.response)
        if tally.lateness is not None:
            tally.lateness.merge(self.lateness)
        tally.connections_in_window += connections
        tally.answered_in_window += answered
        tally.payload_bytes_in_window += answered * self.messages.payload_size
        turn.connections += connections
        turn.answered += answered
