"""Every model over every family, transport and talk that it serves, with every reply checked."""

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from concurrency_models.backends import MODELS
from loadgen.command.server_options import server_options
from loadgen.fleet.measure import measure
from loadgen.fleet.server import FoundServer, ModelServer
from loadgen.fleet.task import Task
from loadgen.judge import audit
from loadgen.judge.analysis import analyse
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.servers.found import find, listens, probe
from loadgen.servers.problem import TargetError
from loadgen.servers.started import parse_ready_line
from loadgen.show.describe import heading
from tests.clients import answer
from tests.known_servers import answering_datagrams
from tests.runs import result
from tests.servers import WAIT_SECONDS, ServerProcess, serving
from tests.test_measure import Notes
from tests.warm_workers import WARM

PLAN = Plan((Group(3),), duration_seconds=None, messages_per_client=4, timeout_seconds=20.0)
ONE_EACH = replace(PLAN, groups=(Group(3, messages_per_connection=1),))
HERE = [name for name, model in MODELS.items() if not model.unavailable()]
DATAGRAMS = [name for name in HERE if "udp" in MODELS[name].transports]
CORE = [name for name in HERE if MODELS[name].group == "core"]


def put_on(plan: Plan, model: str) -> Run:
    """One run of a model that is started for it; everything that comes back has to be right."""
    plan.validate()
    told = tuple(server_options(plan, ()))
    task = Task(model, ModelServer(model, told), plan, place=WARM)
    run = measure(task, Notes(), threading.Event())
    assert (run.problem, run.notes) == (None, ())
    assert audit.audit(run).valid
    assert run.tally is not None
    group = run.tally.groups[0]
    assert (group.answered, group.intended, group.errors) == (12, 12, {})
    return run


@pytest.mark.parametrize("talk", ["greet", "once"])
@pytest.mark.parametrize("model", HERE)
def test_talks(model: str, talk: str) -> None:
    run = put_on(replace(ONE_EACH, talk=talk), model)
    assert run.tally is not None
    assert run.tally.groups[0].connections == 12
    if run.connections_by_worker is not None:
        assert sum(run.connections_by_worker) == 12


@pytest.mark.parametrize("family", ["inet6", "unix"])
@pytest.mark.parametrize("model", CORE)
def test_families(model: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = put_on(replace(PLAN, family=family), model)
    assert run.endpoint is not None
    assert run.endpoint.family == family
    assert list(tmp_path.iterdir()) == []  # no socket file is left


@pytest.mark.parametrize("model", DATAGRAMS)
@pytest.mark.parametrize("family", ["inet", "inet6"])
def test_datagrams(model: str, family: str) -> None:
    run = put_on(replace(PLAN, transport="udp", family=family), model)
    assert run.tally is not None
    group = run.tally.groups[0]
    assert (group.lost, group.late, group.duplicated, group.served) == (0, 0, 0, 3)


@pytest.mark.parametrize("model", DATAGRAMS)
def test_an_answer_leaves_from_the_address_that_was_asked(model: str) -> None:
    """A client that asked one of many addresses takes answers from that one alone."""
    arguments = ("--model", model, "--transport", "udp", "--host", "0.0.0.0")
    with serving(*arguments) as server, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(WAIT_SECONDS)
        client.connect(("127.0.0.2", server.address[1]))
        client.send(b"hello")
        assert client.recv(100) == answer(b"hello")
        server.stop()
        server.out.wait_for(f"{model}: answered 1 datagram in ")


@pytest.mark.parametrize("work", ["fib:12", "sha256:3", "sleep:1"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_work(work: str, transport: str) -> None:
    put_on(replace(PLAN, groups=(Group(3, work=work),), transport=transport), "selectors")


def test_work_for_one_message_on_each_connection() -> None:
    group = Group(3, work="fib:10", messages_per_connection=1)
    put_on(replace(PLAN, groups=(group,), talk="once"), "thread")


@pytest.fixture(params=["--family=inet6", "--family=unix", "--transport=udp"])
def already_there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that was started by someone else."""
    path = ("--path", str(tmp_path / "socket")) if request.param == "--family=unix" else ()
    with serving("--model", "thread", request.param, *path) as server:
        yield server


def test_a_server_that_runs_already_is_found_and_watched(already_there: ServerProcess) -> None:
    line = next(line for line in already_there.out.lines if "listening on" in line)
    endpoint = parse_ready_line(line)
    assert endpoint is not None
    plan = replace(PLAN, family=endpoint.family, transport=endpoint.transport)
    assert listens(endpoint)
    probe(endpoint)
    found = find(endpoint)
    assert (found.pid, found.name) == (already_there.process.pid, "thread")
    task = Task(found.name, FoundServer(found, endpoint), plan, place=WARM)
    run = measure(task, Notes(), threading.Event())
    assert run.tally is not None
    assert (run.tally.groups[0].answered, run.tally.groups[0].errors) == (12, {})


@contextlib.contextmanager
def nobody(family: str, transport: str, folder: Path) -> Iterator[Endpoint]:
    if family == "unix":
        yield Endpoint("unix", path=str(folder / "nobody"))
        return
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    host = "::1" if family == "inet6" else "127.0.0.1"
    with socket.socket(socket.AF_INET6 if family == "inet6" else socket.AF_INET, kind) as taken:
        taken.bind((host, 0))
        port = taken.getsockname()[1]
        if transport == "udp":
            taken.close()  # a socket that is bound takes datagrams, so the port has to be let go
        yield Endpoint(family, host, port, transport=transport)


@pytest.mark.parametrize(
    ("family", "transport", "advice"),
    [
        ("inet", "tcp", "--model thread --port"),
        ("inet6", "tcp", "--family inet6 --port"),
        ("unix", "tcp", "--family unix --path"),
        ("inet", "udp", "--transport udp --port"),
        ("inet6", "udp", "--family inet6 --transport udp --port"),
    ],
)
def test_nobody_is_there(family: str, transport: str, advice: str, tmp_path: Path) -> None:
    with nobody(family, transport, tmp_path) as endpoint:
        assert not listens(endpoint)
        with pytest.raises(TargetError, match=f"nobody listens at .*{advice}"):
            probe(endpoint)


def test_a_datagram_server_that_says_nothing_may_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loadgen.servers.found.DATAGRAM_PROBE_SECONDS", 0.05)
    with answering_datagrams(lambda _, __: []) as endpoint:
        probe(endpoint)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (replace(ONE_EACH, talk="once"), "does not close: start it with --talk once"),
        (replace(ONE_EACH, talk="greet"), "start it with --talk greet"),
        (replace(PLAN, groups=(Group(3, work="fib:9"),)), "start it with --work"),
    ],
)
def test_a_server_that_was_started_otherwise(plan: Plan, says: str) -> None:
    plan = replace(plan, timeout_seconds=0.2, messages_per_client=1)
    with serving("--model", "selectors") as server:
        assert isinstance(server.address, tuple)
        endpoint = Endpoint("inet", *server.address)
        found = find(endpoint)
        task = Task(found.name, FoundServer(found, endpoint), plan, place=WARM)
        run = measure(task, Notes(), threading.Event())
    assert says in " ".join(run.notes)


def test_the_title_says_how_the_server_was_reached() -> None:
    run = put_on(replace(PLAN, family="inet6", transport="udp"), "selectors")
    assert "UDP, over IPv6" in heading(analyse(result(run)))[1]
    assert "framing" not in heading(analyse(result(run)))[1]
