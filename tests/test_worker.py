"""A worker that cannot start, that fails, that loses its parent, and one without epoll."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadgen.fleet import worker
from loadgen.fleet.conductor import run_load
from loadgen.fleet.place import LoadError
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from tests.known_servers import serving, talk

LOOPBACK = Endpoint("inet", "127.0.0.1", 8008)
WAIT_SECONDS = 20


def test_a_worker_that_cannot_start_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "WORKER_PROGRAM", "raise SystemExit(3)")
    with pytest.raises(LoadError, match="exit status 3"):
        run_load(Plan((Group(1),)), LOOPBACK)


def test_a_worker_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import loadgen.fleet.worker as w, sys; w.Engine = None; w.work(int(sys.argv[1]))"
    monkeypatch.setattr(worker, "WORKER_PROGRAM", program)
    with pytest.raises(LoadError, match="'NoneType' object is not callable"):
        run_load(Plan((Group(1),)), LOOPBACK)


def test_workers_end_with_their_parent() -> None:
    program = (
        "import sys; from loadgen.fleet.conductor import run_load\n"
        "from loadgen.plan.plan import *\n"
        "run_load(Plan((Group(2),), duration_seconds=600.0, warmup_seconds=0.0),\n"
        "    Endpoint('inet', '127.0.0.1', int(sys.argv[1])),\n"
        "    on_event=lambda event: print(event, flush=True))\n"
    )
    with serving(talk()) as endpoint:
        parent = subprocess.Popen(
            [sys.executable, "-c", program, str(endpoint.port)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        with parent:
            assert parent.stdout is not None
            parent.stdout.readline()
            children = psutil.Process(parent.pid).children()
            parent.kill()
        assert children
        _, alive = psutil.wait_procs(children, timeout=WAIT_SECONDS)
        assert not alive


def test_systems_without_epoll_use_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"import select; del select.epoll; {worker.WORKER_PROGRAM}"
    monkeypatch.setattr(worker, "WORKER_PROGRAM", program)
    groups = (Group(3), Group(2, "churn", messages_per_connection=2), Group(1, "idle", silent=True))
    plan = Plan(groups, duration_seconds=None, messages_per_client=6)
    with serving(talk()) as endpoint:
        lasting, churn, idle = run_load(plan, endpoint).groups
    assert (lasting.answered, churn.answered, churn.connections, idle.held) == (18, 12, 6, 1)
    with serving(talk()) as endpoint:
        paced = run_load(
            Plan((Group(2, rate_per_second=100),), duration_seconds=0.3, warmup_seconds=0), endpoint
        )
    assert paced.groups[0].answered_in_window == pytest.approx(30, abs=20)
