"""What other systems do differently, as far as it can be had here; see `systems`."""

import signal
import socket
import sys

import pytest

from concurrency_models import systems
from concurrency_models.backends import MODELS
from concurrency_models.talk import frame
from loadgen.engine import loop
from loadgen.plan.group import Group
from tests.clients import Client, answer
from tests.known_servers import serving as serving_here
from tests.known_servers import talk
from tests.servers import ROOT, Address, eventually, serving
from tests.test_engine import measure

BLOCKING = ("iterative", "process", "thread", "socketserver", "thread-pool")


def refused(address: Address) -> bool:
    """Whether nobody listens any more."""
    with socket.socket() as probe:
        return probe.connect_ex(address) != 0


@pytest.mark.parametrize("model", [*BLOCKING, "selectors", "asyncio-streams"])
def test_a_server_under_the_rules_of_macos(model: str) -> None:
    """A client is waited for, and the message it has begun when the server stops is answered."""
    there = (sys.executable, str(ROOT / "tests" / "as_on_macos.py"))
    with serving("--model", model, wrapper=there) as server, Client(server.address) as client:
        assert client.ask(b"hello") == answer(b"hello")
        whole = frame("length", b"half of it, and the rest")
        client.socket.sendall(whole[:10])
        server.process.send_signal(signal.SIGTERM)
        if model != "iterative":  # whose one thread is in `recv`
            eventually(lambda: refused(server.address), "it still listens")
        client.socket.sendall(whole[10:])
        assert client.receive() == answer(b"half of it, and the rest")
        client.check_last_words()
        client.socket.close()
        assert server.exit_status() == 0


def test_a_model_says_what_the_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "SO_REUSEPORT" in (MODELS["reuseport"].unavailable() or "")
    assert "lost on its way" in (MODELS["fd-passing"].unavailable() or "")
    assert MODELS["thread"].unavailable() is None


def test_what_is_unconfirmed_is_asked_for_as_macos_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own option, unknown here: then nothing is waited for, and nobody is held up."""
    monkeypatch.setattr(systems, "IS_LINUX", False)
    with socket.socket() as client:
        assert systems.unconfirmed_size(client) == 0


def test_the_engine_without_sockets_that_are_born_non_blocking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "NONBLOCKING", 0)
    with serving_here(talk()) as endpoint:
        assert measure(endpoint, Group(3), messages_per_client=5).answered == 15
