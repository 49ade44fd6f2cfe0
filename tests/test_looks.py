"""An event loop's looks at its clients: how many at a time, and that nobody is left out."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from concurrency_models.leaving import LOOK_SECONDS, Leaving, Looks
from concurrency_models.server import Server
from concurrency_models.settings import Settings


class Client:
    """Stands for the leaving of a client: counts the looks, and is over when told so."""

    half_closed = False

    def __init__(self, looks: Looks) -> None:
        self.looks = looks
        self.seen = 0
        self.over = False
        looks.active.add(cast(Leaving, self))

    def is_over(self, _now: float) -> bool:
        self.seen += 1
        return self.over

    def is_quiet(self) -> bool:
        return False

    def break_off(self) -> None:
        self.looks.active.discard(cast(Leaving, self))


def looks_of(**settings: Any) -> Looks:
    server = SimpleNamespace(settings=Settings(**settings), stopping=False)
    return Looks(cast(Server, server))


@pytest.mark.parametrize(("timeout", "looks_in_turn"), [(0.3, 1), (8.0, 5), (60.0, 37)])
def test_everybody_is_looked_at_in_a_sixteenth_of_the_timeout(
    timeout: float, looks_in_turn: int
) -> None:
    looks = looks_of(idle_timeout=timeout, message_timeout=1000.0)
    clients = [Client(looks) for _ in range(20 * looks_in_turn)]
    for _ in range(looks_in_turn):
        before = sum(client.seen for client in clients)
        looks.look()
        assert sum(client.seen for client in clients) - before == 20
    assert {client.seen for client in clients} == {1}
    assert looks_in_turn * LOOK_SECONDS <= max(LOOK_SECONDS, timeout / 16)


def test_who_came_or_went_meanwhile_has_a_turn_or_none() -> None:
    looks = looks_of(idle_timeout=8.0)
    clients = [Client(looks) for _ in range(100)]
    looks.look()
    gone = next(client for client in clients if not client.seen)
    looks.active.discard(cast(Leaving, gone))
    late = Client(looks)
    late.over = True
    for _ in range(10):
        looks.look()
    assert gone.seen == 0
    assert late.seen == 1
    assert cast(Leaving, late) not in looks.active


def test_while_the_server_stops_every_look_is_at_everybody() -> None:
    looks = looks_of(idle_timeout=60.0)
    clients = [Client(looks) for _ in range(50)]
    looks._server.stopping = True
    looks.look()
    assert {client.seen for client in clients} == {1}


def test_without_a_timeout_only_those_are_looked_at_who_were_told_goodbye() -> None:
    looks = looks_of()
    client = Client(looks)
    looks.look()
    assert client.seen == 0
    looks.lingering.add(cast(Leaving, client))
    looks.look()
    assert client.seen == 1
