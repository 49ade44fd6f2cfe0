"""What stands around the talk over a blocking socket."""

import sys
from collections.abc import Iterator
from unittest.mock import create_autospec

import pytest

from concurrency_models.blocking import SWITCH_INTERVAL, keep_looks_few
from concurrency_models.server import Server
from concurrency_models.settings import Settings


@pytest.fixture
def interval() -> Iterator[float]:
    """Put the switch interval back as it was."""
    before = sys.getswitchinterval()
    yield before
    sys.setswitchinterval(before)


def test_threads_ask_for_the_gil_less_often_the_more_there_are(interval: float) -> None:
    assert interval == SWITCH_INTERVAL
    server = create_autospec(Server, instance=True)
    server.settings = Settings()
    for clients, expected in ((500, 0.005), (10_000, 0.1), (1, 0.005)):
        server.clients = range(clients)
        keep_looks_few(server)
        assert sys.getswitchinterval() == pytest.approx(expected)


def test_a_switch_interval_that_was_asked_for_stays(interval: float) -> None:
    server = create_autospec(Server, instance=True)
    server.settings = Settings(switch_interval=interval)
    server.clients = range(10_000)
    keep_looks_few(server)
    assert sys.getswitchinterval() == interval
