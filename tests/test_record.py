"""Saved results: read back as they were written, or refused in a sentence."""

import json
from pathlib import Path

import pytest

from loadgen.judge.analysis import analyse
from loadgen.judge.document import document
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import result as record
from loadgen.record.result import Ceiling, RecordError, Result, Run
from tests.runs import result, run, starving, trials


def example() -> Result:
    broken = Run("process", Plan((Group(3),)), problem="it did not start", notes=("a note",))
    return result(
        *trials("thread", [200, 210]),
        starving(),
        broken,
        ceiling=Ceiling(50_000.0, 0.8, 0.5, 1),
        cut_short=True,
        notes=("process was in a hurry",),
    )


def save(folder: Path, saved: Result) -> Path:
    file = folder / record.RESULT_FILE
    record.write(file, record.dumps(document(analyse(saved))))
    return file


def test_a_result_is_read_back_as_it_was(tmp_path: Path) -> None:
    saved = example()
    file = save(tmp_path, saved)
    assert record.load(file).to_json() == saved.to_json()
    assert record.load(tmp_path).to_json() == saved.to_json()  # by its folder


def test_what_was_derived_is_derived_again_and_the_same(tmp_path: Path) -> None:
    file = save(tmp_path, example())
    assert record.dumps(document(analyse(record.load(file)))) == file.read_text()


def test_every_run_has_the_keys_that_others_rely_on(tmp_path: Path) -> None:
    data = json.loads(save(tmp_path, example()).read_text())
    assert data["schema_version"] == record.SCHEMA_VERSION
    for one in data["runs"]:
        assert {"model", "clients", "trial", "figures", "audit", "verdict", "plan"} <= one.keys()
        figures = one["figures"]
        assert {
            "connected", "served", "starved", "messages", "wrong", "failed", "errors",
            "messages_per_second", "connections_per_second", "fairness",
        } <= figures.keys()  # fmt: skip
        for clock in ("connect_seconds", "first_reply_seconds", "latency_seconds"):
            assert {"p50", "p90", "p99", "p999", "max"} <= figures[clock].keys()
        assert {"cpu_seconds", "memory_bytes", "threads", "processes"} <= figures["server"].keys()


def test_what_was_not_measured_is_null_and_never_0(tmp_path: Path) -> None:
    data = json.loads(save(tmp_path, example()).read_text())
    broken = next(one for one in data["runs"] if one["model"] == "process")
    assert broken["tally"] is None
    assert broken["figures"]["messages"] is None
    assert broken["figures"]["errors"] is None
    assert broken["figures"]["latency_seconds"]["p50"] is None
    assert broken["figures"]["server"]["memory_bytes"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not a result"),
        ('{"hello": 1}', "not a result"),
        (json.dumps({"schema": record.SCHEMA, "schema_version": 99}), "newer"),
        (json.dumps({"schema": record.SCHEMA, "schema_version": 1}), "damaged"),
    ],
)
def test_what_is_no_result_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(RecordError, match=said) as refusal:
        record.load(file)
    assert str(file) in str(refusal.value)


def test_a_result_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no saved result at"):
        record.load(tmp_path / "nowhere")


def test_folders_of_the_same_second_are_numbered(tmp_path: Path) -> None:
    names = [
        record.new_folder(tmp_path, "2026-01-02T03:04:05+00:00", "compare").name for _ in range(3)
    ]
    assert names == [
        "2026-01-02-030405-compare",
        "2026-01-02-030405-compare-2",
        "2026-01-02-030405-compare-3",
    ]


def test_a_place_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(RecordError, match="--results"):
        record.check_folder(file / "results")
    with pytest.raises(RecordError, match="cannot write"):
        record.check_file(tmp_path)


def test_finding_that_out_leaves_nothing_behind(tmp_path: Path) -> None:
    record.check_folder(tmp_path / "results")
    record.check_file(tmp_path / "out.json")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert list((tmp_path / "results").iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_scraps(tmp_path: Path) -> None:
    with pytest.raises(RecordError):
        record.write(tmp_path / "missing" / "run.json", "text")
    record.write(tmp_path / "run.json", "one")
    record.write(tmp_path / "run.json", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "two"


def test_dumps_is_json_with_long_lists_on_one_line() -> None:
    value = {"a": list(range(200)), "b": {"c": None, "d": ["x" * 80, "y" * 80]}, "e": []}
    text = record.dumps(value)
    assert json.loads(text) == value
    assert len(text.splitlines()) < 10


def test_clients_are_those_of_the_plan() -> None:
    assert run().clients == 10
