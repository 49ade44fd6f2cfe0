"""The benchmarks' two sides understand each other; how fast they are is not tested."""

import shutil

import pytest

from tests.benchmarks import sides


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the benchmarks' limit is written in C")
@pytest.mark.parametrize("prefix", ["", "received: "])
def test_the_c_server_talks_with_every_client(prefix: str) -> None:
    with sides.c_server(prefix).running() as running:
        assert sides.c_run(running, 0.05, clients=3).messages > 0
        assert sides.c_run(running, 0.05, clients=3, churn=2).connections > 0
        assert sides.engine_client(running, 0.05) > 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the benchmarks' limit is written in C")
@pytest.mark.parametrize("name", ["iterative", "process", "thread", "socketserver", "selectors"])
def test_bare_servers_and_models_talk_with_the_c_client(name: str) -> None:
    for server in (sides.bare_server(name), sides.lean_server(name), sides.traced_server(name)):
        with server.running() as running:
            assert sides.c_run(running, 0.05, clients=1).messages > 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the benchmarks' limit is written in C")
@pytest.mark.parametrize("size", [10_000, 1_000_000])
@pytest.mark.parametrize("name", ["thread", "selectors"])
def test_servers_talk_with_the_c_client_at_any_size(name: str, size: int) -> None:
    for server in (sides.lean_server(name), sides.model_server(name)):
        with server.running() as running:
            assert sides.c_run(running, 0.05, clients=3, size=size).messages > 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the benchmarks' limit is written in C")
def test_the_ceiling_is_measured_with_either_client() -> None:
    with sides.null_server().running() as running:
        for client in sides.engine_client_of(10_000, 3), sides.c_client_of(10_000, 3):
            assert client(running, 0.5) > 0


def test_without_a_compiler_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(sides.MissingError, match="install gcc"):
        sides.compiled.__wrapped__("echo_server")
