"""What the clients of one group in one worker have in common: messages, rules, and the counts.

Clients read the rules and count here; nothing here knows a client.
"""

from loadgen.engine.clock import NEVER, SECOND
from loadgen.engine.share import Share
from loadgen.plan.group import Group
from loadgen.plan.messages import Messages
from loadgen.plan.plan import Plan
from loadgen.record.histogram import Histogram
from loadgen.record.tally import GroupTally

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
        # The histograms that count now; the tally gets the window's.
        self.service = Histogram()
        self.response = Histogram() if group.open_loop else self.service
        self.lateness = Histogram()
        self.tally = GroupTally(group.name)
        if group.open_loop:
            self.tally.lateness = self.lateness
        # Counted as messages fall due; a closed loop's are counted as clients begin them.
        self.due_messages = 0
        self.bytes_received = 0
        self.answered_slowly = 0
        self._answered_before_slice = 0
        self._connections_before_window = 0

    def think(self) -> int:
        """How long a client thinks before its next message, in ns."""
        if self.planned.think_distribution == "constant":
            return self.think_ns
        return round(self._randomness.expovariate(1 / self.think_ns))

    def open_window(self) -> None:
        """Forget what the warm-up measured of messages; whole-run counts go on."""
        self.service.clear()
        self.response.clear()
        self.lateness.clear()
        self._answered_before_slice = 0
        self._connections_before_window = self.tally.connections

    def cut_slice(self, whole: bool = True) -> None:
        """Put what was answered since the last cut into the timeline, a scrap with the last."""
        answered = self.service.count
        since, self._answered_before_slice = answered - self._answered_before_slice, answered
        if whole or not self.tally.timeline:
            self.tally.add_slice(since)
        else:
            self.tally.timeline[-1] += since

    def close_window(self) -> None:
        """Take the window's figures; replies from now on count for the whole run alone."""
        tally = self.tally
        tally.service, self.service = self.service, Histogram()
        if self.open_loop:
            tally.response, self.response = self.response, Histogram()
            self.lateness = Histogram()
        else:
            tally.response = Histogram.merged([tally.service])
            self.response = self.service
        tally.connections_in_window = tally.connections - self._connections_before_window
        tally.answered_in_window = tally.service.count
        tally.payload_bytes_in_window = tally.answered_in_window * self.messages.payload_size
