"""Load from many machines on a server of its own, and what becomes of a run when one fails.

The machines are network namespaces; without Dask, which `test_cluster` has a part in.
"""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from concurrency_models import __version__
from loadgen.cluster import machine as machines
from loadgen.cluster.cluster import Cluster, joined
from loadgen.cluster.launch import AGENT_PROGRAM
from loadgen.fleet.conductor import Fleet
from loadgen.fleet.events import Event, WindowOpened
from loadgen.fleet.measure import Silent, measure
from loadgen.fleet.place import LoadError
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task
from loadgen.fleet.turns import measure_in_turns
from loadgen.judge.analysis import analyse
from loadgen.judge.audit import audit
from loadgen.judge.cautions import cautions
from loadgen.judge.figures import figures, together
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.result import Run
from loadgen.servers.problem import TargetError
from tests.namespaces import Host, hosts, impossible
from tests.runs import result
from tests.servers import ROOT, eventually

KEY: Final = bytes(32)
SELECTORS: Final = ModelServer("selectors", ("--reply-prefix", "received: "))
WHY_NOT: Final = impossible()

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def network() -> Iterator[Sequence[Host]]:
    """The command's machine, the server's, and three that put the load on."""
    with hosts(5) as found:
        yield found


def agent_on(host: Host, environment: Mapping[str, str], limits: Sequence[str] = ()) -> int:
    """Start an agent there, by a command that sets its limits, and return its port."""
    process = subprocess.Popen(
        host.command(*limits, sys.executable, "-P", "-c", AGENT_PROGRAM),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(pickle.dumps((host.address, KEY)))
        process.stdin.close()
        port = int(process.stdout.readline())
    threading.Thread(target=process.wait, daemon=True).start()
    return port


@contextmanager
def machines_of(
    network: Sequence[Host],
    environments: Mapping[int, Mapping[str, str]] | None = None,
    limits: Mapping[int, Sequence[str]] | None = None,
) -> Iterator[Cluster]:
    """A cluster of these hosts, seen from the first; all that it started there ends with it.

    Numbers are those of agents: 0 is the server's.
    """
    here, server, *load = network
    names = {server: "server", **{host: f"load-{number}" for number, host in enumerate(load, 1)}}
    ports = {
        name: (
            host.address,
            agent_on(host, (environments or {}).get(place, {}), (limits or {}).get(place, ())),
        )
        for place, (host, name) in enumerate(names.items())
    }
    with here.entered(), joined(ports, KEY, [names[host] for host in load], "server") as found:
        yield found
    left = [here, server, *load]
    eventually(lambda: not any(host.processes() for host in left), "something was left running")


class Watching(Silent):
    """A watcher that has one function called with each event."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event

    def event(self, event: Event) -> None:
        self._on_event(event)


def observed(
    found: Cluster, plan: Plan, on_event: Callable[[Event], None] | None = None
) -> tuple[Run, threading.Event]:
    """One run of a server there under the plan."""
    stop = threading.Event()
    watcher = Watching(on_event) if on_event is not None else Silent()
    found.when_lost(stop.set)
    task = Task("selectors", found.server(SELECTORS), plan, place=found.place)
    return measure(task, watcher, stop), stop


def test_counts_add_up_over_machines_as_they_do_on_one(network: Sequence[Host]) -> None:
    plan = Plan((Group(7, "a"), Group(3, "b")), workers=3, duration_seconds=None,
                messages_per_client=20)  # fmt: skip
    with machines_of(network) as found:
        run, _ = observed(found, plan)
    alone = measure(Task("selectors", SELECTORS, replace(plan, workers=1)), Silent(),
                    threading.Event())  # fmt: skip
    assert run.tally is not None
    assert alone.tally is not None
    assert run.problem is None
    for many, one in zip(run.tally.groups, alone.tally.groups, strict=True):
        for name in ("clients", "connected", "served", "intended", "answered", "connections",
                     "bytes_sent", "bytes_received", "payload_bytes_in_window"):  # fmt: skip
            assert getattr(many, name) == getattr(one, name)
        assert many.service.count == one.service.count
        assert many.answered_per_client == one.answered_per_client
    assert audit(run).valid, audit(run).failures
    server, *load = run.tally.machines
    assert (server.name, server.serves, server.workers) == ("server", True, 0)
    assert [one.name for one in load] == ["load-1", "load-2", "load-3"]
    assert sum(one.messages for one in load) == together(run.tally.groups).answered_in_window == 200
    assert run.server.cpu_seconds is not None
    assert run.server.memory_bytes
    assert run.kernel is not None
    assert figures(run).machine.busy_cores is not None


def test_servers_take_turns_on_a_machine_of_their_own(network: Sequence[Host]) -> None:
    plan = replace(LONG, duration_seconds=0.6, turns=2)
    with machines_of(network) as found:
        tasks = [
            Task(name, found.server(replace(SELECTORS, name=name)), plan, place=found.place)
            for name in ("selectors", "thread")
        ]
        runs = measure_in_turns(tasks, 1, Silent(), threading.Event())
    for run in runs:
        assert run.tally is not None
        assert [turn.round for turn in run.tally.turns] == [1, 2]
        assert run.endpoint is not None
        assert run.endpoint.host == network[1].address
        assert run.server.turns[0].cpu_seconds is not None
        failed = [check.name for check in audit(run).failures]
        assert failed in ([], ["window as long as asked"])  # on a busy machine turns may be short
        assert run.tally.groups[0].served == 6


CLOCK: Final = """
import time
monotonic, monotonic_ns = time.monotonic, time.monotonic_ns
def skewed_ns():
    now = monotonic_ns()
    return now + {skew} + round((now - {origin}) * {drift})
time.monotonic_ns = skewed_ns
time.monotonic = lambda: skewed_ns() / 1e9
"""


def skewed(folder: Path, skew_seconds: float, drift: float) -> dict[str, str]:
    """What has a Python read another clock: off by so much, and faster by that share."""
    folder.mkdir()
    # From one moment for all processes of a machine, which share its clock.
    origin = time.monotonic_ns()
    text = CLOCK.format(skew=round(skew_seconds * 1e9), drift=drift, origin=origin)
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}


def test_clocks_that_are_off_change_no_figure(network: Sequence[Host], tmp_path: Path) -> None:
    """Off by 5 s either way, and drifting apart by 500 ppm; all of this is one clock in truth."""
    environments = {
        0: skewed(tmp_path / "server", 1000.0, 0.0),
        1: skewed(tmp_path / "one", 5.0, 0.0005),
        2: skewed(tmp_path / "two", -5.0, -0.0005),
    }
    plan = Plan((Group(6, think_seconds=0.02),), workers=3, duration_seconds=1.5, trace_clients=1)
    began = time.monotonic()
    with machines_of(network, environments) as found:
        run, _ = observed(found, plan)
        ended = time.monotonic()
    tally = run.tally
    assert tally is not None
    assert tally.window_started is not None
    assert began < tally.started < tally.window_started < ended
    assert tally.window_seconds == pytest.approx(1.5, abs=0.15)
    seen = figures(run)
    # Six clients that wait 20 ms and, unless the machine is busy, little more for each message.
    assert seen.messages_per_second is not None
    assert 100 < seen.messages_per_second < 6 / 0.02
    assert seen.latency_seconds.p50 is not None
    assert seen.latency_seconds.p50 < 0.05
    server, one, two, three = tally.machines
    for machine, skew in ((server, 1000.0), (one, 5.0), (two, -5.0), (three, 0.0)):
        assert machine.offset_seconds is not None
        assert machine.uncertainty_seconds is not None
        assert machine.uncertainty_seconds < 0.2
        # Since its agent began, it has drifted by less than 500 ppm of the time that this took.
        drifted = 0.0005 * (ended - began)
        assert abs(machine.offset_seconds - skew) < machine.uncertainty_seconds + drifted
        assert machine is server or abs(machine.opened_late_seconds or 0.0) < 0.5
    failed = {check.name: check.detail for check in audit(run).failures}
    # On a busy machine windows open late, and say so.
    assert not [name for name in failed if not name.startswith("window")], failed
    assert run.trace is not None
    traced = tally.groups[0].traces
    assert any("clocks of several machines" in said for said in cautions_of(run))
    assert all(began < sent / 1e9 < ended for client in traced for _, sent, _ in client.exchanges)
    handled = [message for stay in run.trace.stays for message in stay.messages]
    assert handled
    assert all(began < received / 1e9 < ended for received, *_ in handled)


def cautions_of(run: Run) -> list[str]:
    found = result(run)
    return cautions(found, analyse(found).rows)


LONG: Final = Plan(
    (Group(6, think_seconds=0.04),), workers=3, duration_seconds=60.0, warmup_seconds=0.05
)


def at_opening(act: Callable[[], None]) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if isinstance(event, WindowOpened):
            act()

    return on_event


def check_named(run: Run, said: str) -> None:
    """A run that lost a machine, or a worker there, is invalid and says so; the rest is kept."""
    assert run.tally is not None
    assert said in (run.tally.stopped_early or ""), run.tally.stopped_early
    assert "clients add up" in [check.name for check in audit(run).failures]
    assert run.tally.groups[0].clients == 4
    assert run.tally.groups[0].answered > 0
    assert run.tally.unaccounted == 0


def test_a_worker_that_is_killed_is_named_with_its_machine(network: Sequence[Host]) -> None:
    def kill() -> None:
        network[3].signal(signal.SIGKILL, "loadgen.fleet.worker")

    with machines_of(network) as found:
        run, _ = observed(found, replace(LONG, duration_seconds=0.5), at_opening(kill))
    check_named(run, "load worker 2 on load-2 was ended by SIGKILL")


def test_an_agent_that_is_killed_loses_its_machine(network: Sequence[Host]) -> None:
    def kill() -> None:
        network[3].signal(signal.SIGKILL, "loadgen.cluster.agent")

    with machines_of(network) as found:
        run, stop = observed(found, LONG, at_opening(kill))
        assert found.lost == "load-2 is gone, or its agent was ended"
    assert stop.is_set()
    check_named(run, "load worker 2 on load-2 was lost")


@pytest.mark.parametrize("how", ["stopped", "cut off"])
def test_a_host_that_does_not_answer_is_lost_in_time(
    how: str, network: Sequence[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LOST_SECONDS", 2)
    victim, moments = network[3], []

    def strike() -> None:
        moments.append(time.monotonic())
        if how == "stopped":
            victim.signal(signal.SIGSTOP)
        else:
            victim.cut_off()

    try:
        with machines_of(network) as found:
            run, _ = observed(found, LONG, at_opening(strike))
            assert time.monotonic() - moments[0] < 8
            assert found.lost == "load-2 has not answered for 2 s"
            if how == "stopped":
                victim.signal(signal.SIGCONT)
    finally:
        victim.join()
    check_named(run, "load worker 2 on load-2 was lost: the machine has not answered for 2 s")


def test_all_start_together_or_none_does(
    network: Sequence[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LOST_SECONDS", 2)
    events: list[Event] = []
    with machines_of(network) as found:
        server = found.server(SELECTORS)
        with server.running(LONG) as running:
            stop = threading.Event()
            with Fleet(LONG, running.endpoint, events.append, stop, found.place) as fleet:
                network[3].signal(signal.SIGSTOP)
                with pytest.raises(LoadError, match="load worker 2 on load-2 was lost"):
                    fleet.gather_ready()
            network[3].signal(signal.SIGCONT)
    assert events == []


def test_a_server_whose_machine_is_cut_off_ends_the_run(
    network: Sequence[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "LOST_SECONDS", 2)
    moments = []

    def strike() -> None:
        moments.append(time.monotonic())
        network[1].cut_off()

    try:
        with machines_of(network) as found:
            run, stop = observed(found, LONG, at_opening(strike))
            assert time.monotonic() - moments[0] < 12
    finally:
        network[1].join()
    assert stop.is_set()
    lost = audit(run).failures[0]
    assert (lost.name, lost.detail) == ("no machine was lost", "server has not answered for 2 s")
    assert run.tally is not None
    assert run.tally.groups[0].answered > 0


def test_what_a_machine_lacks_is_said_before_anything_starts(network: Sequence[Host]) -> None:
    """Ports on the last of the machines, then descriptors on the first."""
    plan, file = Plan((Group(60),), workers=3), "/proc/sys/net/ipv4/ip_local_port_range"
    for ports, said in (("20000 20009", "it has 10 for one address"), ("32768 60999", None)):
        subprocess.run(network[4].command("sh", "-c", f"echo {ports} > {file}"), check=True)
        if said is not None:
            with machines_of(network) as found, pytest.raises(PlanError) as refused:
                found.refuse(plan)
            assert str(refused.value).startswith("load-3: its 20 clients need a port each, and it")
            assert said in str(refused.value)
    few = {1: ("prlimit", "--nofile=48:48")}
    with machines_of(network, limits=few) as found, pytest.raises(PlanError) as refused:
        found.refuse(plan)
    assert str(refused.value).startswith("load-1: 60 clients over 3 workers need 52 open files")


def another_python(folder: Path) -> None:
    said = "import platform; platform.python_version = lambda: '3.9.1'"
    (folder / "sitecustomize.py").write_text(said)


def another_kit(folder: Path) -> None:
    for package in ("concurrency_models", "loadgen"):
        shutil.copytree(ROOT / package, folder / package)
    with (folder / "loadgen" / "engine" / "loop.py").open("a") as file:
        file.write("# A line more.\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (another_python, r"load-1 has Python 3\.9\.1, and here is 3\."),
        (another_kit, rf"load-1 has this kit {__version__} \(.{{8}}\), and here is {__version__}"),
    ],
)
def test_versions_that_differ_are_refused(
    make: Callable[[Path], None], said: str, network: Sequence[Host], tmp_path: Path
) -> None:
    make(tmp_path)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    with (
        pytest.raises(TargetError, match=said),
        machines_of(network, {1: {"PYTHONPATH": path}}),
    ):
        pass


def test_whoever_does_not_know_the_key_gets_nowhere(network: Sequence[Host]) -> None:
    port = agent_on(network[1], {})
    with network[0].entered():
        with pytest.raises(LoadError, match="digest"):
            machines.Machine("it", (network[1].address, port), b"another")
        machine = machines.Machine("it", (network[1].address, port), KEY)
        assert machine.facts["cores"]
        machine.close()
    eventually(lambda: not network[1].processes(), "the agent has not ended")
