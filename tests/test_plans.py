"""What the options amount to: a plan, or several that make a curve."""

import resource

import pytest

from loadgen.command.parser import make_parser
from loadgen.command.plans import (
    DEFAULT_CLIENTS,
    DEFAULT_SECONDS,
    DEFAULT_TURN_SECONDS,
    QUICK_TURN_SECONDS,
    endpoint_of,
    in_turns,
    parse_group,
    plan_of,
    plans_of,
)
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record import environment


def plan(*words: str) -> Plan:
    [found] = plans_of(make_parser().parse_args(words), seed=5)
    return found


def test_without_options_it_is_a_closed_loop_for_three_seconds() -> None:
    assert plan() == Plan((Group(DEFAULT_CLIENTS),), duration_seconds=DEFAULT_SECONDS, seed=5)


@pytest.mark.parametrize(
    ("words", "group"),
    [
        (["--clients", "7"], Group(7)),
        (["--size", "64KiB"], Group(100, size_bytes=65_536)),
        (["--think", "0.25"], Group(100, think_seconds=0.25)),
        (
            ["--think", "exp:0.25"],
            Group(100, think_seconds=0.25, think_distribution="exponential"),
        ),
        (["--rate", "50"], Group(100, rate_per_second=50.0)),
        (
            ["--rate", "50", "--arrivals", "poisson"],
            Group(100, rate_per_second=50.0, arrivals="poisson"),
        ),
        (["--churn", "3"], Group(100, messages_per_connection=3)),
        (
            ["--request", r"PING\r\n", "--reply", r"+PONG\r\n"],
            Group(100, request=b"PING\r\n", reply=b"+PONG\r\n"),
        ),
    ],
)
def test_options_of_the_clients(words: list[str], group: Group) -> None:
    assert plan(*words).groups == (group,)


def test_options_of_the_run() -> None:
    found = plan(
        *("--messages", "9", "--warmup", "1", "--timeout", "4", "--ramp", "2"),
        *("--workers", "2", "--pin", "--framing", "line", "--reply-prefix", ""),
    )
    assert found.messages_per_client == 9
    assert found.duration_seconds is None
    assert (found.warmup_seconds, found.timeout_seconds, found.ramp_seconds) == (1, 4, 2)
    assert (found.workers, found.pin) == (2, True)
    assert (found.framing, found.reply_prefix) == ("line", b"")


def test_a_mix_inherits_what_its_groups_do_not_say() -> None:
    found = plan("--size", "100", "--clients", "9", "--group", "name=slow,clients=2,think=0.5")
    assert found.groups == (
        Group(9, name="main", size_bytes=100),
        Group(2, name="slow", size_bytes=100, think_seconds=0.5),
    )


def test_idle_clients_are_a_group_beside_the_busy_ones() -> None:
    assert plan("--clients", "9", "--idle", "40").groups == (
        Group(9, name="main"),
        Group(40, name="idle", silent=True),
    )


def test_groups_without_clients_beside_them_are_all_there_are() -> None:
    assert [group.name for group in plan("--group", "name=a,clients=1").groups] == ["a"]


def test_every_key_of_a_group() -> None:
    text = r"name=g,clients=2,size=1K,rate=5,arrivals=poisson,churn=4,request=a\x2cb,reply=c"
    assert parse_group(text, Group(1, think_seconds=1.0)) == Group(
        2,
        name="g",
        size_bytes=1024,
        rate_per_second=5.0,
        arrivals="poisson",
        messages_per_connection=4,
        request=b"a,b",
        reply=b"c",
    )
    assert parse_group("name=g,clients=2,work=fib:5", Group(1)).work == "fib:5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clients=5", "needs a name"),
        ("name=a", "needs a name and clients"),
        ("name=a,clients=x", "clients: 'x' is not a whole number"),
        ("name=a,clients=5,sise=3", "did you mean size"),
        ("nonsense", "key=value"),
        ("name=a,clients=5,think=soon", "think: 'soon'"),
    ],
)
def test_a_group_that_means_nothing(text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        plan("--group", text)


@pytest.mark.parametrize(
    ("words", "endpoint"),
    [
        ([], Endpoint("inet", "127.0.0.1", 8008)),
        (["--family", "inet6"], Endpoint("inet6", "::1", 8008)),
        (["--family", "unix"], None),
        (["--transport", "udp"], Endpoint("inet", "127.0.0.1", 8008, transport="udp")),
        (["--connect", "localhost:80"], Endpoint("inet", "localhost", 80)),
        (["--connect", "localhost:80", "--family", "inet6"], Endpoint("inet6", "localhost", 80)),
        (["--connect", "[::1]:80", "--family", "inet6"], Endpoint("inet6", "::1", 80)),
        (["--connect", "unix:/s"], Endpoint("unix", path="/s")),
    ],
)
def test_where_a_server_is_looked_for(words: list[str], endpoint: Endpoint | None) -> None:
    asked = make_parser().parse_args(words)
    assert endpoint_of(asked) == endpoint
    found = plan_of(asked, 1)
    if endpoint is not None:
        found.validate_against(endpoint)
    else:
        assert found.family == "unix"


@pytest.mark.parametrize(
    ("address", "family"),
    [("[::1]:80", "inet"), ("127.0.0.1:80", "inet6"), ("unix:/s", "inet"), ("h:1", "unix")],
)
def test_an_address_of_another_family(address: str, family: str) -> None:
    with pytest.raises(PlanError, match=f"no {family} address"):
        plan("--connect", address, "--family", family)


def test_short_talks_have_a_connection_for_each_message() -> None:
    found = plan("--talk", "once", "--idle", "3")
    assert [group.messages_per_connection for group in found.groups] == [1, None]
    assert plan("--talk", "loop").groups[0].messages_per_connection is None
    with pytest.raises(PlanError, match="leave out churn"):
        plan("--talk", "greet", "--churn", "2")


def test_a_datagram_is_given_up_sooner_than_a_reply() -> None:
    assert plan().timeout_seconds == 10.0
    assert plan("--transport", "udp").timeout_seconds == 1.0
    assert plan("--transport", "udp", "--timeout", "7").timeout_seconds == 7.0


@pytest.mark.parametrize(
    "words",
    [
        ["--rate", "5", "--think", "1"],
        ["--request", "a"],
        ["--ramp", "1", "--connect-rate", "5"],
        ["--clients", "2", "--workers", "3"],
        ["--group", "name=main,clients=1", "--clients", "1"],
        ["--framing", "raw", "--size", "0"],
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str]) -> None:
    with pytest.raises(PlanError):
        plan(*words)


def test_workers_by_themselves_are_never_more_than_the_clients_that_talk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "cores_to_use", lambda: 8.5)
    words = ("--clients", "1,3,100", "--idle", "50", "--workers", "auto")
    found = plans_of(make_parser().parse_args(words), seed=5)
    assert [one.workers for one in found] == [1, 3, 7]


def test_workers_are_as_many_as_it_takes_to_open_a_file_for_each_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "cores_to_use", lambda: 2.0)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    words = ("--clients", "10", "--idle", "100000")
    assert plan(*words).workers == plan(*words, "--workers", "auto").workers == 6
    assert plan(*words, "--workers", "3").workers == 3
    assert plan("--clients", "100").workers == 1
    assert plan("--clients", "9999999").workers == 64


@pytest.mark.parametrize(
    ("words", "ours", "quick"),
    [
        ([], True, True),
        (["--idle", "1000"], True, True),
        ([], False, False),  # nobody knows how long a message takes there
        (["--clients", "1000"], True, False),
        (["--size", "64KiB"], True, False),
        (["--think", "0.1"], True, False),
        (["--rate", "100"], True, False),
        (["--churn", "1"], True, False),
        (["--work", "sleep:100"], True, False),
        (["--group", "name=slow,clients=1,work=fib:30"], True, False),
    ],
)
def test_turns_are_short_where_a_message_takes_milliseconds(
    words: list[str], ours: bool, quick: bool
) -> None:
    options = make_parser().parse_args(words)
    [found] = plans_of(options, seed=5)
    seconds = in_turns(found, options, ours).turn_seconds
    assert seconds == pytest.approx(QUICK_TURN_SECONDS if quick else DEFAULT_TURN_SECONDS)


def test_a_turn_is_as_long_as_was_asked_for() -> None:
    options = make_parser().parse_args(["--turn", "0.3", "--duration", "1.2"])
    [found] = plans_of(options, seed=5)
    turns = in_turns(found, options, ours=True)
    assert turns.turns == 4
    assert turns.turn_seconds == pytest.approx(0.3)
