"""What is made of the machines of a cluster: audited, judged, and told in a table."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen.judge.analysis import analyse
from loadgen.judge.audit import Check, audit
from loadgen.judge.figures import figures
from loadgen.judge.machines import machines
from loadgen.judge.verdict import MACHINE, NETWORK, verdict
from loadgen.record.codec import from_json
from loadgen.record.files import dumps
from loadgen.record.machine import MachineTally
from loadgen.record.result import Result, Run
from loadgen.show.machine_table import machine_table
from loadgen.show.report import write_report
from tests.runs import cost, group_tally, result, rows, run, tally

SERVER = MachineTally("server", serves=True, beside_server=True, cores=2.0,
                      round_trip_seconds=0.0002, offset_seconds=-3.5,
                      uncertainty_seconds=0.0001)  # fmt: skip
LOAD = MachineTally("a", workers=2, messages=1500, payload_bytes=200_000, engine_cpu_seconds=0.8,
                    busiest_worker_cpu=0.3, round_trip_seconds=0.001, offset_seconds=5.0,
                    uncertainty_seconds=0.0005, opened_late_seconds=0.002, cores=4.0)  # fmt: skip
OTHER = replace(LOAD, name="b", workers=1, messages=500, busiest_worker_cpu=0.6,
                engine_cpu_seconds=0.2, opened_late_seconds=-0.001)  # fmt: skip


def of(*members: MachineTally, **changes: object) -> Run:
    """A sound run on those machines."""
    found = tally(group_tally())
    found.machines = list(members)
    return replace(run(), tally=found, **changes)  # type: ignore[arg-type]


def checked(found: Run, name: str) -> Check:
    (check,) = (one for one in audit(found).checks if one.name == name)
    return check


def test_a_machine_that_was_lost_makes_a_run_invalid_by_its_name() -> None:
    assert audit(of(SERVER, LOAD, OTHER)).valid
    found = of(SERVER, LOAD, replace(OTHER, lost="has not answered for 5 s"))
    assert not audit(found).valid
    check = checked(found, "no machine was lost")
    assert (check.passed, check.detail) == (False, "b has not answered for 5 s")


@pytest.mark.parametrize(
    ("late", "doubt", "passed"),
    [(0.002, 0.0001, True), (0.2, 0.0001, False), (0.002, 0.2, False), (-0.2, 0.0, False)],
)
def test_a_window_is_open_on_all_at_once_as_far_as_clocks_are_known(
    late: float, doubt: float, passed: bool
) -> None:
    odd = replace(OTHER, opened_late_seconds=late, uncertainty_seconds=doubt)
    check = checked(of(SERVER, LOAD, odd), "window open on all machines at once")
    assert check.passed is passed
    assert "worst on" in check.detail


def test_one_machine_has_no_such_checks() -> None:
    assert not [one for one in audit(run()).checks if "machine" in one.name]


def test_what_others_take_of_the_servers_machine_leaves_out_far_engines() -> None:
    """The server keeps a core busy, and its machine 1.5; the engine's 0.5 are elsewhere, or not."""
    assert figures(of(SERVER, LOAD, server=cost(1.0, busy=1.5))).machine.other_cores == 0.5
    beside = replace(LOAD, beside_server=True)
    found = figures(of(SERVER, beside, server=cost(1.0, busy=1.5)))
    assert found.machine.other_cores == pytest.approx(0.1)  # 0.8 s in a window of 2 s


def test_the_machine_that_is_the_limit_is_the_servers() -> None:
    busy = cost(1.0, busy=1.9, processes=8)
    assert verdict(of(SERVER, LOAD, server=busy), None, 64).bound == MACHINE
    assert verdict(of(replace(SERVER, cores=64.0), LOAD, server=busy), None, 2).bound != MACHINE


def test_a_full_link_is_the_limit() -> None:
    # 200,000 bytes in 2 s, half of them each way, are 0.4 Mbit/s; the server's link has both.
    slow = cost(0.1, busy=0.2)
    full = replace(SERVER, link_bits_per_second=0.85e6)
    found = verdict(of(full, LOAD, OTHER, server=slow), None, 2)
    assert found.bound == NETWORK
    assert "the link of server carried 1 of 1 Mbit/s" in found.because
    far = replace(LOAD, link_bits_per_second=0.4e6)
    assert "of a carried" in verdict(of(SERVER, far, OTHER, server=slow), None, 2).because
    free = replace(SERVER, link_bits_per_second=1e9)
    assert verdict(of(free, LOAD, OTHER, server=slow), None, 2).bound != NETWORK


def test_a_row_for_each_machine_over_all_runs() -> None:
    later = replace(of(SERVER, LOAD, replace(OTHER, opened_late_seconds=-0.004)), trial=2)
    server, one, two = machines(rows(result(of(LOAD, OTHER, SERVER), later)))
    assert [each.name for each in (server, one, two)] == ["server", "a", "b"]
    assert server.serves
    assert server.messages_per_second is None
    assert server.cpu_cores == 1.0
    assert one.messages_per_second == 750
    assert one.cpu_cores == 0.4
    assert two.busiest_worker_cpu == 0.6
    assert two.opened_late_seconds == -0.004
    table = machine_table(rows(result(later)))
    assert table is not None
    assert table.rows[0][:2] == ("server", "serves")
    assert table.rows[1] == (
        "a", "2 workers", "750", "0.40", "30%", "1.00 ms", "+5.0000 s", "500 us", "2.00 ms",
    )  # fmt: skip
    assert table.rows[2][-1] == "-4.00 ms"
    assert machine_table(rows(result(run()))) is None


def test_a_report_has_the_machines_where_there_are_any(tmp_path: Path) -> None:
    for found, there in ((of(SERVER, LOAD), True), (run(), False)):
        write_report([analyse(result(found))], tmp_path / "report.html")
        assert ("2 workers" in (tmp_path / "report.html").read_text()) is there


def test_machines_are_saved_and_read_back_and_others_are_as_they_were() -> None:
    with_machines, without = result(of(SERVER, LOAD)), result(run())
    assert '"machines"' not in dumps(without.to_json())
    for found in (with_machines, without):
        again = Result.from_json(json.loads(dumps(found.to_json())))
        assert again.runs[0].tally is not None
        assert found.runs[0].tally is not None
        assert again.runs[0].tally.machines == found.runs[0].tally.machines
    assert from_json(MachineTally, {"name": "a"}) == MachineTally("a")


def test_traces_of_several_machines_are_in_doubt() -> None:
    assert of(SERVER, LOAD).clock_doubt_ns == 1_000_000
    assert run().clock_doubt_ns == 0
