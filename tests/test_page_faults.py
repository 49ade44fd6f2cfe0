"""A warm server asks the kernel for no memory to answer a large message, or for little."""

import sys
from pathlib import Path

import pytest

from tests.clients import Client, answer, crowd
from tests.servers import ServerProcess, serving

SIZE = 100 * 1024
TURNS = 20

MOST = {
    "thread": 2, "process": 2, "socketserver": 2, "selectors": 2, "asyncio-protocol": 2,
    "asyncio-streams": 15,
}  # fmt: skip
"""Page faults a message, at the most; 25 and more where memory is asked for anew each time."""


def page_faults(server: ServerProcess) -> int:
    """Minor faults so far of all its processes: the 10th field of proc(5)'s stat."""
    stats = [Path(f"/proc/{process.pid}/stat").read_text() for process in server.processes()]
    return sum(int(text.rpartition(")")[2].split()[7]) for text in stats)


def ask_all(clients: list[Client]) -> None:
    message = bytes(SIZE)
    for _ in range(TURNS):
        for client in clients:
            client.send(message)
        for client in clients:
            assert client.receive() == answer(message)


@pytest.mark.skipif(sys.platform != "linux", reason="counted by /proc")
@pytest.mark.parametrize(("model", "most"), MOST.items())
def test_a_large_message_faults_few_pages(model: str, most: int) -> None:
    with serving("--model", model) as server, crowd(server.address, 10) as clients:
        ask_all(clients)
        before = page_faults(server)
        ask_all(clients)
        assert page_faults(server) - before <= most * TURNS * len(clients)
