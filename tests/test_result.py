"""Results as JSON: read back as they were, of any version, or refused in a sentence."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from loadgen.judge.analysis import analyse
from loadgen.judge.document import document
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.rate_search import RateSearch
from loadgen.record.files import RESULT_FILE, dumps, read_result
from loadgen.record.result import (
    SAME_AS_SERVICE,
    SCHEMA,
    SCHEMA_VERSION,
    Ceiling,
    RecordError,
    Result,
    Run,
)
from tests.report_results import lesson
from tests.runs import result, run, starving, trials
from tests.servers import ROOT

# Saved before results had a version; shortened.
WITHOUT_VERSION: Final = Path(__file__).with_name("result_without_version.json")
REFERENCE: Final = sorted((ROOT / "results" / "reference").glob(f"*/{RESULT_FILE}"))

# Their keys are data, and not fields' names.
MAPPINGS: Final = {"kernel", "probe", "errors", "libraries", "figures"}


def example() -> Result:
    broken = Run("process", Plan((Group(3),)), problem="it did not start", notes=("a note",))
    return result(
        *trials("thread", [200, 210]),
        starving(),
        broken,
        version="1.2.3",
        ceiling=Ceiling(50_000.0, 0.8, 0.5, 1),
        cut_short=True,
        notes=("process was in a hurry",),
        experiment=lesson().experiment,
    )


def saved(made: Result) -> Any:
    """What a JSON reader makes of the file."""
    return json.loads(dumps(document(analyse(made))))


def test_a_result_is_read_back_as_it_was() -> None:
    made = example()  # once: it holds how busy the machine was
    assert Result.from_json(saved(made)) == made


def test_what_was_derived_is_derived_again_and_the_same() -> None:
    text = dumps(document(analyse(example())))
    assert dumps(document(analyse(Result.from_json(json.loads(text))))) == text


def test_the_file_says_which_version_made_it() -> None:
    data = saved(example())
    assert (data["version"], data["schema_version"]) == ("1.2.3", SCHEMA_VERSION)
    # Whoever reads it and writes it again has not made it.
    assert saved(Result.from_json(data))["version"] == "1.2.3"


def test_only_an_experiment_has_an_entry_of_that_name() -> None:
    assert "experiment" not in saved(result(run()))


def test_every_run_has_the_keys_that_others_rely_on() -> None:
    for one in saved(example())["runs"]:
        assert {"model", "clients", "trial", "figures", "audit", "verdict", "plan"} <= one.keys()
        figures = one["figures"]
        assert {
            "connected", "served", "starved", "messages", "wrong", "failed", "errors",
            "messages_per_second", "connections_per_second", "fairness",
        } <= figures.keys()  # fmt: skip
        for clock in ("connect_seconds", "first_reply_seconds", "latency_seconds"):
            assert {"p50", "p90", "p99", "p999", "max"} <= figures[clock].keys()
        assert {"cpu_seconds", "memory_bytes", "threads", "processes"} <= figures["server"].keys()


def test_what_was_not_measured_is_null_and_never_0() -> None:
    broken = next(one for one in saved(example())["runs"] if one["model"] == "process")
    assert broken["tally"] is None
    assert broken["figures"]["messages"] is None
    assert broken["figures"]["errors"] is None
    assert broken["figures"]["latency_seconds"]["p50"] is None
    assert broken["figures"]["server"]["memory_bytes"] is None


def test_response_times_that_are_service_times_are_saved_once() -> None:
    made = result(run())
    data = saved(made)
    [group] = data["runs"][0]["tally"]["groups"]
    assert group["response"] == SAME_AS_SERVICE
    read = Result.from_json(data)
    assert read == made
    [found] = read.runs[0].tally.groups if read.runs[0].tally else []
    found.response.record(5)
    assert found.service != found.response
    assert isinstance(saved(read)["runs"][0]["tally"]["groups"][0]["response"], dict)


def test_clients_are_those_of_the_plan() -> None:
    assert run().clients == 10


# Of other versions


@pytest.mark.parametrize("file", [WITHOUT_VERSION, *REFERENCE], ids=lambda file: file.parent.name)
def test_a_result_of_an_earlier_version_is_read_and_written_again_without_loss(file: Path) -> None:
    def agrees(before: Any, after: Any) -> bool:
        """Whether all that was there still is; there may be more."""
        if before == after:  # most of it, and it is compared in C
            return True
        if isinstance(before, dict):
            return all(agrees(value, after[key]) for key, value in before.items())
        if isinstance(before, list):
            return all(agrees(*pair) for pair in zip(before, after, strict=True))
        return False

    before = json.loads(file.read_text())
    for derived in ("summary", "warnings"):
        del before[derived]
    before.pop("curves", None)  # derived as well, where there are any
    for one in before["runs"]:
        for derived in ("figures", "audit", "verdict"):
            del one[derived]
    assert agrees(before, json.loads(dumps(read_result(file).to_json())))


def test_a_result_of_an_earlier_version_is_judged() -> None:
    before = read_result(WITHOUT_VERSION)
    assert before.version is None
    [row] = analyse(before).rows
    assert row.valid
    said = json.loads(WITHOUT_VERSION.read_text())["runs"][0]["figures"]
    assert row.trials[0].figures.messages == said["messages"]


def test_a_result_of_a_version_to_come_is_read_without_what_it_added() -> None:
    def added_to(value: Any) -> Any:
        """The same with a field more in every record."""
        if isinstance(value, list):
            return [added_to(item) for item in value]
        if not isinstance(value, dict):
            return value
        more = {key: added_to(item) for key, item in value.items() if key not in MAPPINGS}
        return {**value, **more, "of_tomorrow": {"a": [1, None]}}

    made = example()  # once: it holds how busy the machine was
    assert Result.from_json(added_to(saved(made))) == made


def test_fields_that_were_not_there_yet_take_their_defaults() -> None:
    data = saved(example())
    for key in ("version", "ceiling", "cut_short", "notes", "experiment"):
        del data[key]
    for one in data["runs"]:
        for key in ("connections_by_worker", "probe", "kernel", "notes", "gil"):
            del one[key]
        del one["plan"]["talk"], one["plan"]["groups"][0]["work"]
        if one["tally"] is not None:
            del one["tally"]["stopped_early"], one["tally"]["groups"][0]["late"]
    runs = tuple(
        replace(one, connections_by_worker=None, probe=None, kernel=None, notes=(), gil=None)
        for one in example().runs
    )
    expected = replace(
        example(),
        version=None,
        ceiling=None,
        cut_short=False,
        notes=(),
        experiment=None,
        runs=runs,
    )
    assert Result.from_json(data) == expected


# No results


def put(*path: str | int, value: Any) -> Callable[[Any], None]:
    """A change of a document: this value at that place."""

    def change(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = value

    return change


RUN: Final = ("runs", 0)
GROUP: Final = (*RUN, "tally", "groups", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("schema", value="another"), "not a result"),
        (put("schema_version", value=99), "newer"),
        (put("schema_version", value="1"), "`$.schema_version`"),
        (put("runs", value=None), "`$.runs`"),
        (put("runs", value=[[]]), "`$.runs[0]`"),
        (put("runs", value=[[[[{"tally": {"groups": [[]]}}]]]]), "`$.runs[0]`"),
        (put("environment", value={}), "`$.environment`"),
        (put("notes", value="none"), "`$.notes`"),
        (put(*RUN, "trial", value="first"), "`$.runs[0].trial`"),
        (put(*RUN, "plan", value=[]), "`$.runs[0].plan`"),
        (put(*RUN, "plan", "reply_prefix", value=7), "`$.runs[0].plan.reply_prefix`"),
        (put(*RUN, "plan", "groups", value=[]), "at least one group of clients - at `$.runs[0]`"),
        (put(*RUN, "plan", "family", value="carrier pigeon"), "carrier pigeon"),
        (put(*RUN, "plan", "groups", 0, "rate_per_second", value=0), "per second"),
        (put(*RUN, "tally", "groups", value=[]), "a plan of 1 groups and a tally of 0"),
        (put(*RUN, "server", "threads", value=10**400), "`$.runs[0].server.threads`"),
        (put(*RUN, "server", "samples", value=[1]), "`$.runs[0].server.samples[0]`"),
        (put(*RUN, "tally", "started", value=10**400), "`$.runs[0].tally.started`"),
        (put(*GROUP, "answered", value=-1), "`$.runs[0].tally.groups[0].answered`"),
        (put(*GROUP, "answered", value=True), "`$.runs[0].tally.groups[0].answered`"),
        (put(*GROUP, "timeline_slice_seconds", value=0), "groups[0].timeline_slice_seconds`"),
        (put(*GROUP, "timeline", value=[[]]), "`$.runs[0].tally.groups[0].timeline[0]`"),
        (put(*GROUP, "service", value="service"), "`$.runs[0].tally.groups[0].service`"),
        (put(*GROUP, "service", "buckets", value=[[0, 10**400]]), "groups[0].service`"),
        (put(*GROUP, value="a group"), "`$.runs[0].tally.groups[0]`"),
    ],
)
def test_what_is_damaged_is_told_with_its_place(change: Callable[[Any], None], said: str) -> None:
    data = json.loads(dumps(result(run()).to_json()))
    change(data)
    with pytest.raises(RecordError) as refusal:
        Result.from_json(data)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_case_with_a_run_that_there_is_not_is_damaged() -> None:
    data = saved(lesson())
    data["experiment"]["cases"][1]["runs"] = [2]
    with pytest.raises(RecordError, match=r"no such run - at `\$.experiment.cases\[1\].runs`"):
        Result.from_json(data)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"duration_seconds": None, "messages_per_client": 5}, "`$.runs[0].plan`"),
        ({"groups": (Group(10, silent=True),)}, "`$.runs[0].plan`"),
        (None, "`$.runs`"),
    ],
)
def test_a_search_without_trials_is_damaged(plan: dict[str, Any] | None, said: str) -> None:
    runs = [] if plan is None else [replace(run(), plan=replace(run().plan, **plan))]
    searched = replace(result(*runs), rate_search=RateSearch(("response_seconds.p99 < 1",)))
    with pytest.raises(RecordError, match=re.escape(said)):
        Result.from_json(json.loads(dumps(searched.to_json())))


@pytest.mark.parametrize("data", [None, 5, "text", [], [{"schema": SCHEMA}], {}, {"hello": 1}])
def test_what_is_no_result_is_said_to_be_none(data: object) -> None:
    with pytest.raises(RecordError, match="not a result"):
        Result.from_json(data)
