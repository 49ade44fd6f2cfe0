"""The engine against servers that are known to the byte: what it reports is what they did."""

import re
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadgen.fleet.conductor import run_load
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.tally import GroupTally, Tally
from tests.known_servers import (
    PREFIX,
    Conversation,
    Counter,
    framed,
    nobody_listening,
    read_exactly,
    read_message,
    reset,
    serving,
    talk,
)
from tests.warm_workers import WARM


def measure(endpoint: Endpoint, group: Group, **plan: Any) -> GroupTally:
    """Run one group and return what became of it, its messages accounted for."""
    return audited(run(endpoint, group, **plan)).groups[0]


def run(endpoint: Endpoint, *groups: Group, **plan: Any) -> Tally:
    if "messages_per_client" in plan:
        plan.setdefault("duration_seconds", None)
    plan.setdefault("warmup_seconds", 0.0)
    plan.setdefault("timeout_seconds", 20.0)
    plan.setdefault("family", endpoint.family)
    return run_load(Plan(groups, **plan), endpoint, place=WARM)


def audited(tally: Tally) -> Tally:
    assert tally.unaccounted == 0
    for group in tally.groups:
        assert sum(group.answered_per_client) == group.answered_in_window <= group.answered
        assert sum(group.timeline) == group.answered_in_window
        assert group.service.count == group.answered_in_window
        # In an open loop, what is owed at the close has its age there.
        owed = group.response.count - group.answered_in_window
        assert 0 <= owed <= group.intended - group.answered_in_window
        assert group.bytes_received >= group.expected_bytes_received
        if group.intended == group.answered:
            assert group.bytes_received == group.expected_bytes_received
    return tally


def test_every_message_of_every_client_is_answered() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, Group(10), messages_per_client=20)
    assert (group.connected, group.served, group.starved) == (10, 10, 0)
    assert group.intended == group.answered == group.answered_in_window == 200
    assert group.answered_per_client == [20] * 10
    assert group.connect.count == group.first_reply.count == 10
    assert group.bytes_sent == 200 * (4 + 64)
    if sys.platform.startswith("linux"):
        assert (group.sent_agreed, group.sent_disagreed) == (10, 0)
    assert group.bytes_received == 200 * (4 + len(PREFIX) + 64)
    assert group.payload_bytes_in_window == 200 * (64 + len(PREFIX) + 64)
    assert group.errors == {}
    for lane in group.lanes:
        times = (lane.connect_started, lane.connected, lane.first_reply, lane.ended)
        moments = [moment for moment in times if moment is not None]
        assert len(moments) == 4
        assert moments == sorted(moments)
        assert lane.messages == 20


@pytest.mark.parametrize("size", [0, 1, 2, 63, 5_000, 700_000])
@pytest.mark.parametrize("framing", ["length", "line"])
def test_sizes(size: int, framing: str) -> None:
    """Small ones, and some that do not fit into a socket's buffer, so that sends are partial."""

    def lines(client: socket.socket) -> None:
        with client.makefile("rb") as received:
            for line in received:
                client.sendall(PREFIX + line)

    with serving(talk() if framing == "length" else lines) as endpoint:
        group = measure(endpoint, Group(3, size_bytes=size), messages_per_client=3, framing=framing)
    assert (group.answered, group.wrong, group.errors) == (9, 0, {})


@pytest.mark.parametrize("family", ["inet", "inet6", "unix"])
def test_families(family: str, tmp_path: Path) -> None:
    with serving(talk(), family, tmp_path / "socket") as endpoint:
        group = measure(endpoint, Group(5), messages_per_client=3)
    assert group.answered == 15


def test_unix_clients_wait_for_room_in_the_queue(tmp_path: Path) -> None:
    """A full queue of a unix socket says EAGAIN at once, where TCP would wait by itself."""
    with serving(talk(), "unix", tmp_path / "socket", backlog=1, one_at_a_time=True) as endpoint:
        group = measure(endpoint, Group(20), messages_per_client=2)
    assert (group.served, group.answered, group.errors) == (20, 40, {})


def test_wrong_replies_are_counted_exactly() -> None:
    def spoil(number: int, reply: bytes) -> bytes:
        return reply[:-1] + b"?" if number % 1000 == 0 else reply

    with serving(talk(spoil)) as endpoint:
        group = measure(endpoint, Group(10), messages_per_client=500)
    assert (group.wrong, group.answered) == (5, 4995)
    assert (group.failed, group.errors) == (0, {})


def test_wrong_replies_are_counted_exactly_in_the_hot_loop() -> None:
    """Without a number of messages, the steady loop sends them, and not the slower path."""
    wrong = Counter()

    def spoil(number: int, reply: bytes) -> bytes:
        if number % 100:
            return reply
        wrong.next()
        return reply[:-1] + b"?"

    with serving(talk(spoil)) as endpoint:
        group = measure(endpoint, Group(4), duration_seconds=0.3)
    assert group.wrong == wrong.value > 0
    assert group.intended == group.answered + group.wrong


def test_a_wrong_reply_of_another_length_is_one_wrong_reply() -> None:
    def shorten(number: int, reply: bytes) -> bytes:
        return framed(b"sorry") if number % 10 == 0 else reply

    with serving(talk(shorten)) as endpoint:
        group = measure(endpoint, Group(2), messages_per_client=50)
    assert (group.wrong, group.answered, group.errors) == (10, 90, {})


def test_the_reply_to_the_message_before_is_wrong() -> None:
    def stale(client: socket.socket) -> None:
        previous = b""
        while True:
            message = read_message(client)
            client.sendall(framed(PREFIX + (previous or message)))
            previous = message

    with serving(stale) as endpoint:
        group = measure(endpoint, Group(3), messages_per_client=10)
    assert (group.answered, group.wrong) == (3, 27)


@pytest.mark.parametrize("excess", [b"!", framed(b"unasked")])
def test_more_bytes_than_the_reply_are_wrong_and_end_the_connection(excess: bytes) -> None:
    with serving(talk(lambda _, reply: reply + excess)) as endpoint:
        group = measure(endpoint, Group(3), messages_per_client=10)
    assert (group.answered, group.wrong, group.other_failed) == (0, 3, 3)
    assert group.errors == {"EPROTO": 3}


def test_a_server_that_speaks_something_else_is_wrong_at_once() -> None:
    """Under length framing, the first bytes of HTTP are a length of a gigabyte."""

    def http(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.recv(1000)

    with serving(http) as endpoint:
        group = measure(endpoint, Group(3), duration_seconds=5.0)
    assert (group.wrong, group.errors) == (3, {"EPROTO": 3})


def test_a_wrong_beginning_without_an_end_is_wrong_not_late() -> None:
    def other_language(client: socket.socket) -> None:
        read_exactly(client, 4)
        client.sendall(b"-ER")
        client.recv(1)

    with serving(other_language) as endpoint:
        group = measure(
            endpoint,
            Group(2, request=b"PING", reply=b"+PONG\r\n"),
            messages_per_client=1,
            timeout_seconds=1.0,
        )
    assert (group.wrong, group.failed, group.timed_out) == (2, 0, 0)
    assert group.errors == {"EPROTO": 2}


def test_a_server_of_someone_else() -> None:
    def pong(client: socket.socket) -> None:
        while read_exactly(client, 6):
            client.sendall(b"+PO")
            client.sendall(b"NG\r\n")

    with serving(pong) as endpoint:
        group = measure(
            endpoint, Group(3, request=b"PING\r\n", reply=b"+PONG\r\n"), messages_per_client=5
        )
    assert (group.answered, group.bytes_received) == (15, 15 * 7)


def test_dropped_connections_are_counted_exactly() -> None:
    def drop(number: int, reply: bytes) -> bytes | None:
        return None if number % 50 == 0 else reply

    with serving(talk(drop)) as endpoint:
        group = measure(endpoint, Group(10), messages_per_client=40)
    assert group.failed == group.reset == group.errors["EOF"]
    assert group.failed == group.intended // 50
    assert group.answered == group.intended - group.failed


def test_a_reset_fails_the_message_in_flight() -> None:
    def rude(client: socket.socket) -> None:
        read_message(client)
        reset(client)

    with serving(rude) as endpoint:
        group = measure(endpoint, Group(4), messages_per_client=3)
    assert (group.connected, group.starved, group.failed, group.reset) == (4, 4, 4, 4)
    assert group.errors == {"ECONNRESET": 4}


def test_refused() -> None:
    with nobody_listening() as endpoint:
        tally = audited(run(endpoint, Group(5), duration_seconds=20.0))
    group = tally.groups[0]
    assert (group.connected, group.refused, group.intended) == (0, 5, 0)
    assert group.errors == {"ECONNREFUSED": 5}
    assert tally.window_started is None
    assert tally.stopped_early is not None


def test_a_unix_socket_that_is_not_there_refuses(tmp_path: Path) -> None:
    group = measure(Endpoint("unix", path=str(tmp_path / "none")), Group(2), messages_per_client=1)
    assert (group.refused, group.errors) == (2, {"ENOENT": 2})


def test_messages_without_a_reply_time_out() -> None:
    def deaf(client: socket.socket) -> None:
        while client.recv(1000):
            pass

    with serving(deaf) as endpoint:
        group = measure(endpoint, Group(3), messages_per_client=2, timeout_seconds=0.1)
    assert (group.connected, group.starved, group.timed_out, group.failed) == (3, 3, 3, 3)
    assert group.errors == {"ETIMEDOUT": 3}


def test_clients_behind_a_busy_server_starve() -> None:
    with serving(talk(), one_at_a_time=True) as endpoint:
        group = measure(endpoint, Group(5), duration_seconds=0.3)
    assert (group.connected, group.served, group.starved, group.waiting) == (5, 1, 4, 4)
    assert sorted(group.answered_per_client)[:4] == [0] * 4
    assert group.first_reply.count == 1


def test_an_injected_delay_shows() -> None:
    pause = threading.Event()

    def slow(number: int, reply: bytes) -> bytes:
        pause.wait(0.01)
        return reply

    with serving(talk(slow)) as endpoint:
        group = measure(endpoint, Group(2), messages_per_client=20)
    median = group.service.percentile(50)
    assert median is not None
    assert 0.01 * (1 - 1 / 256) <= median < 0.1


STALL_SECONDS = 0.6


def stalling(after: int) -> Any:
    """A server that stands still once, for STALL_SECONDS, before its n-th reply."""
    pause = threading.Event()

    def stall(number: int, reply: bytes) -> bytes:
        if number == after:
            pause.wait(STALL_SECONDS)
        return reply

    return talk(stall)


def test_a_stall_hides_in_a_closed_loop() -> None:
    with serving(stalling(200)) as endpoint:
        group = measure(endpoint, Group(1), messages_per_client=400)
    at_p99 = group.response.percentile(99)
    assert at_p99 is not None
    assert at_p99 < STALL_SECONDS / 4
    assert group.response.max is not None
    assert group.response.max >= STALL_SECONDS * (1 - 1 / 256)


def test_a_stall_shows_in_an_open_loop_as_arithmetic_says() -> None:
    """Of a window of 2 s, a stall of 0.6 s delays the messages of 0.6 s, by 0.3 s in the mean.

    So the share (0.6 - r) / 2 of all waits longer than r, and p80 is 0.2 s, where the server's own
    time shows nothing.
    """
    with serving(stalling(40)) as endpoint:
        group = measure(endpoint, Group(1, rate_per_second=200), duration_seconds=2.0)
    response, service = group.response.percentile(80), group.service.percentile(80)
    assert response is not None
    assert service is not None
    assert 0.15 < response < 0.5
    assert service < 0.1
    assert group.answered_in_window == pytest.approx(400, abs=100)


def test_what_a_server_that_hangs_owes_counts_as_at_least_as_late_as_it_is() -> None:
    """Of 200 messages in 1 s, 50 are answered at once, and the other 150 never.

    Their ages at the end run from 0 to 0.75 s, so that half of all were due 0.25 s before or more.
    """
    numbers = Counter()

    def hang(client: socket.socket) -> None:
        while message := read_message(client):
            if numbers.next() <= 50:
                client.sendall(framed(PREFIX + message))

    with serving(hang) as endpoint:
        group = measure(endpoint, Group(2, rate_per_second=200), duration_seconds=1.0)
    p50 = group.response.percentile(50)
    assert p50 is not None
    assert 0.1 < p50 < 0.4
    assert group.intended == pytest.approx(200, abs=60)
    assert group.response.count == group.answered_in_window + group.waiting
    assert (group.answered, group.waiting) == (50, group.intended - 50)


def slow(seconds: float) -> Conversation:
    """Take so long for each message, as a server does that is busy with it."""

    def conversation(client: socket.socket) -> None:
        while message := read_message(client):
            threading.Event().wait(seconds)
            client.sendall(framed(PREFIX + message))

    return conversation


def test_a_reply_is_waited_for_as_long_as_one_took_before() -> None:
    with serving(slow(0.7)) as endpoint:
        group = measure(endpoint, Group(1), duration_seconds=1.0)
    assert (group.answered, group.waiting) == (2, 0)


def test_a_rate_and_a_number_of_messages_intend_no_more_than_the_number() -> None:
    with serving(slow(0.02)) as endpoint:
        group = measure(endpoint, Group(2, rate_per_second=2000), messages_per_client=5)
    assert group.intended == group.answered == 10


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_open_loop_keeps_its_rate(arrivals: str) -> None:
    with serving(talk()) as endpoint:
        group = measure(
            endpoint, Group(10, rate_per_second=400, arrivals=arrivals), duration_seconds=1.0
        )
    # Five standard deviations of a Poisson count; constant arrivals are well within.
    assert group.answered_in_window == pytest.approx(400, abs=100)
    assert group.lateness is not None
    assert group.lateness.count > 0


def test_what_falls_due_and_is_never_sent_is_waiting() -> None:
    def deaf(client: socket.socket) -> None:
        while client.recv(1000):
            pass

    with serving(deaf) as endpoint:
        group = measure(endpoint, Group(2, rate_per_second=100), duration_seconds=0.5)
    assert group.answered == 0
    assert group.waiting == group.intended == pytest.approx(50, abs=25)
    assert group.bytes_sent == 2 * (4 + 64)


def test_what_was_due_fails_with_its_client() -> None:
    def leave(client: socket.socket) -> None:
        read_message(client)
        threading.Event().wait(0.2)

    with serving(leave) as endpoint:
        group = measure(endpoint, Group(1, rate_per_second=100), duration_seconds=1.0)
    assert group.failed == group.intended == group.errors["EOF"] > 10


def test_think_time_paces_a_closed_loop() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, Group(2, think_seconds=0.05), duration_seconds=0.5)
    # Never more than one message per think time and client; the first has none before it.
    assert 2 <= group.answered <= 2 * 11
    with serving(talk()) as endpoint:
        random = measure(
            endpoint,
            Group(2, think_seconds=0.01, think_distribution="exponential"),
            messages_per_client=5,
        )
    assert random.answered == 10
    assert random.lateness is not None
    assert random.lateness.count == 8  # none before the first message


def test_churn_opens_a_connection_for_every_few_messages() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, Group(4, messages_per_connection=3), messages_per_client=9)
    assert (group.answered, group.connections, group.connect.count) == (36, 12, 12)
    assert group.first_reply.count == 12  # each connection waits at the door
    assert (group.connected, group.served, group.errors) == (4, 4, {})


def test_churn_tries_again_after_a_failure() -> None:
    with serving(talk(lambda number, reply: None if number == 5 else reply)) as endpoint:
        group = measure(endpoint, Group(1, messages_per_connection=2), messages_per_client=10)
    assert (group.intended, group.answered, group.failed) == (10, 9, 1)
    assert group.errors == {"EOF": 1}
    assert group.reset == 0


def test_churn_against_nobody_says_how_its_clients_ended() -> None:
    with nobody_listening() as endpoint:
        group = measure(endpoint, Group(3, messages_per_connection=1), duration_seconds=0.2)
    assert (group.connected, group.refused) == (0, 3)
    assert group.errors["ECONNREFUSED"] > 3


def test_silent_clients_are_held() -> None:
    with serving(talk()) as endpoint:
        tally = audited(
            run(endpoint, Group(5, "idle", silent=True), Group(1, "busy"), duration_seconds=0.2)
        )
    idle, busy = tally.groups
    assert (idle.connected, idle.held, idle.starved, idle.intended) == (5, 5, 0, 0)
    assert busy.answered > 0


def test_silent_clients_that_are_sent_away_are_not_held() -> None:
    def close_at_once(client: socket.socket) -> None:
        pass

    with serving(close_at_once) as endpoint:
        group = measure(endpoint, Group(3, silent=True), duration_seconds=10.0)
    assert (group.connected, group.held, group.reset) == (3, 0, 3)
    assert group.errors == {"EOF": 3}


def test_groups_keep_their_own_counts() -> None:
    with serving(talk()) as endpoint:
        tally = audited(
            run(
                endpoint,
                Group(3, "small", size_bytes=10),
                Group(2, "large", size_bytes=10_000),
                messages_per_client=4,
            )
        )
    small, large = tally.groups
    assert (small.answered, large.answered) == (12, 8)
    assert large.bytes_sent == 8 * (10_000 + 4)


def test_a_ramp_spreads_the_connects() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, Group(5), messages_per_client=1, ramp_seconds=0.5)
    starts = [lane.connect_started for lane in group.lanes]
    for number, started in enumerate(starts):
        assert started is not None
        assert started >= number * 0.1


def test_work_expects_the_answer() -> None:
    def answer(client: socket.socket) -> None:
        while True:
            assert read_message(client) == b"fib 10"
            client.sendall(framed(PREFIX + b"55"))

    with serving(answer) as endpoint:
        group = measure(endpoint, Group(2, work="fib:10"), messages_per_client=3)
    assert (group.answered, group.wrong) == (6, 0)


def test_the_warm_up_is_left_out_of_the_window() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, Group(2), duration_seconds=0.2, warmup_seconds=0.2)
    assert 0 < group.answered_in_window < group.answered


def test_seeds_make_the_payloads() -> None:
    seen: list[bytes] = []

    def keep(client: socket.socket) -> None:
        while True:
            seen.append(read_message(client))
            client.sendall(framed(PREFIX + seen[-1]))

    plan = Plan((Group(1),), duration_seconds=None, messages_per_client=2)
    with serving(keep) as endpoint:
        for seed in (1, 1, 2):
            run_load(replace(plan, seed=seed), endpoint, place=WARM)
    assert seen[0:2] == seen[2:4] != seen[4:6]
    assert seen[0] != seen[1]


def test_replies_that_come_together_wait_for_each_other() -> None:
    """A barrier in the server makes 20 replies come at once, of which all but one have to wait."""
    barrier = threading.Barrier(20)

    def together(client: socket.socket) -> None:
        while message := read_message(client):
            with suppress(threading.BrokenBarrierError):
                barrier.wait(1)
            client.sendall(framed(PREFIX + message))

    with serving(together) as endpoint:
        crowd = run(endpoint, Group(20), duration_seconds=0.3)
        barrier.abort()
        alone = run(endpoint, Group(1), duration_seconds=0.3)
    assert crowd.engine_wait_seconds is not None
    assert alone.engine_wait_seconds is not None
    assert crowd.engine_wait_seconds > 10 * alone.engine_wait_seconds


def test_traced_clients_note_each_message_and_their_addresses() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, Group(3), messages_per_client=20, trace_clients=2)
    assert [one.client for one in group.traces] == [0, 1]
    for one in group.traces:
        assert len(one.exchanges) == 20
        assert one.left_out == 0
        [address] = one.addresses
        assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
        moments = [*one.connecting[0], *(at for exchange in one.exchanges for at in exchange)]
        assert None not in moments
        assert moments == sorted(moments, key=lambda at: at or 0)


def test_a_message_without_a_reply_is_noted_without_one() -> None:
    with serving(talk(lambda number, reply: reply if number < 3 else None)) as endpoint:
        group = run(endpoint, Group(1), messages_per_client=5, trace_clients=1).groups[0]
    *answered, lost = group.traces[0].exchanges
    assert [reply is not None for _, _, reply in answered] == [True, True]
    assert lost[2] is None


def test_a_silent_client_that_is_not_let_in_goes_away_and_tries_again() -> None:
    """Left to the kernel, some would seem connected, by a SYN cookie, to a server that is not."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=4) as listener:
        listener.settimeout(20)
        where = Endpoint("inet", *listener.getsockname()[:2])
        plan = Plan((Group(300, silent=True),), duration_seconds=0.1, warmup_seconds=0.0)
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(run_load, plan, where)
            while len(accepted) < 300:
                accepted.append(listener.accept()[0])
            group = found.result().groups[0]
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    for one in accepted:
        one.close()
    assert (group.connected, group.held, group.errors) == (300, 300, {})
    assert group.connect.count == 300
    assert group.answered_per_client == []


def test_silent_clients_that_nobody_lets_in_give_up_together() -> None:
    """Each tries once; not one after the other for as long as the timeout is."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        where = Endpoint("inet", *listener.getsockname()[:2])
        group = Group(50, silent=True)
        began = time.monotonic()
        found = measure(where, group, duration_seconds=0.1, timeout_seconds=0.3)
    assert time.monotonic() - began < 10
    assert found.held + found.timed_out == 50
    assert found.errors == {"ETIMEDOUT": found.timed_out}
    assert 0 < found.held < 10
