"""A plan says in one sentence what is wrong with it, and comes back equal from JSON."""

import socket
from dataclasses import replace
from typing import Any

import pytest

from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError

GOOD = Plan((Group(10),))


def test_the_defaults_are_a_good_plan() -> None:
    GOOD.validate()


ONE_EACH = Group(1, messages_per_connection=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clients": 0}, "0 clients"),
        ({"size_bytes": -1}, "-1 bytes"),
        ({"size_bytes": 1 << 40}, "give a size from 0"),
        ({"think_seconds": -1.0}, "think time of -1.0 s"),
        ({"think_seconds": float("nan")}, "think time of nan s"),
        ({"think_distribution": "normal"}, "constant, exponential"),
        ({"rate_per_second": 0.0}, "above 0"),
        ({"rate_per_second": float("inf")}, "above 0"),
        ({"rate_per_second": float("nan")}, "above 0"),
        ({"rate_per_second": 1e-300}, "from 0.001"),
        ({"rate_per_second": 1e7}, "give a lower rate"),
        ({"think_seconds": 1e300}, "at most 1,000,000 s"),
        ({"rate_per_second": 5.0, "think_seconds": 1.0}, "one of the two"),
        ({"arrivals": "bursty"}, "constant, poisson"),
        ({"messages_per_connection": 0}, "give 1 or more"),
        ({"silent": True, "rate_per_second": 5.0}, "send nothing"),
        ({"request": b"PING"}, "go together"),
        ({"request": b"", "reply": b"x"}, "cannot be empty"),
        ({"request": b"a", "reply": b"b", "work": "fib:3"}, "our own servers"),
        ({"work": "sort:3"}, "fib:N"),
        ({"work": "fib:x"}, "fib:N"),
        ({"work": "fib:99"}, "up to 32"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_group_that_makes_no_sense(change: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        Plan((replace(Group(10), **change),)).validate()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"groups": ()}, "at least one group"),
        ({"groups": (Group(1), Group(2))}, "name of its own"),
        ({"framing": "xml"}, "length, line"),
        ({"framing": "line", "reply_prefix": b"a\nb"}, "newline"),
        ({"framing": "raw", "groups": (Group(1, size_bytes=0),)}, "no bytes under raw"),
        ({"duration_seconds": None}, "how long to run"),
        ({"duration_seconds": 0.0}, "above 0"),
        ({"messages_per_client": 5}, "not both"),
        ({"messages_per_client": 0, "duration_seconds": None}, "1 or more"),
        (
            {
                "messages_per_client": 5,
                "duration_seconds": None,
                "groups": (Group(1, silent=True),),
            },
            "never send",
        ),
        ({"warmup_seconds": -0.1}, "warm-up"),
        ({"timeout_seconds": 0.0}, "timeout"),
        ({"timeout_seconds": float("inf")}, "at most 1,000,000 s"),
        ({"ramp_seconds": -1.0}, "ramp"),
        ({"connect_rate": 0.0}, "connect rate"),
        ({"connect_rate": 5.0, "ramp_seconds": 1.0}, "one of the two"),
        ({"connect_rate": 1e300}, "from 0.001"),
        ({"turns": 10**300}, "longer turns"),
        ({"workers": 0}, "0 workers"),
        ({"workers": 11}, "fewer workers"),
    ],
)
def test_a_plan_that_makes_no_sense(change: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        replace(GOOD, **change).validate()


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        (Endpoint("ipx", "h", 1), "inet, inet6, unix"),
        (Endpoint("inet", "h", 1, transport="sctp"), "tcp, udp"),
        (Endpoint("inet", "", 1), "HOST:PORT"),
        (Endpoint("inet", "h", 0), "between 1 and 65535"),
        (Endpoint("inet", "h", 65536), "between 1 and 65535"),
        (Endpoint("unix"), "path"),
        (Endpoint("unix", path="x" * 108), "107 bytes"),
        (Endpoint("unix", path="x", transport="udp"), "datagrams"),
    ],
)
def test_an_endpoint_that_makes_no_sense(endpoint: Endpoint, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        endpoint.validate()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"groups": (Group(1, messages_per_connection=1),)}, "no connections"),
        ({"groups": (Group(1, silent=True),)}, "no connections"),
        ({"groups": (Group(1, size_bytes=65_500),)}, "at most 65497"),
        ({"family": "unix"}, "inet or inet6"),
        ({"talk": "once"}, "messages_per_connection|churn"),
        ({"talk": "once", "groups": (ONE_EACH,)}, "nothing to close"),
    ],
)
def test_what_datagrams_cannot_do(change: dict[str, Any], says: str) -> None:
    Plan((Group(1),), transport="udp").validate()
    with pytest.raises(PlanError, match=says):
        replace(Plan((Group(1),), transport="udp"), **change).validate()


@pytest.mark.parametrize(
    ("talk", "change", "says"),
    [
        ("wave", {}, "greet, once, loop"),
        ("once", {"messages_per_connection": 2}, "leave out churn"),
        ("greet", {"messages_per_connection": None}, "leave out churn"),
        ("greet", {"silent": True, "messages_per_connection": None}, "nobody can hold"),
        ("greet", {"request": b"a", "reply": b"b"}, "sent nothing"),
        ("greet", {"work": "fib:1"}, "sent nothing"),
        ("greet", {"rate_per_second": 1.0}, "leave out the rate"),
    ],
)
def test_what_short_talks_cannot_do(talk: str, change: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        Plan((replace(ONE_EACH, **change),), talk=talk).validate()


def test_what_short_talks_can_do() -> None:
    Plan((ONE_EACH,), talk="greet").validate()
    Plan((replace(ONE_EACH, rate_per_second=5.0),), talk="once").validate()
    Plan((ONE_EACH, Group(1, "idle", silent=True)), talk="once").validate()


@pytest.mark.parametrize(
    "other", [Endpoint("inet6", "::1", 1), Endpoint("inet", "h", 1, "", "udp")]
)
def test_a_plan_is_for_one_way_to_the_server(other: Endpoint) -> None:
    GOOD.validate_against(Endpoint("inet", "h", 1))
    with pytest.raises(PlanError, match="the plan is for tcp over inet"):
        GOOD.validate_against(other)


@pytest.mark.parametrize(
    ("endpoint", "text", "family", "loopback"),
    [
        (Endpoint("inet", "127.0.0.1", 8008), "127.0.0.1:8008", socket.AF_INET, True),
        (Endpoint("inet", "127.9.8.7", 80), "127.9.8.7:80", socket.AF_INET, True),
        (Endpoint("inet", "192.0.2.1", 80), "192.0.2.1:80", socket.AF_INET, False),
        (Endpoint("inet", "localhost", 80), "localhost:80", socket.AF_INET, False),
        (Endpoint("inet6", "::1", 8008), "[::1]:8008", socket.AF_INET6, True),
        (Endpoint("inet6", "fe80::1%lo", 80), "[fe80::1%lo]:80", socket.AF_INET6, False),
        (Endpoint("inet6", "::7f00:1", 80), "[::7f00:1]:80", socket.AF_INET6, False),
        (Endpoint("inet", "nul\0", 80), "nul\0:80", socket.AF_INET, False),
        (Endpoint("unix", path="/tmp/s"), "unix:/tmp/s", socket.AF_UNIX, True),
    ],
)
def test_endpoints(endpoint: Endpoint, text: str, family: int, loopback: bool) -> None:
    assert str(endpoint) == text
    assert endpoint.address_family == family
    assert endpoint.is_loopback == loopback


def test_names_are_resolved_once() -> None:
    assert Endpoint("inet", "localhost", 80).resolved().host == "127.0.0.1"
    with pytest.raises(PlanError, match=r"no\.such\.host\.invalid"):
        Endpoint("inet", "no.such.host.invalid", 80).resolved()
