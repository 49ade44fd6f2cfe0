"""A server that is there already is found, named and spoken to."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadgen.plan.endpoint import Endpoint
from loadgen.servers import found as found_module
from loadgen.servers.found import Found, converse, find, listens, probe
from loadgen.servers.problem import TargetError
from loadgen.servers.started import ServerProcess, model_command
from tests.known_servers import nobody_listening, serving, talk
from tests.runs import PLAN


@pytest.fixture(scope="module")
def ours() -> Iterator[ServerProcess]:
    with ServerProcess("socketserver", model_command("socketserver", ())) as server:
        yield server


def test_one_of_our_servers_is_found_by_its_model(ours: ServerProcess) -> None:
    found = find(ours.endpoint)
    assert (found.pid, found.name, found.note) == (ours.pid, "socketserver", None)
    assert listens(ours.endpoint)


@pytest.mark.parametrize(
    ("options", "say"),
    [
        ((), None),
        (("--backlog", "5"), None),
        (("--framing", "line"), "--framing line"),
        (("--talk=once", "--reply-prefix", "you: "), "--talk once --reply-prefix 'you: '"),
    ],
)
def test_what_to_type_for_one_of_ours_that_was_started_otherwise(
    options: tuple[str, ...], say: str | None
) -> None:
    with ServerProcess("thread", model_command("thread", options)) as server:
        found = find(server.endpoint)
        assert found.contradicts(PLAN) == say
    assert Found(1, "nginx").contradicts(PLAN) is None


@pytest.mark.parametrize(
    ("line", "model"),
    [
        (["python", "-m", "concurrency_models.run"], "iterative"),
        (["python", "-m", "concurrency_models", "thread", "--port", "80"], "thread"),
        (["python", "-m", "concurrency_models.run", "--port", "80", "--model=fork"], "fork"),
        (["python", "concurrency_models/backends/selectors_loop.py", "-v"], "selectors"),
        (["python", "/usr/bin/concurrency-models", "--model", "thread"], "thread"),
        (["python", "serve.py"], None),
        (["python", "backends/serve.py", "--port", "80"], None),
    ],
)
def test_a_model_is_known_however_it_was_named(line: list[str], model: str | None) -> None:
    words = found_module._ours(line)
    assert (found_module._model_of(words) if words else None) == model


def test_a_process_per_client_is_found_by_its_parent() -> None:
    server = ServerProcess("process", model_command("process", ()))
    with server, socket.socket() as client:
        client.connect(server.endpoint.sockaddr)
        client.sendall(b"\0\0\0\2hi")
        assert client.recv(100)
        assert len(psutil.Process(server.pid).children()) == 1
        assert find(server.endpoint).pid == server.pid


def test_any_server_is_found_and_named() -> None:
    with serving(talk()) as endpoint:
        found = find(endpoint)
    assert found.pid == os.getpid()
    assert found.name


def test_a_unix_socket_is_found(tmp_path: Path) -> None:
    with serving(talk(), "unix", tmp_path / "s") as endpoint:
        assert find(endpoint).pid == os.getpid()


def test_nobody_there_says_what_to_do() -> None:
    with nobody_listening() as endpoint:
        assert not listens(endpoint)
        assert find(endpoint).pid is None
        with pytest.raises(TargetError, match=r"nobody listens.*--model thread"):
            probe(endpoint)


def test_a_process_that_may_not_be_seen_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> None:
        raise psutil.AccessDenied

    with serving(talk()) as endpoint:
        monkeypatch.setattr(psutil, "net_connections", refuse)
        found = find(endpoint)
        assert found.pid is None
        assert found.note is not None
        assert "run as the server's user or as root" in found.note
        assert listens(endpoint)  # by connecting


def test_another_machine_is_said_to_be_one() -> None:
    found = find(Endpoint("inet", "192.0.2.1", 80))  # TEST-NET-1, RFC 5737
    assert found.pid is None
    assert found.note is not None
    assert "another machine" in found.note


def test_what_a_server_says_to_a_message() -> None:
    with serving(talk()) as endpoint:
        assert converse(endpoint, b"\0\0\0\2hi", 16) == b"\0\0\0\x0creceived: hi"
    with nobody_listening() as endpoint:
        assert converse(endpoint, b"hi", 5) is None
