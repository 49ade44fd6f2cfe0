"""Whatever a server does, the generator's accounts add up: each message has one end, each byte too.

The server keeps to a script of Hypothesis's: it answers, hangs up after some bytes, says half a
reply, too much, something else or nothing, resets, or never reads.
"""

import select
import socket
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from loadgen.judge.audit import audit
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from tests.known_servers import PREFIX, Counter, framed, read_exactly, read_message, reset, serving
from tests.test_engine import audited, run

ACTS = (
    "answer", "answer", "answer", "hang up", "hang up amid", "half a reply", "too much", "lie",
    "other size", "reset", "say nothing", "never read",
)  # fmt: skip

SAYS: dict[str, Callable[[bytes], bytes]] = {
    "answer": lambda reply: reply,
    "half a reply": lambda reply: reply[: len(reply) // 2],
    "too much": lambda reply: reply + b"!",
    "lie": lambda reply: reply[:-1] + bytes([reply[-1] ^ 1]),
    "other size": framed,
    "hang up": lambda _: b"",
    "reset": lambda _: b"",
    "say nothing": lambda _: b"",
}

CHOSEN = hypothesis.settings()


@hypothesis.settings(CHOSEN, max_examples=CHOSEN.max_examples // 15)
@given(
    script=st.lists(st.sampled_from(ACTS), min_size=1, max_size=8),
    clients=st.integers(1, 4),
    size=st.sampled_from([0, 1, 64, 200_000]),
)
def test_the_accounts_add_up_whatever_the_server_does(
    script: list[str], clients: int, size: int
) -> None:
    numbers = Counter()

    def conversation(client: socket.socket) -> None:
        while True:
            act = script[numbers.next() % len(script)]
            if act == "never read":
                gone = select.poll()
                gone.register(client, select.POLLRDHUP)
                gone.poll()
                return
            if act == "hang up amid":
                read_exactly(client, 2)
                return
            reply = framed(PREFIX + read_message(client))
            client.sendall(SAYS[act](reply))
            if act == "reset":
                reset(client)
            if act in {"hang up", "half a reply", "reset"}:
                return

    group = Group(clients, size_bytes=size)
    asked: dict[str, Any] = {"messages_per_client": 5, "timeout_seconds": 0.4}
    with serving(conversation) as endpoint:
        tally = audited(run(endpoint, group, **asked))
    plan = Plan((group,), duration_seconds=None, warmup_seconds=0.0, **asked)
    found = audit(Run("scripted", plan, tally=tally))
    assert found.valid, found.failures
