"""Tables as a person reads them: they fit the terminal, with a dash for what was not measured."""

from dataclasses import replace

import pytest
import tabulate

from loadgen.judge import units
from loadgen.judge.analysis import analyse
from loadgen.judge.diff import diff
from loadgen.judge.intervals import Estimate
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.monitor import ServerCost
from loadgen.record.result import Result, Run
from loadgen.record.tally import GroupTally
from loadgen.show.result_text import as_markdown, as_text, differences
from loadgen.show.table import Table, text
from loadgen.show.wrapping import WIDTH
from tests.runs import PLAN, cost, group_tally, mixed, result, run, starving, tally, trials


def shown(found: Result) -> str:
    return as_text(analyse(found), all_tables=True)


def line_of(text: str, title: str, name: str) -> list[str]:
    """The cells of a row in the table under a title."""
    part = text.split(f"\n{title}\n")[1]
    return next(line for line in part.splitlines() if line.split()[:1] == [name]).split()


LONG_NAMES = ("asyncio-protocol", "subinterpreters")
CORE = result(
    *trials("thread", [200, 220, 190]),
    *trials("socketserver", [150, 151, 149]),
    *[starving(trial=trial) for trial in (1, 2, 3)],
)


def wide(model: str, trial: int, group: Group) -> Run:
    """A run whose every cell is about as wide as it gets."""
    plan = replace(PLAN, groups=(group,))
    sound = group_tally(10, 190_000 + trial * 9_000, latency_seconds=0.000_01)
    sound.connections_in_window = 99_999 * trial
    return replace(run(model, trial, plan=plan), tally=tally(sound, worker=0.99))


def spoilt(model: str) -> Run:
    """One with all that can go wrong."""
    group = group_tally(10, 900_000, latency_seconds=0.000_123_4)
    group.errors = {"ECONNRESET": 123_456, "ETIMEDOUT": 7}
    group.wrong = group.failed = 123_456
    group.refused = group.reset = group.timed_out = group.other_failed = 9_999
    return replace(
        run(model),
        tally=tally(group),
        server=replace(cost(processes=10_001), memory_bytes=1023 * 1024**2),
        kernel={"ListenOverflows": 1_234_567, "RetransSegs": 99_999},
    )


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(
    "found",
    [
        CORE,
        result(run()),
        result(*[spoilt(name) for name in LONG_NAMES] * 3),
        result(*[wide(name, trial, Group(10)) for name in LONG_NAMES for trial in (1, 2)]),
        result(
            *[
                wide(name, trial, Group(10, rate_per_second=999_999.0))
                for name in LONG_NAMES
                for trial in (1, 2)
            ]
        ),
        result(
            *[
                wide(name, trial, Group(10, messages_per_connection=1))
                for name in LONG_NAMES
                for trial in (1, 2)
            ]
        ),
        result(Run("thread", PLAN, problem="it did not start: " + "because " * 30)),
        result(replace(run(), notes=("a" * 300 + " b",)), notes=("word " * 60,)),
    ],
    ids=["core", "single", "spoilt", "closed", "open", "churn", "broken", "notes"],
)
def test_no_line_that_can_be_broken_is_wider_than_the_terminal(
    found: Result, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    too_wide = [line for line in shown(found).splitlines() if len(line) > width]
    assert [line for line in too_wide if " " in line.strip()] == []


SEVENTEEN = [f"model-{number:02}-of-all" for number in range(1, 16)] + list(LONG_NAMES)


def under(python: str, gil: str, trial: int) -> Run:
    one = wide("asyncio-streams", trial, Group(10, rate_per_second=999_999.0))
    return replace(one, python=python, gil=gil)


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(
    "found",
    [
        result(*[wide(name, trial, Group(10)) for name in SEVENTEEN for trial in (1, 2)]),
        result(
            *[
                replace(wide(name, trial, Group(10)), connections_by_worker=(10_000,) * 64)
                for name in SEVENTEEN
                for trial in (1, 2)
            ]
        ),
        result(
            *[
                under(python, gil, trial)
                for python, gil in (("PyPy 3.11.13 #2", "not known"), ("3.14.0t", "off"))
                for trial in (1, 2)
            ]
        ),
    ],
    ids=["seventeen models", "many workers", "interpreters"],
)
def test_many_rows_and_long_names_fit_as_well(
    found: Result, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is too wide is folded: no table is wider, and no name is cut.
    monkeypatch.setenv("COLUMNS", str(width))
    analysis = analyse(found)
    lines = as_text(analysis, all_tables=True).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for row in analysis.rows:
        assert set(row.name.split()) <= set(words)


def test_the_answer_comes_first_and_fits_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = as_text(analyse(CORE)).splitlines()
    assert len(lines) <= 35
    assert max(map(len, lines)) <= 80
    titles = [line for line in lines if line in ("What stands out", "Throughput", "Connections")]
    assert titles == ["What stands out", "Throughput"]
    assert "--all-tables" in lines[-2]
    for title in "Connections", "How messages and clients ended", "What it cost the server":
        assert title in " ".join(lines[-2:])
        assert f"\n{title}\n" in shown(CORE)


def test_a_narrow_terminal_does_without_what_matters_least(monkeypatch: pytest.MonkeyPatch) -> None:
    found = result(*trials("thread", [200, 220]), *trials("socketserver", [100, 101]))
    assert "MiB/s" in shown(found)
    monkeypatch.setenv("COLUMNS", "80")
    header = shown(found).split("\nThroughput\n")[1].split("---")[0].split()
    assert "MiB/s" not in header
    assert {"server", "served", "limited", "latency", "p50", "p99"} < set(header)


@pytest.mark.parametrize("width", ["60", "80"])
def test_a_table_too_wide_even_so_goes_on_below_with_its_names_and_headings(
    width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    part = shown(CORE).split("\nHow messages and clients ended\n")[1].split("  waiting: ")[0]
    above, below = part.strip("\n").split("\n\n")
    assert above.count("iterative") == below.count("iterative") == 1
    # What is under one heading stays together.
    assert "clients" not in above
    assert "clients" in below.splitlines()[0]
    assert below.splitlines()[1].split() == ["refused", "reset", "timed", "out", "other"]


def test_the_state_of_the_lock_stands_beside_each_interpreter() -> None:
    pythons = (("3.13.0", "on"), ("3.14.0t", "off"))
    runs = [replace(run(), python=python, gil=gil) for python, gil in pythons]
    text = shown(result(*runs))
    part = text.split("\nThroughput\n")[1].split("\n\n")[0]
    words = part.split("=")[0].split()
    for python, gil in pythons:
        assert words[words.index(python) - 1 :][:3] == ["thread", python, gil]
    assert "GIL  " not in shown(result(run("thread"), run("process")))


def test_connections_by_worker_have_a_line_for_each_trial() -> None:
    spreads = ((34, 33, 33), (40, 30, 30))
    runs = [
        replace(run("prefork", trial), connections_by_worker=spread)
        for trial, spread in enumerate(spreads, 1)
    ]
    text = shown(result(*runs, run("thread", 1), run("thread", 2)))
    part = text.split("\nConnections by worker\n")[1].split("\n\n")[0].splitlines()
    assert [line.split() for line in part[2:4]] == [
        ["prefork", "3", "33", "34", "34", "33", "33"],
        ["3", "30", "40", "40", "30", "30"],
    ]
    assert "thread" not in " ".join(part)
    assert "Connections by worker" not in shown(result(run()))


def test_datagrams_have_a_table_of_their_own() -> None:
    group = group_tally()
    group.intended, group.failed, group.lost, group.late, group.duplicated = 2009, 9, 9, 4, 2
    group.errors = {"ETIMEDOUT": 9}
    udp = replace(
        run(plan=replace(PLAN, transport="udp", timeout_seconds=1.0)),
        endpoint=Endpoint("inet", "127.0.0.1", 8008, transport="udp"),
        tally=tally(group),
    )
    text = shown(result(udp))
    assert line_of(text, "Datagrams", "thread")[1:] == ["2,009", "2,000", "9", "4", "2"]
    assert "no reply within 1.00 s" in text
    assert "9 of 2,009 datagrams got no reply in time" in text
    assert "UDP" in text.splitlines()[1]
    header = text.split("\nClients\n")[1].splitlines()[0]
    assert header.split() == ["server", "connected", "served", "starved", "errors", "first"]
    assert "Datagrams" not in shown(result(run()))


def test_a_starved_client_cannot_be_overlooked() -> None:
    text = shown(CORE)
    assert line_of(text, "Connections", "iterative")[1:4] == ["10", "1", "9"]
    assert "-  iterative       1/10" in text
    assert "iterative (starved clients)" in text
    assert "1 client was served, the other 9 connected and starved" in text


def lopsided(model: str, least: int, most: int) -> Run:
    """A run in which one of 10 clients got `least` messages, and the others `most`."""
    group = group_tally(10, most)
    group.answered_per_client[0] = least
    return replace(run(model), tally=tally(group))


def test_only_uneven_servers_are_named_with_what_their_clients_got() -> None:
    alike = "no client over twice as often as another."
    even, twice = lopsided("thread", 100, 200), lopsided("process", 99, 200)
    text = " ".join(shown(result(even, twice)).split())
    ends = "Messages of the least and the most served client in the window: process 99 to 200."
    assert ends in text
    assert f"thread answered {alike}" in text
    assert ends in " ".join(shown(result(twice)).split())
    both = " ".join(shown(result(even, lopsided("process", 150, 200))).split())
    assert (
        f"process, thread answered {alike}" in both or f"thread, process answered {alike}" in both
    )
    assert f"It answered {alike}" in " ".join(shown(result(even)).split())


def test_fairness_alone_is_enough_to_be_uneven() -> None:
    group = group_tally(10, 100)
    group.answered_per_client = [100] * 5 + [190] * 5
    text = shown(result(replace(run(), tally=tally(group))))
    assert "served client in the window: thread 100 to 190." in text


def test_a_prolonged_warm_up_is_said_with_its_length() -> None:
    late = replace(run("process"), tally=replace(tally(group_tally()), window_started=102.51))
    text = shown(result(run("thread"), late))
    assert "warm-up prolonged, for clients without a first reply: process 2.50 s." in text
    assert "prolonged" not in shown(result(run("thread")))


def test_every_end_of_clients_and_messages_is_in_a_table() -> None:
    group = group_tally()
    group.intended, group.wrong, group.failed, group.waiting = 2006, 1, 2, 3
    group.refused, group.reset, group.timed_out, group.other_failed = 4, 5, 6, 7
    group.errors = {"ECONNREFUSED": 4, "EPIPE": 2}
    text = shown(result(replace(run(), tally=tally(group))))
    assert line_of(text, "How messages and clients ended", "thread")[1:] == [
        "2,006", "2,000", "1", "2", "3", "4", "5", "6", "7",
    ]  # fmt: skip
    assert "ECONNREFUSED 4, EPIPE 2" in text


def test_what_was_not_measured_is_a_dash() -> None:
    nothing = tally(GroupTally("all", clients=10, refused=10), window=0.0)
    text = shown(result(run("thread"), replace(run("process"), tally=nothing)))
    assert set(line_of(text, "Throughput", "process")[1:]) == {"0/10", "-"}


def test_a_server_elsewhere_has_no_cost_and_the_table_says_why() -> None:
    far = replace(run(), server=ServerCost(note="it is another machine"))
    text = shown(result(far))
    assert "it is another machine" in text.split("What it cost the server")[1]
    assert "CPU per" not in text


def test_the_generators_limit_stands_beside_the_number() -> None:
    saturated = replace(run(), tally=tally(group_tally(), worker=0.99))
    text = shown(result(saturated))
    assert line_of(text, "Throughput", "thread")[2:4] == ["1,000", "generator"]
    assert "the server can do more" in text


def test_kernel_counters_are_shown_when_they_moved() -> None:
    assert "The kernel counted" not in shown(result(run()))
    text = shown(result(replace(run(), kernel={"ListenOverflows": 12, "ListenDrops": 0})))
    assert "ListenOverflows" in text
    assert "thread 12" in text
    assert "ListenDrops" not in text


def test_an_open_loop_shows_both_clocks_and_both_rates() -> None:
    group = group_tally()
    group.response.clear()
    group.response.record(500_000_000, 2000)
    plan = replace(PLAN, groups=(Group(10, rate_per_second=1234.0),))
    text = shown(result(replace(run(plan=plan), tally=tally(group))))
    cells = line_of(text, "Throughput", "thread")
    assert cells[2] == "1,000"
    assert " ".join(cells).endswith("500 ms 500 ms 500 ms 9.99 ms 9.99 ms")
    assert "asked for: 1,234 messages/s" in text
    assert "open loop at 1,234 messages/s" in text


def test_groups_have_rows_of_their_own() -> None:
    plan = Plan(
        (Group(8, name="main"), Group(2, name="slow"), Group(5, name="idle", silent=True)),
        duration_seconds=2.0,
    )
    idle = GroupTally("idle", clients=5, connected=5, held=5, answered_per_client=[0] * 5)
    counts = tally(group_tally(8, name="main"), group_tally(2, 10, name="slow"), idle)
    text = shown(result(replace(run(plan=plan), tally=counts)))
    part = text.split("Groups of clients")[1]
    assert ["thread", "main", "8", "8", "8", "800"] in [
        line.split()[:6] for line in part.splitlines()
    ]
    assert ["slow", "2", "2", "2", "10.0"] in [line.split()[:5] for line in part.splitlines()]
    assert ["idle", "5", "5", "5", "-"] in [line.split()[:5] for line in part.splitlines()]


def test_markdown_has_the_same_cells_and_the_command() -> None:
    text = as_markdown(analyse(replace(CORE, notes=("mind this",))))
    assert "    python -m loadgen" in text
    assert "| 1 | thread" in " ".join(text.split())
    assert "- mind this" in text
    pythons = (replace(run("prefork"), gil=None), replace(run("prefork"), python="3.14.0t"))
    found = result(*[replace(one, connections_by_worker=(99,) * 64) for one in pythons])
    text = as_markdown(analyse(found))
    assert "| prefork 3.14.0t | 64 | 99 | 99 | 99 99 " in " ".join(text.split())
    assert "| prefork 3.11.7 | not known |" in " ".join(text.split())
    header = next(line for line in text.splitlines() if "messages /s" in line)
    assert header.startswith("|")
    barred = replace(result(run()), runs=(replace(run(), label="a|b"),))
    assert r"| a\|b " in " ".join(as_markdown(analyse(barred)).split())


def test_a_group_by_the_clock_has_its_rate_beside_it_and_what_it_missed_is_said() -> None:
    text = shown(result(*(mixed(paced=100, trial=trial) for trial in (1, 2))))
    part = text.split("Groups of clients")[1]
    [line] = [words for words in map(str.split, part.splitlines()) if words[:1] == ["paced"]]
    assert line[:6] == ["paced", "10", "10", "10", "100", "1,000"]
    assert "the group paced got 10% of the 1,000 messages/s asked for" in text


def test_connections_per_second_are_shown_where_clients_come_and_go() -> None:
    assert "tions/s" not in shown(CORE)


def test_clients_that_starved_make_no_connections_per_second() -> None:
    plan = replace(PLAN, groups=(Group(10, messages_per_connection=1),))
    groups = group_tally(), group_tally(served=1)
    for one in groups:
        one.connections_in_window = 1234
    runs = [
        replace(run(name, plan=plan), tally=tally(group))
        for name, group in zip(("thread", "iterative"), groups, strict=True)
    ]
    text = shown(result(*runs))
    assert "617" in line_of(text, "Throughput", "thread")
    assert "617" not in line_of(text, "Throughput", "iterative")
    assert "617" not in line_of(text, "Connections", "iterative")


def test_drawing_a_table_changes_no_other_package() -> None:
    before = tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING
    shown(CORE)
    assert before == (tabulate.PRESERVE_WHITESPACE, tabulate.MIN_PADDING)
    assert not tabulate.PRESERVE_WHITESPACE


def test_a_cut_short_result_says_so_in_its_title() -> None:
    assert "cut short" in shown(replace(CORE, cut_short=True)).splitlines()[0]


def test_a_difference_keeps_its_verdict_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    runs = trials("socketserver", [200, 201])
    found, minds = diff(analyse(result(*runs)), analyse(result(*runs)))
    text = differences(found, ("one", "two"), minds)
    assert text.count("socketserver") == 1
    assert max(map(len, text.splitlines())) <= 80


def test_diff_as_text() -> None:
    a, b = (
        analyse(result(*trials("thread", per_client))) for per_client in ([200, 201], [300, 301])
    )
    found, minds = diff(a, b)
    text = differences(found, ("one", "two"), minds)
    assert "A: one" in text
    assert "better" in text
    assert "1.50" in text
    assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.0, "0 s"), (2.5e-8, "25.0 ns"), (8.3e-7, "830 ns"), (8.3e-4, "830 us"),
        (0.0009996, "1.00 ms"), (0.0123, "12.3 ms"), (0.9994, "999 ms"), (4.05, "4.05 s"),
        (90.0, "90.0 s"), (1234.0, "1,234 s"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (64, "64 B"),
        (12_600, "12.3 KiB"),
        (130 * 1024**2, "130 MiB"),
        (5e9, "4.66 GiB"),
    ],
)
def test_sizes(value: float | None, text: str) -> None:
    assert units.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0"), (3.254, "3.25"), (24_512.4, "24,512"), (0.0, "0")]
)
def test_rates(value: float | None, text: str) -> None:
    assert units.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1.0, "1.00"), (0.9991, "0.999"), (0.01, "0.010"), (0.87, "0.87")],
)
def test_fairness_is_not_rounded_up_to_1(value: float | None, text: str) -> None:
    assert units.fraction(value) == text


def test_spreads() -> None:
    assert units.spread(None) == "-"
    assert units.spread(Estimate(100, None, None, 1)) == "-"
    assert units.spread(Estimate(100, 100 / 1.04, 104, 3)) == "4.0%"
    assert units.spread(Estimate(100, 1, 10_000, 3)) == ">99%"


def test_two_speeds_stand_under_the_table() -> None:
    group = group_tally()
    group.timeline = ([175] * 10 + [400] * 10) * 3
    said = " ".join(as_text(analyse(result(replace(run(), tally=tally(group))))).split())
    assert "thread ran at two speeds, 3,500 messages/s for 51% of the time and 8,000 for " in said


def test_a_table_in_parts_says_in_each_whose_line_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = (("thread", "the quick one", "1" * 12, "2" * 12), ("", "hogs", "3" * 12, "4" * 12))
    drawn = text(Table("Groups", ("server", "group", "first", "second"), rows, words=(0, 1)))
    _, first, second = drawn.replace("Groups\n", "Groups\n\n").split("\n\n")
    assert [part.split()[:3] for part in (first, second)] == [
        ["server", "group", "first"],
        ["server", "group", "second"],
    ]
    assert "the quick one" in second  # and there is room for it
