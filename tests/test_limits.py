"""What the system allows a plan, told in numbers before anything is started."""

import resource

import psutil
import pytest

from loadgen.fleet.cores import core_numbers
from loadgen.fleet.limits import (
    ServerRoom,
    descriptor_problem,
    fewest_workers,
    port_warning,
    server_room,
    source_addresses,
)
from loadgen.fleet.server import ModelServer
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

LOOPBACK = Endpoint("inet", "127.0.0.1", 8008)


def test_too_few_descriptors_are_told_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    problem = descriptor_problem(Plan((Group(3000),), workers=2))
    assert problem is not None
    assert "hard limit is 1024" in problem
    assert "ulimit -Hn 1532" in problem
    assert "more workers (4 will do)" in problem
    assert fewest_workers(3000) == 4
    assert descriptor_problem(Plan((Group(3000),), workers=4)) is None


def test_a_server_gets_the_descriptors_or_the_workers_that_its_clients_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    assert server_room(500, None) == server_room(1000, 2) == ServerRoom()
    assert server_room(10_000, None) == ServerRoom(open_files=10_200)
    assert server_room(100_000, 2) == ServerRoom(
        6, 20_000, "the server was given --workers 6, since a process may open 20,000 files"
    )
    told = server_room(100_000, 2, fixed=True).note
    assert told is not None
    assert "in 2 processes" in told
    assert "ulimit -Hn 55756" in told
    assert "--workers" in told
    alone = server_room(100_000, None)
    assert alone.open_files == 20_000
    assert alone.note is not None
    assert "ulimit -Hn 100200" in alone.note
    assert "--workers" not in alone.note


def test_only_servers_that_hold_all_who_come_are_given_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that spreads its clients is told so, unless its user said how many."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    plan = Plan((Group(10), Group(200, name="idle", silent=True)))

    def said(server: ModelServer) -> tuple[str, ...]:
        with server.running(plan) as running:
            process = psutil.Process(running.pid)
            children = str(len(process.children()))
            return (children, *running.notes)

    cores = len(core_numbers())
    needed = max(cores, -(-210 // 50))
    assert said(ModelServer("reuseport"))[0] == str(needed)
    children, note = said(ModelServer("reuseport", ("--workers", "1")))
    assert (children, "210 clients in one process" in note) == ("1", True)
    assert "210 clients in one process" in said(ModelServer("selectors"))[1]
    assert said(ModelServer("thread-pool")) == ("0",)
    assert said(ModelServer("selectors", open_files=100)) == ("0",)


def test_more_source_addresses_only_where_one_is_not_enough() -> None:
    few, many = Plan((Group(100),)), Plan((Group(60_000),))
    churn = Plan((Group(100, messages_per_connection=1),))
    remote = Endpoint("inet", "192.0.2.1", 80)
    assert source_addresses(few, LOOPBACK) == ()
    assert len(set(source_addresses(many, LOOPBACK))) >= 2
    assert source_addresses(churn, LOOPBACK)
    assert source_addresses(many, remote) == ()
    assert port_warning(many, LOOPBACK) is None
    assert port_warning(few, remote) is None
    warning = port_warning(churn, remote)
    assert warning is not None
    assert "EADDRNOTAVAIL" in warning
