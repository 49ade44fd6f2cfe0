"""One result judged once: whoever shows a figure shows the same number."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadgen.judge.analysis import Analysis, analyse
from loadgen.judge.curves import P99_BOUND_SECONDS
from loadgen.judge.diff import diff
from loadgen.judge.document import document
from loadgen.judge.requirement import parse
from loadgen.judge.units import seconds
from loadgen.plan.group import Group
from loadgen.record.files import dumps
from loadgen.record.result import Result, Run
from loadgen.show.report.loads import loads
from loadgen.show.sentences import sentences
from loadgen.show.tables import tables
from tests.runs import PLAN, result, trials

# Messages of a client in three trials that differ much: they take 2, 3 and 20 ms each, so that
# means, medians and pools are far apart.
UNLIKE = (1000, 667, 100)


def slow(model: str, per_client: Sequence[int], rate: float | None = None) -> list[Run]:
    """A trial for each number of messages that a client got answered, one after the other."""
    return trials(model, per_client, replace(PLAN, groups=(Group(10, rate_per_second=rate),)))


def test_loads_stand_in_order_however_they_ran() -> None:
    ran = [replace(PLAN, groups=(Group(clients),)) for clients in (1000, 1, 100, 10)]
    found = analyse(result(*(run for plan in ran for run in trials("thread", [100], plan))))
    assert [row.plan.clients for row in found.rows] == [1, 10, 100, 1000]
    assert [load.plan.clients for load in loads([found])] == [1, 10, 100, 1000]


def cell(analysis: Analysis, header: str, under: str) -> str:
    """What the first row of the table of throughput has in the column `header` of `under`."""
    table = next(one for one in tables(analysis.rows) if one.title == "Throughput")
    names = [name.split("\n") for name in table.headers]
    start = next(at for at, name in enumerate(names) if name[0] == under)
    column = next(at for at in range(start, len(names)) if names[at][-1] == header)
    return table.rows[0][column]


@pytest.mark.parametrize(
    ("rate", "path", "under"),
    [(None, "latency_seconds.p99", "latency"), (1000.0, "response_seconds.p99", "response")],
)
def test_the_p99_is_the_same_number_wherever_it_is_told(
    rate: float | None, path: str, under: str
) -> None:
    analysis = analyse(result(*slow("thread", UNLIKE, rate)))
    value = analysis.rows[0].value(path)
    assert value is not None
    changes = diff(analysis, analysis)[0][0].changes
    change = next(one for one in changes if one.path == path)
    [unmet] = parse(f"{path} > 9").failures(analysis.rows)
    entry = document(analysis)["summary"][0]

    assert cell(analysis, "p99", under) == seconds(value)
    assert change.a is not None
    assert change.a.mean == value
    assert unmet.endswith(f"{path} is {value:.6g}")
    assert entry["estimates"][path]["mean"] == value
    assert entry[path.partition(".")[0]]["p99"] == value
    assert seconds(value) in sentences(analysis.rows)[0][1]


def test_rows_are_ordered_by_the_number_that_is_shown() -> None:
    # By the mean of the trials' own p99 `thread` would be first: 4.9 ms against 6 ms.
    runs = slow("thread", UNLIKE, 1000.0) + slow("process", (333, 333, 328), 1000.0)
    analysis = analyse(result(*runs))
    values = [row.value("response_seconds.p99") or 0.0 for row in analysis.rows]
    assert [row.name for row in analysis.rows] == ["process", "thread"]
    assert values == sorted(values)


def sweep(**changes: object) -> Result:
    """Two rates, with messages that waited 30 ms before they were sent."""
    runs = []
    for rate in (500.0, 1000.0):
        for one in slow("thread", [200, 200], rate):
            assert one.tally is not None
            response = one.tally.groups[0].response
            response.clear()
            response.record(30_000_000, 2000)
            runs.append(one)
    return result(*runs, **changes)


def test_the_curve_on_the_page_is_that_of_the_table() -> None:
    pytest.importorskip("bokeh")
    from loadgen.show.report.page import page  # noqa: PLC0415 - Bokeh takes a second

    analysis = analyse(sweep())
    [curve] = analysis.curves
    shown = seconds(curve.points[0].p99_seconds)
    assert shown == cell(analysis, "p99", "response") != cell(analysis, "p99", "service")
    assert f"response p99 from {shown} at 500/s" in page([analysis])


def test_a_curve_keeps_the_bound_that_was_asked_for() -> None:
    assert analyse(sweep()).curves[0].p99_bound_seconds == P99_BOUND_SECONDS
    asked = sweep(p99_bound_seconds=0.02)
    assert analyse(asked).curves[0].past_bound == 500
    saved = dumps(document(analyse(asked)))
    assert analyse(Result.from_json(json.loads(saved))).curves == analyse(asked).curves
    earlier = json.loads(saved)
    del earlier["p99_bound_seconds"]  # as it was saved when only the curves had it
    assert Result.from_json(earlier).p99_bound_seconds == 0.02


def test_the_report_is_about_the_rows_of_the_analysis() -> None:
    analysis = analyse(result(*slow("thread", UNLIKE), *slow("process", UNLIKE)))
    shown = [subject.row for load in loads([analysis]) for subject in load.subjects]
    assert all(any(row is one for one in analysis.rows) for row in shown)
