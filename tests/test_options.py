"""What the options mean, and one line for whatever means nothing."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concurrency_models.backends import MODELS
from loadgen.command import options
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError


def plan(*words: str) -> Plan:
    [found] = options.plans_of(options.make_parser().parse_args(words), seed=5)
    return found


def test_without_options_it_is_a_closed_loop_for_three_seconds() -> None:
    assert plan() == Plan(
        (Group(options.DEFAULT_CLIENTS),), duration_seconds=options.DEFAULT_SECONDS, seed=5
    )


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
    assert options.parse_group(text, Group(1, think_seconds=1.0)) == Group(
        2,
        name="g",
        size_bytes=1024,
        rate_per_second=5.0,
        arrivals="poisson",
        messages_per_connection=4,
        request=b"a,b",
        reply=b"c",
    )
    assert options.parse_group("name=g,clients=2,work=fib:5", Group(1)).work == "fib:5"


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
    asked = options.make_parser().parse_args(words)
    assert options.endpoint_of(asked) == endpoint
    found = options.plan_of(asked, 1)
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
    ("text", "data"),
    [
        (r"PING\r\n", b"PING\r\n"),
        (r"\x00\xff\0", b"\x00\xff\x00"),
        (r"\\n\t", b"\\n\t"),
        ("ä", "ä".encode()),
        ("", b""),
    ],
)
def test_escapes(text: str, data: bytes) -> None:
    assert options.escaped(text) == data


@pytest.mark.parametrize("text", [r"\q", "\\", r"\x1", r"\xgg"])
def test_unknown_escapes_are_named(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="unknown escape"):
        options.escaped(text)


@given(st.binary(max_size=50))
def test_any_bytes_can_be_written(data: bytes) -> None:
    assert options.escaped("".join(f"\\x{byte:02x}" for byte in data)) == data


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:8008", Endpoint("inet", "127.0.0.1", 8008)),
        ("localhost:80", Endpoint("inet", "localhost", 80)),
        (":80", Endpoint("inet", "127.0.0.1", 80)),
        ("[::1]:80", Endpoint("inet6", "::1", 80)),
        ("unix:/tmp/a b", Endpoint("unix", path="/tmp/a b")),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert options.endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["", "8008", "host", "host:", "host:0", "host:65536", "host:x"])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="HOST:PORT"):
        options.endpoint(text)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("0", 0), ("64", 64), ("64B", 64), ("2k", 2048), ("1MiB", 1 << 20)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert options.size(text) == bytes_


@pytest.mark.parametrize(
    "words",
    [
        ["--clients", "0"],
        ["--clients", "many"],
        ["--clients", "-3"],
        ["--duration", "0"],
        ["--duration", "nan"],
        ["--duration", "inf"],
        ["--messages", "0"],
        ["--messages", "5", "--duration", "3"],
        ["--size", "-1"],
        ["--size", "1.5"],
        ["--rate", "0"],
        ["--churn", "0"],
        ["--timeout", "0"],
        ["--warmup", "-1"],
        ["--workers", "0"],
        ["--workers", "some"],
        ["--trials", "0"],
        ["--arrivals", "late"],
        ["--framing", "json"],
        ["--think", "exp:0"],
        ["--think", "gauss:1"],
        ["--server-options", '"'],
        ["--require", "speed > 3"],
        ["--nonsense"],
        ["positional"],
    ],
)
def test_nonsense_is_one_line_and_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        options.make_parser().parse_args(words)
    assert end.value.code == options.USAGE_ERROR
    said = capsys.readouterr().err
    assert said.startswith("loadgen: ")
    assert said.count("\n") == 1


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


def test_models_are_named_one_by_one_or_in_groups() -> None:
    assert options.models_of(["thread", "process", "thread"]) == ["process", "thread"]
    core = options.models_of(["core"])
    assert core == ["iterative", "process", "thread", "socketserver", "selectors"]
    assert set(core) <= set(options.models_of(["stdlib"])) <= set(options.models_of(["all"]))
    assert options.models_of(["all"]) == list(MODELS)


def test_an_unknown_model_gets_the_nearest_one() -> None:
    with pytest.raises(PlanError, match="did you mean 'selectors'"):
        options.models_of(["selector"])
    with pytest.raises(PlanError, match="choose from iterative"):
        options.models_of(["zzz"])


def test_a_server_is_told_what_the_plan_expects_of_it() -> None:
    small = options.server_options(plan("--framing", "line"), ["--backlog", "5"])
    assert small == ["--framing", "line", "--reply-prefix", "received: ", "--backlog", "5"]
    big = options.server_options(plan("--size", "2MiB"), [])
    assert big[big.index("--max-message") + 1] == str(2 << 20)


def test_auto_leaves_a_core_to_the_server() -> None:
    assert options.workers("auto") >= 1
    assert options.workers("3") == 3
