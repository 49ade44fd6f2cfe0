"""Servers that are started are stopped, whatever happens."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadgen.plan.endpoint import Endpoint
from loadgen.servers import started
from loadgen.servers.problem import TargetError
from loadgen.servers.started import ServerProcess, model_command, parse_ready_line
from tests.servers import ROOT, WAIT_SECONDS


@pytest.mark.parametrize(
    ("line", "endpoint"),
    [
        (
            "thread: listening on 127.0.0.1:40001 (Ctrl-C stops)",
            Endpoint("inet", "127.0.0.1", 40001),
        ),
        ("listening on [::1]:80\n", Endpoint("inet6", "::1", 80)),
        ("listening on unix:/tmp/a.sock", Endpoint("unix", path="/tmp/a.sock")),
        ("listening on nothing", None),
        ("Traceback (most recent call last):", None),
    ],
)
def test_the_line_that_says_ready(line: str, endpoint: Endpoint | None) -> None:
    assert parse_ready_line(line) == endpoint


# A child that is deaf to SIGTERM, as a server has that does not stop well.
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
signal.pause()
"""
STUBBORN = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print("hello")
print("listening on 127.0.0.1:4242", flush=True)
signal.pause()
"""


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, WAIT_SECONDS)
    return not alive


def test_the_whole_tree_ends_with_the_block() -> None:
    with ServerProcess("stubborn", [sys.executable, "-c", STUBBORN]) as server:
        assert server.endpoint == Endpoint("inet", "127.0.0.1", 4242)
        assert server.running
        tree = psutil.Process(server.pid).children(recursive=True)
        tree.append(psutil.Process(server.pid))
        assert len(tree) == 2
    assert gone(tree)
    assert server.output == ["hello", "listening on 127.0.0.1:4242"]
    server.stop()  # once more does no harm


def test_it_ends_when_the_block_fails() -> None:
    processes = []

    def fail() -> None:
        with ServerProcess("s", model_command("thread", ())) as server:
            processes.append(psutil.Process(server.pid))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gone(processes)


OUTLIVED = """
import sys
from loadgen.servers.started import ServerProcess, model_command
with ServerProcess("thread", model_command("thread", ())) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_it_does_not_outlive_one_who_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OUTLIVED],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        server = psutil.Process(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
    assert gone([server])


def test_a_server_that_ends_at_once_is_quoted() -> None:
    command = [sys.executable, "-c", "import sys; print('no luck today'); sys.exit(3)"]
    with pytest.raises(TargetError, match="status 3") as failure, ServerProcess("s", command):
        pass
    assert "no luck today" in str(failure.value)


def test_a_server_that_does_not_get_ready_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started, "START_SECONDS", 0.2)
    server = ServerProcess("s", [sys.executable, "-c", "import signal; signal.pause()"])
    with pytest.raises(TargetError, match="was not ready"), server:
        pass
    assert not server.running


def test_a_program_that_is_not_there_is_named() -> None:
    server = ServerProcess("s", ["/nonexistent/python"])
    with pytest.raises(TargetError, match="/nonexistent/python"), server:
        pass


def test_it_keeps_to_its_cores_and_its_descriptors() -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("cores cannot be chosen here")
    core = min(os.sched_getaffinity(0))
    command = model_command("thread", ())
    with ServerProcess("thread", command, cores=[core], open_files=200) as server:
        process = psutil.Process(server.pid)
        assert process.cpu_affinity() == [core]
        assert process.rlimit(psutil.RLIMIT_NOFILE) == (200, 200)


def test_files_of_the_current_folder_do_not_get_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selectors.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    with ServerProcess("selectors", model_command("selectors", ())) as server:
        assert server.running
