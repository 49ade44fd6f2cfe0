"""What connections weigh, and how many there is room for."""

import resource
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.experiments import weighing
from loadgen.experiments.catalogue import EXPERIMENTS
from loadgen.experiments.experiment import QUICK, SILENT, Case, Crowd
from loadgen.experiments.weighing import Room, Weighing, room_of_one_loop, room_of_threads
from loadgen.fleet.measure import Silent, measure
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import kernel

LINUX = pytest.mark.skipif(kernel.memory_bytes() is None, reason="only Linux says what it uses")


@LINUX
def test_a_crowd_is_counted_at_both_ends_and_weighed() -> None:
    crowd = Group(1500, name=SILENT, silent=True)
    plan = Plan((Group(2, think_seconds=0.01), crowd), duration_seconds=0.2, warmup_seconds=0.0)
    server = ModelServer("selectors", ("--backlog", "4096"))
    run = measure(Task("selectors", server, plan, driver=Weighing()), Silent(), threading.Event())
    assert run.tally is not None
    assert [group.connected for group in run.tally.groups] == [2, 1500]
    assert run.tally.groups[1].held == 1500
    assert run.probe is not None
    assert run.probe["held"] == 1502
    assert 100 < run.probe["server_bytes_each"] < 100_000
    assert 1_000 < run.probe["generator_bytes_each"] < 100_000
    assert run.probe["clients"] == 1502


@LINUX
def test_where_each_client_has_a_process_those_are_counted() -> None:
    plan = Plan((Group(5),), duration_seconds=0.1, warmup_seconds=0.0)
    task = Task("process", ModelServer("process"), plan, driver=Weighing())
    run = measure(task, Silent(), threading.Event())
    assert run.probe == {"clients": 5, "held": 5}


def test_a_few_are_counted_and_not_weighed() -> None:
    plan = Plan((Group(2),), duration_seconds=0.1, warmup_seconds=0.0)
    task = Task("selectors", ModelServer("selectors"), plan, driver=Weighing())
    run = measure(task, Silent(), threading.Event())
    assert run.probe is not None
    assert set(run.probe) == {"clients", "held"}


def test_what_others_have_just_closed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([90_000, 50_000, 1_000, 990, 0])
    monkeypatch.setattr(kernel, "tcp_sockets", lambda: next(seen))
    monkeypatch.setattr(weighing, "CLOSING_LOOK_SECONDS", 0.0)
    weighing._wait_until_gone(threading.Event())
    assert next(seen) == 0


def test_the_first_limit_that_is_met_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_NOFILE: (1024, 20_000), resource.RLIMIT_NPROC: (-1, -1)}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(weighing, "_free_bytes", lambda: 64 << 30)
    found = room_of_one_loop()
    assert found == Room(19_800, "a process may open 20,000 files (ulimit -Hn)")
    limits[resource.RLIMIT_NPROC] = (4000, 4000)
    assert room_of_threads() == Room(2000, "a user may have 4,000 processes (ulimit -Hu)")
    monkeypatch.setattr(weighing, "_free_bytes", lambda: 100 << 20)
    assert "100" not in room_of_threads().reason
    assert "0.1 GiB of memory are free" in room_of_one_loop().reason


def test_a_crowd_is_as_large_as_asked_for_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    crowd = Crowd(100_000, 300, lambda: Room(60_000, "the door is narrow"))
    plan = Plan((Group(10, name="busy"),))
    case = Case("many", "selectors", plan, crowd=crowd)
    full = replace(QUICK, quick=False)
    assert case.plan_at(QUICK).groups == (plan.groups[0], Group(300, name=SILENT, silent=True))
    assert crowd.note(plan, QUICK) is None
    assert case.plan_at(full).groups[1].clients == 59_990
    assert case.plan_at(full).workers == 4
    assert crowd.note(plan, full) == "59,990 silent clients and no more, since the door is narrow"
    asked = replace(QUICK, crowd=7)
    assert case.plan_at(asked).groups[1].clients == 7


def test_c1m_measures_every_model_with_its_crowd_and_without() -> None:
    experiment = EXPERIMENTS["c1m"]
    alone = [case for case in experiment.cases if case.crowd is None]
    crowds = [case for case in experiment.cases if case.crowd is not None]
    assert [case.server for case in alone] == [case.server for case in crowds]
    for one, many in zip(alone, crowds, strict=True):
        assert (one.plan, one.options) == (many.plan, many.options)


@LINUX
def test_the_kernel_says_what_it_uses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory, sockets = tmp_path / "meminfo", tmp_path / "sockstat"
    memory.write_text(
        "MemTotal: 100 kB\nSlab: 8 kB\nKernelStack: 4 kB\nPageTables: 2 kB\nPercpu: 1 kB\n"
    )
    sockets.write_text("sockets: used 9\nTCP: inuse 5 orphan 0 tw 1 alloc 7 mem 3\nUDP: inuse 1\n")
    monkeypatch.setattr(kernel, "_MEMORY", memory)
    monkeypatch.setattr(kernel, "_SOCKETS", sockets)
    assert kernel.memory_bytes() == 15 * 1024 + 3 * resource.getpagesize()
    assert kernel.tcp_sockets() == 5
    sockets.write_text("sockets: used 9\n")
    assert kernel.memory_bytes() is None
    assert kernel.tcp_sockets() is None
