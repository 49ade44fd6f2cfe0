"""Workers start together, add up, stop early, and never leave a run hanging or a process behind."""

import signal
import socket
import threading
from dataclasses import replace
from itertools import pairwise

import psutil
import pytest

from loadgen.fleet import conductor, worker
from loadgen.fleet.conductor import run_load
from loadgen.fleet.events import Event, Snapshot, WindowClosed, WindowOpened
from loadgen.fleet.place import LoadError
from loadgen.judge.audit import audit
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.result import Run
from tests.known_servers import Counter, serving, talk

LOOPBACK = Endpoint("inet", "127.0.0.1", 8008)
WAIT_SECONDS = 20


def at_leisure(clients: int) -> Group:
    """A group that keeps nobody busy."""
    return Group(clients, think_seconds=0.04)


def workers_of_this_process() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if any("loadgen.fleet.worker" in argument for argument in child.cmdline())
    ]


def test_workers_share_the_clients_and_add_up() -> None:
    plan = Plan(
        (Group(7, "a"), Group(5, "b", messages_per_connection=2), Group(3, "idle", silent=True)),
        workers=3,
        duration_seconds=None,
        messages_per_client=4,
    )
    with serving(talk()) as endpoint:
        tally = run_load(plan, endpoint)
    a, b, idle = tally.groups
    assert (a.clients, a.answered, a.answered_per_client) == (7, 28, [4] * 7)
    assert (b.answered, b.connections) == (20, 10)
    assert idle.held == 3
    assert [lane.client for lane in a.lanes] == list(range(7))
    assert tally.unaccounted == 0
    assert not workers_of_this_process()


def test_groups_that_do_not_divide_leave_no_worker_without_a_client() -> None:
    groups = Group(1, "a"), Group(1, "b")
    plan = Plan(groups, workers=2, duration_seconds=0.2, warmup_seconds=0)
    with serving(talk()) as endpoint:
        tally = run_load(plan, endpoint)
    assert [group.served for group in tally.groups] == [1, 1]


def test_one_window_for_all_workers_and_events_that_tell_of_it() -> None:
    events: list[Event] = []
    plan = Plan((at_leisure(4),), workers=2, duration_seconds=0.6, warmup_seconds=0.1)
    with serving(talk()) as endpoint:
        tally = run_load(plan, endpoint, on_event=events.append)
    opened = [event for event in events if isinstance(event, WindowOpened)]
    closed = [event for event in events if isinstance(event, WindowClosed)]
    snapshots = [event for event in events if isinstance(event, Snapshot)]
    assert len(opened) == len(closed) == 1
    assert snapshots
    assert snapshots[-1].connected == snapshots[-1].served == 4
    assert 0 < snapshots[-1].answered <= tally.groups[0].answered
    assert tally.window_started is not None
    assert tally.window_started >= opened[0].monotonic
    assert tally.window_started >= tally.started + tally.connecting_seconds + 0.1
    # A worker that wakes late to the opening measures, and says, so much less.
    assert 0.3 < tally.window_seconds < 0.9
    assert tally.engine_cpu_seconds is not None
    # Two small processes, whatever the size of this one that started them.
    assert 0 < tally.engine_memory_bytes < 2 * 50 * 1024 * 1024
    assert tally.busiest_worker_cpu is not None
    assert not tally.cut_short


def test_the_warm_up_goes_on_until_all_have_had_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "STARVED_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(conductor, "LONGER_WARMUP_SECONDS", WAIT_SECONDS)
    numbers, release = Counter(), threading.Event()
    released_at_opening: list[bool] = []

    def late(client: socket.socket) -> None:
        if numbers.next() == 1:
            release.wait(WAIT_SECONDS)
        talk()(client)

    def watch(event: Event) -> None:
        if isinstance(event, Snapshot):  # the first comes long after the warm-up as planned
            release.set()
        elif isinstance(event, WindowOpened):
            released_at_opening.append(release.is_set())

    plan = Plan((at_leisure(4),), workers=2, duration_seconds=0.3, warmup_seconds=0.05)
    with serving(late) as endpoint:
        tally = run_load(plan, endpoint, on_event=watch)
    assert released_at_opening == [True]
    assert min(tally.groups[0].answered_per_client) > 0


@pytest.mark.parametrize("ending", ["STARVED_SECONDS", "LONGER_WARMUP_SECONDS"])
def test_starved_clients_do_not_prolong_the_warm_up_for_ever(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conductor, "STARVED_SECONDS", 1000)
    monkeypatch.setattr(conductor, "LONGER_WARMUP_SECONDS", 1000)
    monkeypatch.setattr(conductor, ending, 0.1)
    plan = Plan((at_leisure(3),), duration_seconds=0.2, warmup_seconds=0.05)
    with serving(talk(), one_at_a_time=True) as endpoint:
        tally = run_load(plan, endpoint)
    assert (tally.groups[0].served, tally.groups[0].starved) == (1, 2)
    assert tally.window_seconds > 0


def test_who_the_model_is_known_to_starve_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conductor, "STARVED_SECONDS", 1000)
    monkeypatch.setattr(conductor, "LONGER_WARMUP_SECONDS", 1000)
    plan = Plan((at_leisure(3),), duration_seconds=0.2, warmup_seconds=0.05)
    with serving(talk(), one_at_a_time=True) as endpoint:
        tally = run_load(plan, endpoint, at_once=1)
    assert (tally.groups[0].served, tally.groups[0].starved) == (1, 2)


def test_idle_clients_and_open_loops_do_not_prolong_the_warm_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conductor, "STARVED_SECONDS", 1000)
    monkeypatch.setattr(conductor, "LONGER_WARMUP_SECONDS", 1000)
    groups = Group(2, "idle", silent=True), Group(2, "by the clock", rate_per_second=100)

    def say_nothing(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    with serving(say_nothing) as endpoint:
        tally = run_load(Plan(groups, duration_seconds=0.2, warmup_seconds=0.05), endpoint)
    assert tally.window_seconds > 0
    assert tally.groups[1].served == 0


def test_a_stop_ends_a_prolonged_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductor, "STARVED_SECONDS", 1000)
    monkeypatch.setattr(conductor, "LONGER_WARMUP_SECONDS", 1000)
    stop = threading.Event()

    def stop_soon(event: Event) -> None:
        if isinstance(event, Snapshot):
            stop.set()

    with serving(talk(), one_at_a_time=True) as endpoint:
        tally = run_load(
            Plan((at_leisure(3),), duration_seconds=0.2, warmup_seconds=0.05),
            endpoint,
            on_event=stop_soon,
            stop=stop,
        )
    assert tally.cut_short
    assert tally.window_started is None


def test_an_open_loops_rate_is_shared() -> None:
    plan = Plan((Group(4, rate_per_second=200),), workers=2, duration_seconds=1.0, warmup_seconds=0)
    with serving(talk()) as endpoint:
        tally = run_load(plan, endpoint)
    assert tally.groups[0].answered_in_window == pytest.approx(200, abs=80)


def test_a_stop_keeps_what_was_measured() -> None:
    stop = threading.Event()

    def stop_in_the_window(event: Event) -> None:
        if isinstance(event, Snapshot) and event.answered:
            stop.set()

    with serving(talk()) as endpoint:
        tally = run_load(
            Plan((at_leisure(2),), duration_seconds=60.0, warmup_seconds=0.0),
            endpoint,
            on_event=stop_in_the_window,
            stop=stop,
        )
    assert tally.cut_short
    assert tally.groups[0].answered_in_window > 0
    assert 0 < tally.window_seconds < 60
    assert tally.unaccounted == 0


def test_the_first_interrupt_stops_and_the_handler_is_put_back() -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, WindowOpened):
            signal.raise_signal(signal.SIGINT)

    with serving(talk()) as endpoint:
        tally = run_load(
            Plan((at_leisure(2),), duration_seconds=60.0), endpoint, on_event=interrupt
        )
    assert tally.cut_short
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_second_interrupt_gives_up_and_leaves_no_process() -> None:
    def interrupt_twice(event: Event) -> None:
        if isinstance(event, WindowOpened):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with serving(talk()) as endpoint, pytest.raises(KeyboardInterrupt):
        run_load(Plan((at_leisure(2),), duration_seconds=60.0), endpoint, on_event=interrupt_twice)
    assert not workers_of_this_process()


def test_a_stop_before_the_start_measures_nothing() -> None:
    stop = threading.Event()
    stop.set()
    with serving(talk()) as endpoint:
        tally = run_load(Plan((at_leisure(2),), duration_seconds=60.0), endpoint, stop=stop)
    assert tally.cut_short
    assert tally.window_started is None


def test_a_killed_worker_is_named_and_the_others_are_kept() -> None:
    def kill_one(event: Event) -> None:
        if isinstance(event, WindowOpened):
            workers_of_this_process()[0].kill()

    with serving(talk()) as endpoint:
        tally = run_load(
            Plan((at_leisure(4),), workers=2, duration_seconds=0.3), endpoint, on_event=kill_one
        )
    assert tally.stopped_early is not None
    assert "was ended by SIGKILL" in tally.stopped_early
    assert tally.groups[0].clients == 2
    assert tally.unaccounted == 0


def test_a_run_that_lost_a_worker_is_not_valid() -> None:
    plan = Plan((at_leisure(4),), workers=2, duration_seconds=0.3)

    def kill_one(event: Event) -> None:
        if isinstance(event, WindowOpened):
            workers_of_this_process()[0].kill()

    with serving(talk()) as endpoint:
        tally = run_load(plan, endpoint, on_event=kill_one)
    failures = audit(Run("thread", plan, tally=tally)).failures
    assert [check.name for check in failures] == ["clients add up"]
    assert "4 clients asked for, 2 counted" in failures[0].detail


@pytest.mark.parametrize("moment", [Snapshot, WindowOpened])
def test_a_worker_that_is_stopped_is_given_up_on(
    moment: type[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SILENT_SECONDS", 3.0)  # the other is only slow, if at all
    plan = Plan((at_leisure(4),), workers=2, duration_seconds=0.6)
    stopped: list[psutil.Process] = []

    def stop_one(event: Event) -> None:
        if isinstance(event, moment) and not stopped:
            stopped.append(workers_of_this_process()[0])
            stopped[0].suspend()

    with serving(talk()) as endpoint:
        tally = run_load(plan, endpoint, on_event=stop_one)
    assert "said nothing for 3 s" in (tally.stopped_early or "")
    assert tally.groups[0].clients == 2
    assert not stopped[0].is_running()


def test_without_any_worker_left_there_is_a_clear_error() -> None:
    def kill_all(event: Event) -> None:
        if isinstance(event, WindowOpened):
            for worker in workers_of_this_process():
                worker.kill()

    with serving(talk()) as endpoint, pytest.raises(LoadError, match="SIGKILL"):
        run_load(Plan((at_leisure(2),), duration_seconds=60.0), endpoint, on_event=kill_all)


def test_a_name_is_resolved_before_the_load() -> None:
    plan = Plan((Group(1),), duration_seconds=None, messages_per_client=1)
    with serving(talk()) as endpoint:
        assert run_load(plan, replace(endpoint, host="localhost")).groups[0].answered == 1


def test_a_plan_that_makes_no_sense_starts_nothing() -> None:
    with pytest.raises(PlanError):
        run_load(Plan(()), LOOPBACK)


def test_the_snapshots_come_at_most_four_times_a_second() -> None:
    moments: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Snapshot):
            moments.append(event.seconds)

    with serving(talk()) as endpoint:
        run_load(Plan((at_leisure(2),), duration_seconds=1.0), endpoint, on_event=note)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(moments) >= 2
    assert min(gaps) > 0.2499


def test_churn_runs_from_several_addresses() -> None:
    plan = Plan(
        (Group(3, messages_per_connection=1),), duration_seconds=None, messages_per_client=5
    )
    with serving(talk()) as endpoint:
        group = run_load(plan, endpoint).groups[0]
    assert (group.answered, group.connections, group.errors) == (15, 15, {})
