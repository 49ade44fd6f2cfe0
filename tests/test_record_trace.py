"""Both halves of a trace as records: what is kept, and how the server's file is read."""

import json
from dataclasses import replace
from pathlib import Path

from loadgen.record.files import dumps
from loadgen.record.result import Result
from loadgen.record.trace import KEPT, ClientTrace
from loadgen.record.trace_file import read_trace
from tests import runs

FIRST = '{"version":1,"model":"thread","python":"3.11.7","gil":true,"process":5,"began":10}\n'
STAY = (
    '{"client":"127.0.0.1:1","process":5,"accepted":11,"acceptor":"MainThread","begun":12,'
    '"ended":20,"threads":{"7":"Thread-1"},"messages":[[13,14,15,99,7,[[13,14]]]],"left_out":0}\n'
)
LAST = '{"ended":30,"clients":1}\n'


def test_what_a_server_wrote_is_read(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text(FIRST + STAY + LAST)
    trace = read_trace(file)
    assert trace is not None
    assert (trace.process, trace.began, trace.ended, trace.clients) == (5, 10, 30, 1)
    [stay] = trace.stays
    assert stay.begun == 12
    assert stay.messages == ((13, 14, 15, 99, 7, [(13, 14)]),)
    assert trace.only(["127.0.0.1:1"]) == trace
    assert trace.only(["127.0.0.1:2"]).stays == ()


def test_a_trace_of_a_server_that_was_killed_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text(FIRST + STAY + STAY[:40])
    trace = read_trace(file)
    assert trace is not None
    assert trace.ended is None
    assert len(trace.stays) == 1


def test_no_trace_is_none(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    assert read_trace(file) is None
    for text in "", "nonsense\n", "[]\n", FIRST.replace('"version":1', '"version":2'):
        file.write_text(text)
        assert read_trace(file) is None


def test_the_first_and_the_last_messages_are_kept() -> None:
    client = ClientTrace(0)
    for number in range(2 * KEPT + 3):
        client.note(number, number, None)
    assert client.left_out == 3
    assert [due for due, _, _ in client.exchanges] == [
        *range(KEPT),
        *range(KEPT + 3, 2 * KEPT + 3),
    ]


def test_with_a_connection_for_each_message_those_of_the_kept_ones_are_kept() -> None:
    client = ClientTrace(0)
    for number in range(2 * KEPT + 3):
        client.connected(f"a:{number}", number, number)
        client.note(number, number, number)
    assert client.addresses == [f"a:{due}" for due, _, _ in client.exchanges]
    assert [stood for _, stood in client.connecting] == [due for due, _, _ in client.exchanges]


def test_a_trace_survives_being_saved(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text(FIRST + STAY + LAST)
    run = replace(runs.run(), trace=read_trace(file))
    assert run.tally is not None
    run.tally.groups[0].traces = [ClientTrace(0, ["127.0.0.1:1"], [(1, 2)], [(3, 3, None)])]
    saved = runs.result(run)
    assert Result.from_json(json.loads(dumps(saved.to_json()))).runs[0] == run
