"""The bare loops are servers too, though with nothing around them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from concurrency_models.bare import BARE
from tests.clients import Client, crowd
from tests.servers import ROOT, WAIT_SECONDS, Address, parse_address


@contextmanager
def bare(name: str) -> Iterator[Address]:
    """Run a bare server for the length of a block."""
    command = [sys.executable, "-m", "concurrency_models.bare", name, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"listening on (\S+)", process.stdout.readline())
        assert found is not None
        try:
            yield parse_address(found[1])
        finally:
            process.kill()  # it has no way of its own to end in order


@pytest.mark.parametrize("name", BARE)
def test_it_sends_back_what_arrives(name: str) -> None:
    with bare(name) as address:
        for _ in range(2):
            with Client(address) as client:
                assert client.ask(b"hello") == b"hello"


@pytest.mark.parametrize("name", [name for name in BARE if name != "iterative"])
def test_it_serves_many_at_once(name: str) -> None:
    with bare(name) as address, crowd(address, 20) as clients:
        for client in clients:
            client.send(b"here I am")
        for client in clients:
            assert client.receive() == b"here I am"


def test_a_port_in_use_is_a_sentence() -> None:
    with bare("thread") as address:
        command = [sys.executable, "-m", "concurrency_models.bare", "thread"]
        ended = subprocess.run(
            [*command, "--port", str(address[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"cannot listen on port {address[1]}" in ended.stderr
