"""The trace without a server: what a talk notes, when work counts as run, what is bounded."""

import socket
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from concurrency_models.inbox import Scratch
from concurrency_models.talk import Talk, Terms, frame
from concurrency_models.trace import KEPT, MOST_TALKS, Stay, Stretches, TracedTalk, Tracing


def take(talk: TracedTalk, message: bytes) -> bytes:
    return bytes(talk.receive(frame("length", message)))


def test_a_reply_is_sent_when_the_driver_asks_whether_the_talk_is_over() -> None:
    stay = Stay("client", None)
    talk = TracedTalk(Terms(), None, stay)
    assert take(talk, b"hello") == frame("length", b"received: hello")
    before = time.monotonic_ns()
    assert not talk.over
    after = time.monotonic_ns()
    ((received, answered, sent, cpu, thread, stretches),), _ = talk.messages()
    assert received <= answered <= before <= sent <= after
    assert cpu is None or cpu > 0
    assert stay.threads[thread] == "MainThread"
    assert stretches == ()
    assert not talk.over
    assert len(talk.messages()[0]) == 1  # and asking again notes nothing


def test_a_part_of_a_message_is_no_message() -> None:
    talk = TracedTalk(Terms(), None, Stay("client", None))
    whole = frame("length", b"hello")
    assert not talk.receive(whole[:3])
    assert not talk.over
    assert talk.messages() == ([], 0)
    talk.receive(whole[3:])
    assert not talk.over
    assert len(talk.messages()[0]) == 1


def test_who_asks_whether_a_message_has_begun_sends_no_reply_by_that() -> None:
    talk = TracedTalk(Terms(), None, Stay("client", None))
    talk.receive(frame("length", b"hello"))
    assert not talk.mid_message  # asked before the reply is sent, by the thread that stops us
    asked = time.monotonic_ns()
    assert not talk.over
    [(_, _, sent, *_)], _ = talk.messages()
    assert sent >= asked - 1000  # as a double has it


def test_the_answer_is_the_one_that_is_given_without_a_trace() -> None:
    talk = TracedTalk(Terms(work=True), None, Stay("client", None))
    for message, said in (b"fib 20", b"6765"), (b"sleep 1", b"1"), (b"hello", b"hello"):
        assert take(talk, message) == frame("length", b"received: " + said)


def test_a_thread_that_waited_did_not_run() -> None:
    stretches = Stretches()
    spin(0.002, stretches)
    time.sleep(0.02)  # no wait for something: the pause that is to be seen
    spin(0.002, stretches)
    gaps = [
        later[0] - one[1] for one, later in zip(stretches.found, stretches.found[1:], strict=False)
    ]
    assert max(gaps) > 15e6
    assert sum(end - start for start, end in stretches.found) > 3e6


def spin(cpu_seconds: float, stretches: Stretches) -> None:
    end = time.thread_time() + cpu_seconds
    while time.thread_time() < end:
        stretches.sign()


@pytest.mark.parametrize("more", [0, 3, KEPT - 1, KEPT, 2 * KEPT + 7])
def test_messages_between_the_first_and_the_last_are_left_out(more: int) -> None:
    talk = TracedTalk(Terms(), None, Stay("client", None))
    moments = [time.monotonic_ns()]
    for _ in range(2 * KEPT + more):
        take(talk, b"hello")
        assert not talk.over
        moments.append(time.monotonic_ns())
    kept, left_out = talk.messages()
    assert left_out == more
    spans = list(pairwise(moments))
    for (before, after), message in zip([*spans[:KEPT], *spans[-KEPT:]], kept, strict=True):
        assert before <= message[0] <= message[1] <= message[2] <= after


def test_the_work_of_a_message_that_is_left_out_is_forgotten() -> None:
    talk = TracedTalk(Terms(work=True), None, Stay("client", None))
    for number in range(4 * KEPT + 9):
        take(talk, b"fib 1" if number % 2 else b"sleep 0")
        assert not talk.over
    kept, left_out = talk.messages()
    assert left_out == 2 * KEPT + 9
    assert all(message[5] for message in kept)
    for received, answered, _, _, _, stretches in kept:
        assert received <= stretches[0][0] <= stretches[-1][1] <= answered
    assert len(talk._details) <= 3 * KEPT


def test_of_too_many_conversations_only_the_coming_and_going_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    tracing = Tracing(str(file))
    tracing.begin("thread")
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(MOST_TALKS + 2)]
        talks = [tracing.new_talk(Terms(), client) for client in clients[:-1]]
        assert [type(talk) for talk in talks] == [*[TracedTalk] * MOST_TALKS, Talk]
        tracing.forget(clients[0])
        assert isinstance(tracing.new_talk(Terms(), clients[-1]), TracedTalk)  # there is room again
    tracing.finish(MOST_TALKS + 2)
    assert len(file.read_text().splitlines()) == MOST_TALKS + 4


def test_a_file_that_cannot_be_written_to_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    tracing = Tracing(str(tmp_path / "trace"))
    tracing.begin("thread")
    with socket.socket() as client:
        tracing.new_talk(Terms(), client)
        (tmp_path / "trace").unlink()
        tracing.forget(client)
    assert not (tmp_path / "trace").exists()


def test_messages_that_are_answered_one_by_one_are_noted_so() -> None:
    terms = Terms(work=True)
    talk = TracedTalk(terms, Scratch(len(terms.reply_prefix)), Stay("client", None))
    talk.receive(frame("length", b"fib 1") * 3)
    while talk.more:
        talk.go_on()
    assert not talk.over
    times = [at for message in talk.messages()[0] for at in message[:3]]
    assert len(times) == 9
    assert times == sorted(times)
