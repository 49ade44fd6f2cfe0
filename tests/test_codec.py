"""Records of every kind survive being saved, and what is no record is told with its path."""

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.octets import Octets
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.codec import from_json, to_json
from loadgen.record.environment import Environment
from loadgen.record.files import dumps
from loadgen.record.histogram import BUCKETS, LARGEST_NS, Histogram
from loadgen.record.monitor import Sample, ServerCost
from loadgen.record.result import Ceiling, Claim, ExperimentOutcome, Run
from loadgen.record.tally import TIMELINE_SLICE_SECONDS, GroupTally, Lane, Tally

KINDS: Final = (
    Endpoint, Group, Plan, Sample, ServerCost, Environment, Lane, GroupTally, Tally, Ceiling, Run,
    Claim, ExperimentOutcome,
)  # fmt: skip


def histogram(*values_ns: int) -> Histogram:
    made = Histogram()
    for value in values_ns:
        made.record(value)
    return made


# Any values that the types allow: no slice of a timeline is shorter, and JSON has no NaN.
st.register_type_strategy(float, st.floats(TIMELINE_SLICE_SECONDS, allow_infinity=False))
st.register_type_strategy(int, st.integers(0, 2**63 - 1))
st.register_type_strategy(Octets, st.binary())
st.register_type_strategy(
    Histogram, st.lists(st.integers(0, LARGEST_NS), max_size=3).map(lambda ns: histogram(*ns))
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_a_saved_record_comes_back_equal(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(st.from_type(kind))
    assert from_json(kind, json.loads(dumps(to_json(record)))) == record


def test_bytes_are_saved_as_text_that_can_be_read() -> None:
    plan = Plan((Group(1, request=b"PING\r\n", reply=bytes(range(256))),))
    data = json.loads(dumps(to_json(plan)))
    assert data["groups"][0]["request"] == "PING\r\n"
    assert data["reply_prefix"] == "received: "
    assert from_json(Plan, data) == plan


def test_a_histogram_is_saved_without_its_empty_buckets() -> None:
    data = to_json({"found": histogram(7, 7, 9)})
    assert data == {"found": {"unit": "ns", "sub_bits": 8, "buckets": [(7, 2), (9, 1)]}}


@pytest.mark.parametrize("kind", [Plan, ServerCost, GroupTally, Run, ExperimentOutcome])
def test_what_is_missing_takes_its_default_and_is_there_when_written_again(kind: type[Any]) -> None:
    least = {
        Plan: {"groups": [{"clients": 1}]},
        ServerCost: {},
        GroupTally: {"name": "all"},
        Run: {"model": "thread", "plan": {"groups": []}},
        ExperimentOutcome: {"name": "a", "question": "b", "expectation": "c"},
    }[kind]
    record = from_json(kind, least)
    written = to_json(record)
    assert written.keys() == set(kind.__slots__)
    assert from_json(kind, json.loads(dumps(written))) == record


def test_what_a_newer_version_added_is_passed_over() -> None:
    here = environment.describe()
    assert from_json(Environment, {**to_json(here), "of_tomorrow": {"a": [1]}}) == here


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 5}, "Expected `str`, got `int` - at `$.name`"),
        ({"clients": "many"}, "Expected `int`, got `str` - at `$.clients`"),
        ({"lanes": {}}, "Expected `array`, got `object` - at `$.lanes`"),
        ({"errors": {"EOF": None}}, "got `null` - at `$.errors[...]`"),
        ({"connect": "service"}, "of a histogram - at `$.connect`"),
        ({"connect": []}, "of a histogram - at `$.connect`"),
        ({"connect": {"unit": "ns", "sub_bits": 11, "buckets": []}}, "`$.sub_bits` of a histogram"),
        ({"connect": {"unit": "s", "sub_bits": 8, "buckets": []}}, "`$.unit` of a histogram"),
        ({"connect": {"unit": "ns", "sub_bits": 8, "buckets": [[-1, 1]]}}, "of a histogram"),
        ({"connect": {"unit": "ns", "sub_bits": 8, "buckets": [[BUCKETS, 1]]}}, "of a histogram"),
        ({"connect": {"unit": "ns", "sub_bits": 8, "buckets": [[1, -1]]}}, "of a histogram"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="at `") as refusal:
        from_json(GroupTally, {"name": "all", **change})
    assert said in str(refusal.value)


@pytest.mark.parametrize("value", [5, ["a"], "\u1234"])
def test_bytes_are_read_from_no_other_text(value: object) -> None:
    with pytest.raises(ValueError, match=r"at `\$\.reply_prefix`"):
        from_json(Plan, {"groups": [], "reply_prefix": value})
