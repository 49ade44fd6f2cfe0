"""Any history of a few clients, over each driver, comes to what the talk without a socket says.

What is sent, in which pieces, when somebody half-closes, resets or when the server is stopped, is
Hypothesis's choice. A few histories are tried here; `--hypothesis-profile "many histories"` tries
hundreds.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from concurrency_models.talk import Talk, Terms, frame
from tests.clients import Client
from tests.servers import SUBJECTS, ServerProcess, Subject, serving

LIMIT = 100
"""The longest message that is answered, in bytes: some are longer."""

GRACE_SECONDS = 0.5

ONE_OF_EACH = (
    "thread", "selectors", "selectors-pool", "asyncio-server", "asyncio-streams",
    "asyncio-protocol", "uvloop", "gevent", "trio",
)  # fmt: skip
"""A model for each way to drive a talk; the other models drive it as one of these does."""


@dataclass
class Side:
    """One client, and the talk that says what it should hear."""

    client: Client
    talk: Talk
    rest: bytes = b""
    """What is to be sent before anything else: the message before was cut short by so much."""
    due: bytearray = field(default_factory=bytearray)
    """What should have been said and was not read yet."""

    def send(self, data: bytes) -> None:
        if not data:  # which would tell the talk that the client hung up
            return
        self.client.socket.sendall(data)
        self.due += bytes(self.talk.receive(data))

    def check(self) -> None:
        """Read what should have been said; once the talk is over, to the end."""
        said = self.client.read(len(self.due))
        assert said == self.due
        self.due.clear()
        if self.talk.over:
            self.check_end()

    def check_end(self) -> None:
        said = self.client.read_to_end()
        assert said == self.due
        self.due.clear()


class History(RuleBasedStateMachine):
    """What may happen, in any order."""

    subject: Subject
    server: ServerProcess

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.sides: list[Side] = []
        self.stopped = False

    @initialize(framing=st.sampled_from(["length", "line"]))
    def start(self, framing: str) -> None:
        self.terms = Terms(framing, max_message=LIMIT)
        options = ("--framing", framing, "--max-message", str(LIMIT))
        grace = ("--grace", str(GRACE_SECONDS))
        self.server = self.stack.enter_context(serving(*self.subject.arguments, *options, *grace))
        self.connect()

    @precondition(lambda self: not self.stopped and len(self.sides) < 3)
    @rule()
    def connect(self) -> None:
        """Come, and be accepted: who still waits for that as the server stops is sent away."""
        client = self.stack.enter_context(Client(self.server.address))
        self.sides.append(Side(client, Talk(self.terms)))
        self.sides[-1].send(frame(self.terms.framing, b"here I am"))
        self.sides[-1].check()

    def some(self, which: int) -> Side | None:
        """Return one of those who may still say something."""
        able = [side for side in self.sides if not side.talk.over and not self.stopped]
        return able[which % len(able)] if able else None

    @rule(
        which=st.integers(0, 2),
        message=st.binary(max_size=40) | st.binary(min_size=LIMIT - 1, max_size=LIMIT + 1),
        framed=st.integers(0, 9).map(bool),
        held_back=st.integers(0, 50),
    )
    def say(self, which: int, message: bytes, framed: bool, held_back: int) -> None:
        """Send a message, or bytes that are none, up to some point, and all that was held back."""
        if side := self.some(which):
            data = side.rest + (frame(self.terms.framing, message) if framed else message)
            sent = max(0, len(data) - held_back)
            side.send(data[:sent])
            side.rest = data[sent:]

    @rule(which=st.integers(0, 2))
    def pause(self, which: int) -> None:
        """Let the server do all that it can."""
        if side := self.some(which):
            side.check()

    @rule(which=st.integers(0, 2))
    def half_close(self, which: int) -> None:
        if side := self.some(which):
            side.client.hang_up()
            side.talk.receive(b"")

    @rule(which=st.integers(0, 2))
    def reset(self, which: int) -> None:
        if side := self.some(which):
            side.client.reset()
            self.sides.remove(side)

    @precondition(lambda self: not self.stopped)
    @rule(goes_on=st.booleans())
    def stop(self, goes_on: bool) -> None:
        """Stop the server; messages begun may yet be ended."""
        for side in self.sides:
            side.check()  # what had arrived is answered
        self.stopped = True
        self.server.process.terminate()
        for side in self.sides:
            if goes_on and side.talk.mid_message and not side.talk.over:
                side.send(side.rest)
        for side in self.sides:
            if not side.talk.over:
                side.check_end()
        assert self.server.exit_status() == 0

    def teardown(self) -> None:
        try:
            if not self.stopped:
                for side in self.sides:
                    side.check()
        finally:
            self.stack.close()


@pytest.mark.parametrize(
    "subject", [one for one in SUBJECTS if one.model.name in ONE_OF_EACH], ids=str, indirect=True
)
def test_any_history_comes_to_what_the_talk_says(subject: Subject) -> None:
    class Here(History):
        pass

    Here.subject = subject
    chosen = hypothesis.settings()
    run(Here, hypothesis.settings(chosen, max_examples=chosen.max_examples // 50))


def run(machine: type[RuleBasedStateMachine], settings: hypothesis.settings) -> None:
    """Try as many histories, of up to 15 steps, as the settings say."""
    hypothesis.stateful.run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            settings,
            stateful_step_count=15,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
