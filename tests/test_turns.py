"""Turns: windows on connections that stay, quiet while others have theirs; lives of servers."""

import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from loadgen.fleet.conductor import Fleet, ignore
from loadgen.fleet.events import Event, WindowOpened
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task, tasks_of
from loadgen.fleet.turns import MOST_CONNECTIONS, measure_in_turns, whole_trials_because
from loadgen.judge.audit import audit
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.codec import from_json, to_json
from loadgen.record.files import dumps
from loadgen.record.histogram import Histogram
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally, Tally
from tests.known_servers import Counter, answering_datagrams, read_message, serving, talk
from tests.servers import eventually

TURN = 0.2
# Longer than anything that a clock which did not stand still would let pass.
WAIT = 0.7


of_others: list[psutil.Process] = []


@pytest.fixture(autouse=True)
def note_of_others() -> None:
    """Know the servers that other tests share, and keep while these run."""
    of_others[:] = psutil.Process().children()


def started_here() -> list[psutil.Process]:
    """Return the children that are there since the test began."""
    return [child for child in psutil.Process().children() if child not in of_others]


def plan_of(*groups: Group, turns: int = 2, **others: Any) -> Plan:
    others.setdefault("warmup_seconds", 0.05)
    return Plan(groups, duration_seconds=turns * TURN, turns=turns, **others)


@contextmanager
def held(endpoint: Endpoint, plan: Plan, stop: threading.Event | None = None) -> Iterator[Fleet]:
    """A fleet whose clients are connected and warmed up and hold still."""
    with Fleet(plan, endpoint, ignore, stop or threading.Event()) as fleet:
        fleet.gather_ready()
        fleet.start()
        fleet.hold(fleet.warm_up())
        yield fleet


def wait_between_turns() -> None:
    threading.Event().wait(WAIT)


def measure(
    endpoint: Endpoint, plan: Plan, between: Callable[[], None] = wait_between_turns
) -> tuple[Tally, GroupTally]:
    """Give a server the turns of a plan, with a wait before each; its first group's tally too."""
    with held(endpoint, plan) as fleet:
        for number in range(1, (plan.turns or 0) + 1):
            between()
            fleet.take_turn(number, plan.turn_seconds)
        tally = fleet.finish()
    assert tally.unaccounted == 0
    group = tally.groups[0]
    for one in tally.groups:
        assert sum(one.answered_per_client) == sum(one.timeline) == one.answered_in_window
        assert one.service.count == one.answered_in_window
    assert sum(turn.answered for turn in tally.turns) == sum(
        one.answered_in_window for one in tally.groups
    )
    return tally, group


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_server_counted_is_what_the_turns_and_the_time_around_them_hold(
    workers: int,
) -> None:
    counter = Counter()
    with serving(talk(counter=counter)) as endpoint:
        tally, group = measure(endpoint, plan_of(Group(4), turns=3, workers=workers))
    assert counter.value == group.intended == group.answered > group.answered_in_window > 0
    assert [turn.round for turn in tally.turns] == [1, 2, 3]
    assert all(turn.answered > 0 and turn.connections == 0 for turn in tally.turns)
    assert Histogram.merged(turn.service for turn in tally.turns) == group.service
    assert tally.turns[0].response == tally.turns[0].service
    # Of a turn the longest of the workers' windows counts, of all turns the longest of their sums.
    longest = sum(turn.seconds for turn in tally.turns)
    assert 0 < tally.window_seconds <= longest * (1 + 1e-9)
    assert workers > 1 or tally.window_seconds == pytest.approx(longest)
    assert (group.connections, group.errors) == (4, {})
    assert tally.window_started == tally.turns[0].started
    first, last = tally.turns[0], tally.turns[-1]
    assert last.started - first.started > 2 * (TURN + WAIT)


def test_between_turns_no_message_is_sent_and_the_engine_sleeps() -> None:
    counter = Counter()
    plan = plan_of(Group(5), Group(2, "paced", rate_per_second=200), Group(1, "idle", silent=True))
    with serving(talk(counter=counter)) as endpoint, held(endpoint, plan) as fleet:
        for number in (1, 2):
            [worker] = started_here()
            before, sent = worker.cpu_times(), counter.value
            wait_between_turns()
            after = worker.cpu_times()
            assert counter.value == sent
            # The kernel counts in ticks of 10 ms; who did not sleep would have taken all of it.
            assert after.user + after.system - before.user - before.system <= WAIT / 10
            fleet.take_turn(number, TURN)
            assert counter.value > sent
        fleet.finish()


def test_a_paced_load_goes_on_where_it_stopped() -> None:
    with serving(talk()) as endpoint:
        _, group = measure(endpoint, plan_of(Group(2, rate_per_second=100), turns=3))
    assert group.intended == group.answered
    # What fell due in the waits, or was owed for their length, would make it 200 more. A worker
    # that is woken late to a turn answers less of it.
    assert 0 < group.answered_in_window <= 100 * 3 * TURN + 8
    median = group.response.percentile(50)
    assert median is not None
    assert median < WAIT / 2


def test_who_thinks_is_not_done_thinking_because_others_had_their_turn() -> None:
    with serving(talk()) as endpoint:
        _, group = measure(endpoint, plan_of(Group(1, think_seconds=TURN + 0.1), turns=4))
    # Four turns with their settling, of 0.3 s each, hold three or four thoughts of 0.3 s. With the
    # waits between there would be 13, and but the first if a thought began anew in each turn.
    assert 2 <= group.answered <= 8


def test_the_starved_wait_on_and_do_not_time_out_meanwhile() -> None:
    with serving(talk(), one_at_a_time=True) as endpoint:
        # Their turns and the warm-up, which they prolong, take half of that; the waits the rest.
        plan = plan_of(Group(4), turns=3, timeout_seconds=2.6)
        _, group = measure(endpoint, plan)
    assert (group.served, group.starved, group.waiting, group.errors) == (1, 3, 3, {})
    assert sorted(group.answered_per_client)[:3] == [0, 0, 0]


def test_churn_holds_between_connections() -> None:
    open_at_hold: list[int] = []
    standing: list[int] = []

    def counted(client: socket.socket) -> None:
        standing.append(1)
        try:
            talk()(client)
        finally:
            standing.pop()

    def look() -> None:
        eventually(lambda: not standing, "the server did not hear that a client left")
        wait_between_turns()
        open_at_hold.append(len(standing))

    with serving(counted) as endpoint:
        plan = plan_of(Group(3, messages_per_connection=1))
        tally, group = measure(endpoint, plan, look)
    assert open_at_hold == [0, 0]
    assert group.intended == group.answered == group.connections
    assert group.errors == {}
    # On a machine that stands still for a moment, one turn may have none.
    assert 0 < sum(turn.connections for turn in tally.turns) <= group.connections
    assert sum(turn.connections for turn in tally.turns) == group.connections_in_window


@pytest.mark.parametrize("kind", ["greet", "once"])
def test_short_talks_hold_between_conversations(kind: str) -> None:
    task = Task("thread", ModelServer("thread", ("--talk", kind)), plan_of(
        Group(3, messages_per_connection=1), talk=kind
    ))  # fmt: skip
    [run] = measure_in_turns([task], 1, Watcher(), threading.Event())
    assert run.tally is not None
    group = run.tally.groups[0]
    assert (group.wrong, group.failed, group.errors) == (0, 0, {})
    assert group.intended == group.answered > group.answered_in_window > 0


def test_datagrams_take_turns_too() -> None:
    counter = Counter()

    def answer(_number: int, reply: bytes) -> list[bytes]:
        counter.next()
        return [reply]

    with answering_datagrams(answer) as endpoint:
        tally, group = measure(endpoint, plan_of(Group(3), transport="udp"))
    assert counter.value == group.intended == group.answered
    assert all(turn.answered for turn in tally.turns)


def test_a_reply_that_comes_while_the_load_is_off_belongs_to_no_turn() -> None:
    release = threading.Event()
    counter = Counter()

    def slow(client: socket.socket) -> None:
        conversation = talk(lambda _, reply: reply if release.wait() else None, counter)
        conversation(client)

    with serving(slow) as endpoint:
        plan = plan_of(Group(2), turns=1, warmup_seconds=0.0)
        with held(endpoint, plan) as fleet:
            fleet.take_turn(1, TURN)
            release.set()
            tally = fleet.finish()
    group = tally.groups[0]
    assert group.answered_in_window == 0
    assert group.intended == 2 == group.answered + group.waiting


def test_a_server_that_leaves_while_it_waits_ends_its_clients() -> None:
    leave = threading.Event()

    def conversation(client: socket.socket) -> None:
        client.settimeout(0.05)
        while not leave.is_set():
            try:
                message = read_message(client)
            except TimeoutError:
                continue
            client.sendall((len(message) + 10).to_bytes(4, "big") + b"received: " + message)

    with serving(conversation) as endpoint, held(endpoint, plan_of(Group(3))) as fleet:
        fleet.take_turn(1, TURN)
        leave.set()
        wait_between_turns()
        fleet.take_turn(2, TURN)
        assert fleet.over
        tally = fleet.finish()
    assert tally.stopped_early is not None
    assert len(tally.turns) == 1
    assert tally.groups[0].errors == {"EOF": 3}
    assert tally.unaccounted == 0


@pytest.mark.parametrize("turns", [0, 1])
def test_a_stop_while_the_load_is_off_keeps_the_turns_that_were(turns: int) -> None:
    stop = threading.Event()
    with serving(talk()) as endpoint, held(endpoint, plan_of(Group(3)), stop) as fleet:
        for number in range(1, turns + 1):
            fleet.take_turn(number, TURN)
        stop.set()
        tally = fleet.finish()
    assert tally.cut_short
    assert len(tally.turns) == turns
    assert tally.unaccounted == 0


def test_turns_survive_json() -> None:
    with serving(talk()) as endpoint:
        tally, _ = measure(endpoint, plan_of(Group(2)), lambda: None)
    again = from_json(Tally, json.loads(dumps(to_json(tally))))
    assert again == tally
    again.turns[0].add(again.turns[1])  # its histograms are two lists, though they were alike
    assert again.turns[0].service.count == tally.turns[0].answered + tally.turns[1].answered


def test_a_number_of_messages_takes_no_turns() -> None:
    with pytest.raises(PlanError, match="one go"):
        Plan((Group(1),), duration_seconds=None, messages_per_client=1, turns=2).validate()


# Lives


class Watcher:
    """Remembers whose turn it was when, and interferes where it is told to."""

    def __init__(self, interfere: Callable[[str], None] = lambda _: None) -> None:
        self.turns: list[tuple[int, int, str]] = []
        self.ended: list[str] = []
        self._begun: list[str] = []
        self._interfere = interfere

    def begin(self, name: str, plan: Plan) -> None:  # noqa: ARG002
        self._interfere("connect" if name in self._begun else "start")
        self._begun.append(name)

    def turn(self, name: str, life: int, number: int) -> None:
        self.turns.append((life, number, name))
        self._interfere(f"turn {number}")

    def event(self, event: Event) -> None:
        if isinstance(event, WindowOpened):
            self._interfere("window")

    def end(self, name: str, run: Run) -> None:  # noqa: ARG002
        self.ended.append(name)


MODELS = ("selectors", "thread", "iterative")
SERVERS = {name: ModelServer(name) for name in MODELS}
TWO = {name: SERVERS[name] for name in MODELS[:2]}


def at_leisure(clients: int) -> Group:
    """A group for tests of who has which turn: it keeps no server busy."""
    return Group(clients, think_seconds=0.01)


def life(
    watcher: Watcher, plan: Plan, seed: int = 3, servers: Mapping[str, ModelServer] = SERVERS
) -> dict[str, Run]:
    """One life of those models."""
    tasks = tasks_of(servers, [plan], 1, seed)
    return {run.model: run for run in measure_in_turns(tasks, seed, watcher, threading.Event())}


def test_all_servers_have_a_turn_in_each_round_and_those_that_wait_cost_nothing() -> None:
    watcher = Watcher()
    runs = life(watcher, plan_of(Group(20), turns=3))
    for number in (1, 2, 3):
        assert {name for _, round_, name in watcher.turns if round_ == number} == set(MODELS)
    assert sorted(watcher.ended) == sorted(MODELS)
    for run in runs.values():
        assert run.tally is not None
        # A worker that is woken late, as on a busy machine, has a shorter turn.
        assert {check.name for check in audit(run).failures} <= {"window as long as asked"}
        assert [turn.round for turn in run.tally.turns] == [1, 2, 3]
        assert [turn.round for turn in run.server.turns] == [1, 2, 3]
        assert run.tally is not None
        for cost, turn in zip(run.server.turns, run.tally.turns, strict=True):
            assert cost.answered is not None
            assert cost.answered > turn.answered > 0  # the load was on before the window as well
        in_turns = sum(one.answered or 0 for one in run.server.turns)
        assert in_turns < sum(group.answered for group in run.tally.groups)
        waited = sum(turn.waited_seconds for turn in run.server.turns)
        used = sum(turn.waited_cpu_seconds or 0.0 for turn in run.server.turns)
        assert waited > 3 * TURN
        assert used <= max(0.01 * waited, 0.05)  # a few ticks of the kernel's clock
        assert run.server.cpu_seconds == sum(turn.cpu_seconds or 0.0 for turn in run.server.turns)
    starving = runs["iterative"].tally
    assert starving is not None
    assert (starving.groups[0].served, starving.groups[0].starved) == (1, 19)
    assert not started_here()


def test_the_order_is_random_and_follows_from_the_seed() -> None:
    def order(seed: int) -> list[tuple[int, int, str]]:
        watcher = Watcher()
        life(watcher, plan_of(at_leisure(1), turns=3), seed)
        return watcher.turns

    first = order(3)
    assert first == order(3)
    rounds = [[name for _, number, name in first if number == one] for one in range(1, 7)]
    assert len(set(map(tuple, rounds))) > 1


def test_a_server_that_does_not_start_leaves_the_turns_to_the_others() -> None:
    servers = {"good": ModelServer("selectors"), "bad": ModelServer("thread", ("--no-such",))}
    tasks = tasks_of(servers, [plan_of(at_leisure(2))], 1, 1)
    runs = {run.model: run for run in measure_in_turns(tasks, 1, Watcher(), threading.Event())}
    assert runs["thread"].problem is not None
    assert "--no-such" in runs["thread"].problem
    assert runs["selectors"].tally is not None
    assert len(runs["selectors"].tally.turns) == 2


def test_a_server_that_is_killed_in_its_life_leaves_the_turns_to_the_others() -> None:
    def kill_one(phase: str) -> None:
        if phase == "turn 2" and not killed_before:
            killed_before.append(phase)
            for child in started_here():
                if "thread" in child.cmdline():
                    child.kill()

    killed_before: list[str] = []
    runs = life(Watcher(kill_one), plan_of(at_leisure(3), turns=3))
    killed, others = runs["thread"], [runs["selectors"], runs["iterative"]]
    assert killed.tally is not None
    assert killed.tally.stopped_early is not None
    assert any("ended during the run" in note for note in killed.notes)
    assert killed.tally.unaccounted == 0
    for run in others:
        assert run.tally is not None
        assert len(run.tally.turns) == 3


@pytest.mark.parametrize("phase", ["start", "connect", "turn 1", "window", "turn 2"])
def test_an_interrupt_at_any_time_keeps_what_was_measured_and_leaves_nobody(phase: str) -> None:
    done: list[str] = []

    def interrupt(now: str) -> None:
        if now == phase and not done:
            done.append(now)
            signal.raise_signal(signal.SIGINT)

    watcher = Watcher(interrupt)
    runs = life(watcher, plan_of(at_leisure(3), turns=2), servers=TWO)
    assert done
    assert not started_here()
    assert len(runs) == {"start": 0, "connect": 1}.get(phase, len(TWO))
    tallies = [run.tally for run in runs.values() if run.tally is not None]
    assert all(tally.cut_short and tally.unaccounted == 0 for tally in tallies)
    if phase == "turn 2":
        assert sum(len(tally.turns) for tally in tallies) >= len(TWO)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_gives_up_and_leaves_nobody() -> None:
    def interrupt_twice(phase: str) -> None:
        if phase == "window":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        life(Watcher(interrupt_twice), plan_of(at_leisure(2)), servers=TWO)
    assert not started_here()


def test_what_keeps_whole_trials_says_why() -> None:
    def reason(plan: Plan, count: int = 2) -> str | None:
        return whole_trials_because(
            [Task(str(one), SERVERS["thread"], plan) for one in range(count)]
        )

    assert reason(plan_of(Group(2))) is None
    assert reason(plan_of(Group(2)), 1) is None
    messages = Plan((Group(1),), duration_seconds=None, messages_per_client=1)
    assert "one go" in str(reason(messages))
    assert "connecting" in str(reason(plan_of(Group(2), ramp_seconds=1.0)))
    assert "connecting" in str(reason(plan_of(Group(2), connect_rate=10.0)))
    assert reason(plan_of(Group(MOST_CONNECTIONS // 2))) is None
    assert "connections at once" in str(reason(plan_of(Group(MOST_CONNECTIONS // 2 + 1))))
