"""The command with --cluster: Dask places it, and whatever ends it, nothing is left running."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any, Final
from unittest.mock import create_autospec

import psutil
import pytest

from loadgen.cluster.address import AddressError, ClusterAddress, is_this_machine, parse
from loadgen.cluster.cluster import Cluster, Wanted, cluster
from loadgen.cluster.launch import launch
from loadgen.cluster.machine import Machine
from loadgen.cluster.placement import Place, places_of
from loadgen.command.load import main
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.servers.problem import TargetError
from tests.namespaces import Host, hosts, impossible
from tests.servers import ROOT, WAIT_SECONDS, Output, eventually

WHY_NOT: Final = impossible()
NAMES: Final = ("server", "load-a", "load-b")
# For a dozen interpreters to start, of which some import Dask.
START_SECONDS: Final = 3 * WAIT_SECONDS
needs_machines = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def network() -> Iterator[Sequence[Host]]:
    """The command's machine with a scheduler, then one with a Dask worker for each name."""
    with hosts(1 + len(NAMES)) as found:
        here, *others = found
        scheduler = here.start(
            sys.executable, "-m", "distributed.cli.dask_scheduler",
            "--host", here.address, "--port", "8786", "--no-dashboard",
        )  # fmt: skip
        assert scheduler.stderr is not None
        Output(scheduler.stderr).wait_for("Scheduler at:")
        said = []
        for name, host in zip(NAMES, others, strict=True):
            # The first with a nanny, as usual; the others start in half the time without.
            worker = host.start(
                sys.executable, "-m", "distributed.cli.dask_worker", where(found),
                "--host", host.address, "--name", name, "--nthreads", "1", "--no-dashboard",
                *([] if name == "server" else ["--no-nanny"]),
            )  # fmt: skip
            assert worker.stderr is not None
            said.append(Output(worker.stderr))
        for output in said:
            output.wait_for("Registered to:")
        yield found


def where(network: Sequence[Host]) -> str:
    return f"tcp://{network[0].address}:8786"


def loadgen(network: Sequence[Host], folder: Path, *options: str) -> list[str]:
    """The command line of loadgen on the command's machine, with its results in a folder."""
    return network[0].command(
        sys.executable, "-m", "loadgen", "--cluster", where(network), "--i-may-load-this-host",
        "--serve-on", "server", "--results", str(folder), "--seed", "1", *options,
    )  # fmt: skip


def saved(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*/run.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@contextmanager
def killing(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process with the block, if it has not ended, and not after a minute of measuring."""
    try:
        yield
    finally:
        process.kill()


def check_nothing_is_left(network: Sequence[Host]) -> None:
    """Nothing of the kit runs on any machine, and Dask does."""
    eventually(
        lambda: (
            not any(
                host.processes(word)
                for host in network
                for word in ("loadgen.", "concurrency_models")
            )
        ),
        "something of a command outlived it",
    )
    assert all(host.processes("distributed.cli") for host in network)


@needs_machines
def test_a_comparison(network: Sequence[Host], tmp_path: Path) -> None:
    command = loadgen(
        network, tmp_path, "--model", "selectors,thread", "--clients", "9", "--lives", "1",
        "--turn", "0.3", "--duration", "0.6", "--think", "0.04", "--load-from", "load-a,load-b",
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    check_nothing_is_left(network)
    result = saved(tmp_path)
    assert {run["model"] for run in result["runs"]} == {"selectors", "thread"}
    for run in result["runs"]:
        assert run["endpoint"]["host"] == network[1].address
        (group,) = run["tally"]["groups"]
        assert (group["clients"], group["served"]) == (9, 9)
        machines = run["tally"]["machines"]
        assert [one["serves"] for one in machines] == [True, False, False]
        assert [one["workers"] for one in machines] == [0, 1, 1]
        assert sum(one["messages"] for one in machines) == group["answered_in_window"]
        assert all(one["uncertainty_seconds"] < 0.05 for one in machines)
        assert all(one["link_bits_per_second"] == 10e9 for one in machines)  # as veth says
        assert run["server"]["memory_bytes"] > 0
        assert run["kernel"] is not None
    table = done.stdout.partition("Machines\n")[2].splitlines()
    assert [line.split()[0] for line in table[3:6]] == [host.address for host in network[1:]]
    assert "some of these machines are one" in done.stdout


@needs_machines
@pytest.mark.parametrize("ending", ["Ctrl-C", "killed", "a machine is lost"])
def test_nothing_is_left_running(ending: str, network: Sequence[Host], tmp_path: Path) -> None:
    load = ("--model", "selectors", "--duration", "60", "--think", "0.01")
    command = loadgen(network, tmp_path, *load, "-q")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process, killing(process):
        started = [("server", "concurrency_models"), *((n, "fleet.worker") for n in NAMES[1:])]
        eventually(
            lambda: all(network[1 + NAMES.index(name)].processes(word) for name, word in started),
            "a server or a load worker has not started",
            START_SECONDS,
        )
        # `ip netns exec` becomes the command, so that the process is loadgen's own.
        if ending == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        elif ending == "killed":
            check_environment(network[1])
            process.kill()
        else:
            network[3].signal(signal.SIGKILL, "loadgen.cluster.agent")
        out, err = process.communicate(timeout=WAIT_SECONDS)
    check_nothing_is_left(network)
    status = {"Ctrl-C": 130, "killed": -signal.SIGKILL, "a machine is lost": 1}[ending]
    assert process.returncode == status, out + err
    if ending == "a machine is lost":
        lost = f"{network[3].address} is gone, or its agent was ended"
        assert f"loadgen: {lost}, and so the load was not put on as asked" in err.splitlines()
        (run,) = saved(tmp_path)["runs"]
        assert not run["audit"]["valid"]
        # In words that depend on who missed it first: the machine's place, or the worker on it.
        audit = json.dumps(run["audit"])
        assert network[3].address in audit
        assert "gone, or its agent was ended" in audit


def check_environment(nanny: Host) -> None:
    """Neither a server nor the agent that started it has what a nanny of Dask's has set."""
    set_by_nannies = {"MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS"}
    dask = [psutil.Process(pid).environ().keys() for pid in nanny.processes("multiprocessing")]
    assert any(set_by_nannies <= names for names in dask)
    for word in ("concurrency_models", "loadgen.cluster.agent"):
        (pid, *_) = nanny.processes(word)
        assert not set_by_nannies & psutil.Process(pid).environ().keys()


def test_workers_that_are_started_here(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadgen", "--cluster", "local:2", "--results", str(tmp_path)]
    load = ["--model", "selectors", "--clients", "4", "--messages", "25", "-q"]
    done = subprocess.run([*command, *load], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = saved(tmp_path)["runs"]
    assert run["tally"]["groups"][0]["answered_per_client"] == [25] * 4
    assert [one["name"] for one in run["tally"]["machines"]] == ["local-1", "local-2"]
    assert run["audit"]["valid"]


def test_without_dask_there_is_a_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(TargetError, match=r"pip install -e '\.\[cluster\]'"):
        cluster(Wanted(parse("local:1"))).__enter__()


def test_an_agent_that_cannot_start_says_why() -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    with pytest.raises(OSError, match="Cannot assign requested address"):
        launch("192.0.2.1", bytes(32))


def test_a_scheduler_that_is_not_there() -> None:
    command = [sys.executable, "-m", "loadgen", "--cluster", "tcp://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "no Dask scheduler is to be had at tcp://127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local:3", ClusterAddress(local=3)),
        ("tcp://10.0.0.1:8786", ClusterAddress("tcp://10.0.0.1:8786")),
        ("tls://[::1]:8786", ClusterAddress("tls://[::1]:8786")),
    ],
)
def test_addresses_of_clusters(text: str, address: ClusterAddress) -> None:
    assert parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["local:0", "local:99", "local:x", "tcp://host", "udp://a:1", ""])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError, match=r"write tcp://HOST:PORT"):
        parse(text)


def test_hosts_of_addresses() -> None:
    assert parse("tls://[::1]:8786").host == "::1"
    assert parse("local:2").host == "127.0.0.1"
    near = {host: is_this_machine(host) for host in ("127.0.0.5", "::1", "localhost", "10.0.0.1")}
    assert near == {"127.0.0.5": True, "::1": True, "localhost": True, "10.0.0.1": False}


def test_several_workers_of_dask_on_a_host_are_one_machine() -> None:
    found = places_of(
        {
            "tcp://10.0.0.3:4000": {"name": "tcp://10.0.0.3:4000"},
            "tcp://10.0.0.2:4000": {"name": "one-0"},
            "tcp://10.0.0.2:4001": {"name": "one-1"},
        }
    )
    assert found == [
        Place("10.0.0.2", "10.0.0.2", "tcp://10.0.0.2:4000", ("one-0", "one-1")),
        Place("10.0.0.3", "10.0.0.3", "tcp://10.0.0.3:4000"),
    ]


@pytest.mark.parametrize(
    ("each", "had", "clients", "workers"),
    [(1, 1, 100, 2), (3, 3, 100, 6), (None, 1, 100, 8), (1, 1, 1, 1), (1, 5, 100, 6)],
)
def test_each_machine_has_as_many_workers(
    each: int | None, had: int, clients: int, workers: int
) -> None:
    """Of two machines with 4 and 8 cores."""
    machines = [create_autospec(Machine, instance=True, facts={"cores": n}) for n in (4.0, 8.0)]
    plan = Plan((Group(clients), Group(9, "idle", silent=True)), workers=had)
    assert Cluster(machines, None).with_workers(plan, each).workers == workers


@pytest.mark.parametrize(
    ("url", "said"),
    [("tcp://10.0.0.1:8786", "is not encrypted"), ("tls://10.0.0.1:8786", "--i-may-load-this")],
)
def test_other_machines_want_consent(url: str, said: str) -> None:
    with pytest.raises(PlanError, match=said), cluster(Wanted(parse(url))):
        pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--serve-on", "a"], "--serve-on is about a cluster"),
        (["--load-from", "a"], "--load-from is about a cluster"),
        (["--cluster", "local:1", "--pin"], "--pin keeps cores of this machine"),
        (["--cluster", "local:1", "--family", "unix"], "one machine's own"),
        (["--cluster", "local:1", "--serve-on", "a"], "say which with --model"),
        (
            ["--cluster", "local:1", "--serve-on", "a", "--model", "core", "--connect", ":1"],
            "give one of them",
        ),
    ],
)
def test_what_does_not_go_together_with_a_cluster(options: list[str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        main([*options, "--no-save"])


@pytest.mark.skipif(which("openssl") is None, reason="there is no openssl")
def test_a_cluster_that_encrypts(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=test", "-days", "2"],
        check=True, capture_output=True,
    )  # fmt: skip
    files = [str(certificate), str(certificate), str(key)]
    told = [
        word
        for name, file in zip(("ca-file", "cert", "key"), files, strict=True)
        for word in (f"--tls-{name}", file)
    ]
    here = ["--host", "127.0.0.1", "--no-dashboard", *told]
    dask = [sys.executable, "-m"]
    quiet: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    scheduler = subprocess.Popen(
        [*dask, "distributed.cli.dask_scheduler", "--protocol", "tls", "--port", "0", *here],
        **quiet,
    )
    with scheduler, killing(scheduler):
        assert scheduler.stderr is not None
        line = Output(scheduler.stderr).wait_for("Scheduler at:")
        address = line.split()[-1]
        worker = subprocess.Popen(
            [*dask, "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", *here],
            **quiet,
        )
        with worker, killing(worker):
            assert worker.stderr is not None
            Output(worker.stderr).wait_for("Registered to:")
            command = [
                sys.executable, "-m", "loadgen", "--cluster", address, "--cluster-tls",
                ",".join(files), "--model", "selectors", "--clients", "2", "--messages", "3",
                "--no-save", "-q",
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert address.startswith("tls://127.0.0.1:")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "127.0.0.1" in done.stdout.partition("Machines\n")[2]
