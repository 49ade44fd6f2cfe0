"""What an error in accepting or starting means for the clients that come next."""

import errno

import pytest

from concurrency_models.accepting import receive
from concurrency_models.listener import listening
from concurrency_models.server import Server
from concurrency_models.settings import Settings
from concurrency_models.shortage import CLIENT_GONE, LET_GO, PAUSE_SECONDS, SHORTAGES, Shortage


@pytest.mark.parametrize("number", CLIENT_GONE, ids=errno.errorcode.__getitem__)
def test_a_client_that_is_gone_costs_no_pause(number: int) -> None:
    said: list[str] = []
    shortage = Shortage(said.append)
    shortage.pause_after_accept(OSError(number, "gone"))
    assert not shortage
    assert said == []


@pytest.mark.parametrize("number", SHORTAGES, ids=errno.errorcode.__getitem__)
def test_a_shortage_is_said_and_waited_for(number: int) -> None:
    said: list[str] = []
    shortage = Shortage(said.append)
    shortage.pause_after(OSError(number, "short"))
    assert 0 < shortage.seconds_left() <= PAUSE_SECONDS
    assert len(said) == 1
    assert said[0].startswith("out of ")


def test_short_of_memory_clients_wait_for_the_reserve_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    shortage = Shortage(said.append)
    clock = [100.0]
    monkeypatch.setattr("concurrency_models.shortage.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("concurrency_models.shortage.map_memory", no_memory)
    shortage.pause_after(MemoryError(), LET_GO)
    assert said == ["out of memory; a client was let go, new clients wait until there is room"]
    for _ in range(10):
        assert shortage
        clock[0] += PAUSE_SECONDS
    clock[0] += PAUSE_SECONDS
    assert not shortage, "it may never be had again"


def no_memory(_size: int) -> bytearray:
    raise MemoryError


def test_anything_else_is_a_mistake_and_raised() -> None:
    shortage = Shortage(print)
    for error in OSError(errno.EBADF, "closed"), ValueError("no such thing"):
        with pytest.raises(type(error)):
            shortage.pause_after(error)


def test_a_shortage_in_receiving_is_waited_for_and_ends_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def short(_listener: object) -> None:
        raise OSError(errno.ENOMEM, "short")

    settings = Settings(transport="udp", port=0)
    with listening(settings) as listener:
        server = Server(settings, listener)
        with server.self_pipe.writer, server.self_pipe._reader:
            monkeypatch.setattr("concurrency_models.accepting.receive_datagram", short)
            assert receive(server) is None
            assert server.shortage
