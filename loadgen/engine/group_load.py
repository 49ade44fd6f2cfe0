"""What one worker puts on of one group's load: the clients, and when their messages are due."""

from loadgen.engine.client import Client, Loop
from loadgen.engine.group_state import GroupState
from loadgen.engine.schedule import Schedule
from loadgen.engine.share import Share
from loadgen.plan.group import Group
from loadgen.record.tally import LANES, GroupTally, Turn


class GroupLoad:
    """One group's part of a worker's share while it runs; its clients are of the class `kind`.

    `schedule` is an open loop's; None for a closed loop, and where the worker has no clients of the
    group.
    """

    def __init__(self, loop: Loop, group: Group, share: Share, kind: type[Client]) -> None:
        self.state = GroupState(group, kind.framed(share.plan), share)
        self.clients = [kind(loop, self.state, number) for number in share.clients_of(group)]
        self.state.tally.clients = len(self.clients)
        self.schedule = Schedule(group, share) if group.open_loop and self.clients else None
        # Those that are asked, again and again, what they have been answered.
        self._talking = [] if group.silent else self.clients
        self._answered_before_window = [0] * len(self._talking)
        self.state.tally.answered_per_client = [0] * len(self._talking)

    def open_window(self) -> None:
        """Count for the window from here on."""
        self.state.open_window()
        self._answered_before_window = [client.answered for client in self._talking]

    def close_window(self, turn: Turn, now: int) -> None:
        """Add the window's figures to the tally and to the turn that it was.

        In an open loop what is still owed counts with its age, a lower bound of what it will be:
        a server that hangs answers nothing late, and would look quick by what it did answer.
        """
        if self.state.open_loop:
            for client in self.clients:
                for due in client.owed_since():
                    self.state.response.record(now - due)
        answered = self.state.tally.answered_per_client
        for place, client in enumerate(self._talking):
            answered[place] += client.answered - self._answered_before_window[place]
        self.state.close_window(turn)

    def finish(self, started: int) -> GroupTally:
        """Close every client and return what became of all."""
        state, tally, messages = self.state, self.state.tally, self.state.messages
        for client in self.clients:
            client.finish()
        begun = sum(client.message - client.first_message for client in self.clients)
        tally.answered = sum(client.answered for client in self.clients)
        tally.intended = state.due_messages if state.open_loop else begun
        tally.starved = 0 if state.silent else tally.connected - tally.served
        # The hot loop counts no bytes: what it answered is whole messages that compared equal.
        fast = tally.answered - state.answered_slowly
        tally.bytes_received = state.bytes_received + fast * messages.reply_size
        tally.expected_bytes_received = tally.answered * messages.reply_size
        tally.bytes_sent += begun * messages.request_size
        tally.lanes = [
            client.lane(started) for client in self.clients[:LANES] if client.number < LANES
        ]
        return tally
