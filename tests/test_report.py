"""What a report says and shows, as data and as HTML; a browser looks at it elsewhere."""

import gzip
import importlib.util
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from concurrency_models.backends import MODELS
from loadgen.command import main as cli
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.files import RESULT_FILE, dumps
from loadgen.record.histogram import Histogram
from loadgen.record.monitor import Sample, ServerCost
from loadgen.record.result import RecordError, Result, Run
from loadgen.record.tally import Lane
from loadgen.show.report import missing, write_report
from loadgen.show.report.loads import load_labels, loads, parties, sweeps
from loadgen.show.report.style import Style, style_of
from loadgen.show.report.views import (
    CONNECTING,
    MOST_DOTS,
    MOST_PANELS,
    SERVED,
    SILENT,
    WAITING,
    Bars,
    Lanes,
    Lines,
    Section,
    Stretch,
    cpu_over_time,
    even_shares,
    lanes_of,
    rate_over_time,
    sections,
    tail,
)
from tests.report_results import HOSTILE, everything, outcome
from tests.runs import PLAN, group_tally, result, run, starving, tally, trials

LOOK = style_of("thread")


def section(anchor: str, *results: Result) -> Section:
    return next(one for one in sections(loads(results)) if one.anchor == anchor)


# Looks


def test_every_model_has_a_look_of_its_own() -> None:
    looks = {(style_of(name).color, style_of(name).marker) for name in MODELS}
    assert len(looks) == len(MODELS)


def test_an_unknown_model_looks_the_same_in_every_report() -> None:
    # Literals: a look that changed from one process to the next would still equal itself.
    assert style_of("my-own-server") == Style("#E69F00", "inverted_triangle")


def test_variants_of_a_model_share_its_colour_and_differ_in_dash() -> None:
    assert style_of("thread", 1).color == LOOK.color
    assert style_of("thread", 1).marker == LOOK.marker
    assert style_of("thread", 1).dash != LOOK.dash


# Loads


def plan(*groups: Group, framing: str = "length") -> Plan:
    return Plan(groups, framing=framing, duration_seconds=2.0)


@pytest.mark.parametrize(
    ("plans", "labels"),
    [
        ([plan(Group(10))], [""]),
        ([plan(Group(1)), plan(Group(10))], ["1 client", "10 clients"]),
        (
            [plan(Group(5, size_bytes=64)), plan(Group(5, size_bytes=10 * 1024))],
            ["64 B", "10.0 KiB"],
        ),
        ([plan(Group(5), framing="raw"), plan(Group(5))], ["raw framing", "length framing"]),
        (
            [plan(Group(1, "fast")), plan(Group(1, "fast"), Group(2, "fib", work="fib:20"))],
            ["no fib", "2 fib"],
        ),
        (
            [plan(Group(5)), plan(Group(5, rate_per_second=2000))],
            ["closed loop", "2,000/s asked, constant arrivals"],
        ),
    ],
)
def test_loads_are_named_by_what_tells_them_apart(plans: list[Plan], labels: list[str]) -> None:
    assert load_labels(plans) == labels


def test_several_results_stand_side_by_side_under_letters() -> None:
    one, other = result(*trials("thread", [200, 210])), result(*trials("thread", [300, 310]))
    (load,) = loads([one, other])
    assert [subject.name for subject in load.subjects] == ["thread (A)", "thread (B)"]
    assert [subject.style.dash for subject in load.subjects] == ["solid", "dashed"]
    assert {subject.style.color for subject in load.subjects} == {LOOK.color}


def test_results_that_share_a_load_belong_together_if_by_way_of_others() -> None:
    ten, twenty, thirty = (run(plan=plan(Group(count))) for count in (10, 20, 30))
    bridge = result(ten, twenty)
    assert parties([result(ten), result(thirty), result(twenty), bridge]) == [(0, 2, 3), (1,)]


def test_different_experiments_stand_apart_though_they_share_a_load() -> None:
    told = outcome()
    same = [result(run(), experiment=told), result(run(), experiment=told)]
    other = result(run(), experiment=replace(told, name="another"))
    assert parties([same[0], other, same[1]]) == [(0, 2), (1,)]


def test_two_results_are_on_one_chart_whatever_they_measured() -> None:
    assert parties([result(run()), result(run(plan=plan(Group(99))))]) == [(0, 1)]


def test_pictures_show_the_trial_in_the_middle() -> None:
    (load,) = loads([result(*trials("thread", [100, 300, 200]))])
    assert load.subjects[0].typical.run.trial == 3


def test_loads_that_differ_in_one_number_make_a_curve() -> None:
    runs = [run(plan=plan(Group(count))) for count in (100, 1, 10)]
    (sweep,) = sweeps(loads([result(*runs)]))
    assert sweep.by == "clients"
    assert [value for value, _ in sweep.steps] == [1, 10, 100]


def test_loads_that_differ_in_two_numbers_make_none() -> None:
    runs = [run(plan=plan(Group(10 * size, size_bytes=size))) for size in (1, 2, 3)]
    assert sweeps(loads([result(*runs)])) == []


def unmeasured(*groups: Group) -> Run:
    return Run("thread", plan(*groups), problem="it did not start")


def test_a_mix_of_talking_groups_makes_no_curve() -> None:
    mixed = [unmeasured(Group(1, "fast"), Group(count, "slow")) for count in (1, 2)]
    assert sweeps(loads([result(*mixed)])) == []


def test_silent_clients_that_grow_beside_busy_ones_make_a_curve() -> None:
    idle = [
        unmeasured(Group(10, "busy"), Group(count, "idle", silent=True)) for count in (1000, 10_000)
    ]
    (sweep,) = sweeps(loads([result(*idle)]))
    assert sweep.by == "idle clients"


# What the charts show


def test_bars_carry_the_mean_its_interval_and_every_trial() -> None:
    throughput = section("throughput", result(*trials("thread", [200, 210, 220])))
    (panel,) = throughput.panels
    assert isinstance(panel, Bars)
    (bar,) = panel.bars
    assert bar.trials == (1000.0, 1050.0, 1100.0)
    assert bar.mean is not None
    assert bar.low is not None
    assert bar.high is not None
    assert bar.mean == pytest.approx((1000 * 1050 * 1100) ** (1 / 3))
    assert bar.low < bar.mean < bar.high
    assert bar.firm


def test_one_trial_has_no_interval_and_starving_is_not_firm() -> None:
    throughput = section("throughput", result(run(), starving()))
    (panel,) = throughput.panels
    assert isinstance(panel, Bars)
    by_name = {bar.name: bar for bar in panel.bars}
    assert by_name["thread"].low is None
    assert by_name["thread"].firm
    assert not by_name["iterative"].firm
    assert "starved clients" in by_name["iterative"].text


def test_what_did_not_run_is_said_and_not_drawn_as_zero() -> None:
    failed = replace(run("process"), tally=None, problem="it did not start")
    throughput = section("throughput", result(run(), failed))
    (panel,) = throughput.panels
    assert isinstance(panel, Bars)
    assert [bar.mean for bar in panel.bars if bar.name == "process"] == [None]
    assert "not measured for process" in throughput.says[0]


def test_a_report_of_nothing_but_failures_has_no_charts() -> None:
    failed = replace(run(), tally=None, problem="it did not start", server=ServerCost())
    assert sections(loads([result(failed)])) == []


def test_the_tail_runs_through_the_percentiles_and_ends_at_one_in_all() -> None:
    histogram = Histogram()
    for position in range(1, 1001):
        histogram.record(position * 1_000_000)
    line = tail("thread", LOOK, histogram)
    assert list(line.xs) == sorted(line.xs)
    assert list(line.ys) == sorted(line.ys)
    assert (line.xs[0], line.xs[-1]) == (1.0, 1000.0)
    assert line.ys[-1] == histogram.max
    marked = {line.xs[mark]: line.ys[mark] for mark in line.marks}
    assert marked == {
        2: histogram.percentile(50),
        10: histogram.percentile(90),
        100: histogram.percentile(99),
        1000: histogram.percentile(99.9),
    }


def test_a_tail_of_one_value_is_a_point() -> None:
    histogram = Histogram()
    histogram.record(1_000_000)
    line = tail("thread", LOOK, histogram)
    assert line.xs == (1.0,)
    assert line.marks == ()


def test_open_loop_shows_response_and_service_time() -> None:
    open_loop = run(plan=plan(Group(10, rate_per_second=1000)))
    (panel,) = section("latency", result(open_loop)).panels
    assert isinstance(panel, Lines)
    assert [line.name for line in panel.lines] == ["thread", "thread, service"]
    assert panel.lines[0].style.dash != panel.lines[1].style.dash


@pytest.mark.parametrize(
    ("lane", "stretches"),
    [
        (
            Lane(0, 0.0, 0.1, 0.3, 0.9, 7),
            (Stretch(CONNECTING, 0.0, 0.1), Stretch(WAITING, 0.1, 0.3), Stretch(SERVED, 0.3, 0.9)),
        ),
        (Lane(0, 0.0, 0.1), (Stretch(CONNECTING, 0.0, 0.1), Stretch(WAITING, 0.1, 2.5))),
        (Lane(0, 0.0, None, None, 1.0), (Stretch(CONNECTING, 0.0, 1.0),)),
    ],
)
def test_a_lane_is_a_client_s_life(lane: Lane, stretches: tuple[Stretch, ...]) -> None:
    group = group_tally()
    group.lanes = [lane, Lane(1)]
    panel = lanes_of(replace(run(), tally=tally(group)), "thread")
    assert panel is not None
    assert panel.lanes == (stretches,)
    assert panel.labels == ("1",)


def test_silent_clients_do_not_wait_for_a_reply() -> None:
    busy, idle = group_tally(name="busy"), group_tally(name="idle", served=0)
    busy.lanes = [Lane(0, 0.0, 0.1, 0.2)]
    idle.lanes = [Lane(0, 0.0, 0.1)]
    groups = plan(Group(10, "busy"), Group(10, "idle", silent=True))
    panel = lanes_of(replace(run(), plan=groups, tally=tally(busy, idle)), "thread")
    assert panel is not None
    assert panel.labels == ("busy 1", "idle 1")
    assert [part.state for part in panel.lanes[1]] == [CONNECTING, SILENT]


def test_all_lanes_share_one_time_scale() -> None:
    panels = section("lanes", everything()).panels
    assert len({panel.seconds for panel in panels if isinstance(panel, Lanes)}) == 1


def test_shares_are_multiples_of_the_mean_with_both_ends_kept() -> None:
    assert even_shares([0, 0, 30, 10]) == (0.0, 0.0, 1.0, 3.0)
    many = even_shares([0, *range(1000, 5000), 100_000])
    assert len(many) == MOST_DOTS
    assert many[0] == 0
    assert many[-1] == pytest.approx(100_000 * 4002 / (100_000 + sum(range(1000, 5000))))


def sampled(*pairs: tuple[float, float]) -> ServerCost:
    return ServerCost(samples=tuple(Sample(at, cpu, None, 1, 1) for at, cpu in pairs))


def test_cpu_is_what_was_used_since_a_while_before() -> None:
    watched = sampled((-1, 1.0), (0, 1.0), (1, 1.5), (2, 2.5))
    assert cpu_over_time(replace(run(), server=watched)) == [(0, 0.0), (1, 0.5), (2, 1.0)]


def test_cpu_over_a_few_ticks_is_not_shown() -> None:
    watched = sampled((0, 1.0), (0.1, 1.01), (0.2, 1.02), (0.3, 1.15))
    ((at, cores),) = cpu_over_time(replace(run(), server=watched))
    assert at == 0.3
    assert cores == pytest.approx(0.5)


def test_a_run_that_was_over_at_once_has_no_rate_over_time() -> None:
    group = group_tally()
    group.timeline = [4]
    assert rate_over_time(replace(run(), tally=tally(group))) == []


def test_the_rate_over_time_leaves_the_last_slice_out_and_joins_many() -> None:
    group = group_tally()
    group.timeline = [10, 20, 5]
    assert rate_over_time(replace(run(), tally=tally(group))) == [
        pytest.approx((0.05, 100)),
        pytest.approx((0.15, 200)),
    ]
    group.timeline = [10] * 1001
    points = rate_over_time(replace(run(), tally=tally(group)))
    assert len(points) == 250
    assert {round(rate, 6) for _, rate in points} == {100}


def test_many_loads_are_drawn_in_part_and_that_is_said() -> None:
    runs = [run(plan=plan(Group(10, size_bytes=2**size))) for size in range(12)]
    latency = section("latency", result(*runs))
    assert len(latency.panels) == MOST_PANELS
    assert f"Drawn for {MOST_PANELS} of 12 loads" in latency.about


def test_a_curve_has_a_point_per_value_and_rings_its_knee() -> None:
    every = loads([result(*(run(plan=plan(Group(count))) for count in (1, 10, 100)))])
    (curve,) = [
        one
        for one in sections(every, knees={("clients", "thread"): 10.0})
        if one.anchor == "curves"
    ]
    rate = curve.panels[0]
    assert isinstance(rate, Lines)
    assert rate.lines[0].xs == (1, 10, 100)
    assert rate.lines[0].knee == 1
    assert "knee at 10" in curve.says[0]


def test_every_section_has_sentences_and_tables_with_the_same_servers() -> None:
    for one in sections(loads([everything()])):
        assert one.says, one.title
        assert one.tables, one.title
        assert one.panels, one.title


# The page


class Page(HTMLParser):
    """What matters of a page: its anchors and links, and every address that it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loads: list[str] = []
        self.text = ""
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = tag
        self.ids.add(given.get("id", ""))
        if tag == "a":
            self.links.add(given["href"])
        elif tag == "figure":
            self.words.append(given["aria-label"])
        else:
            self.loads += [given[name] for name in ("src", "href") if name in given]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base class calls it so
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report([everything()], path)
    return path.read_text()


def test_the_page_loads_nothing_and_forbids_it(html: str) -> None:
    page = Page(html)
    assert [address for address in page.loads if not address.startswith("data:")] == []
    assert "default-src 'none'" in html


def test_every_link_leads_to_a_place_on_the_page(html: str) -> None:
    page = Page(html)
    assert page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids


def test_every_chart_has_words(html: str) -> None:
    page = Page(html)
    assert len(page.words) == sum(len(one.panels) for one in sections(loads([everything()])))
    assert all(len(words) > 40 for words in page.words)


def test_names_are_shown_as_they_are_and_never_as_markup(html: str) -> None:
    assert HOSTILE not in html
    assert HOSTILE in Page(html).text


def test_an_experiment_comes_first_with_its_claims(html: str) -> None:
    text = re.sub(r"\s+", " ", Page(html).text)
    told = outcome()
    assert html.index('<section id="experiment">') < html.index('<section id="verdict">')
    for word in ("✓ as expected", "! surprise", "? not checked", told.question, told.reading):
        assert word in text


def test_the_page_gives_the_command_and_the_machine(html: str) -> None:
    text = Page(html).text
    assert "python -m loadgen" in text
    assert everything().environment.kernel in text


def test_two_results_are_set_against_each_other(tmp_path: Path) -> None:
    one, other = result(*trials("thread", [200, 201])), result(*trials("thread", [400, 402]))
    write_report([one, other], tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "thread: B has 2.00 times the messages/s of A" in text
    assert "better" in text


def test_results_of_unlike_loads_share_a_page_and_say_so(tmp_path: Path) -> None:
    one, other = result(run()), result(run(plan=plan(Group(10, size_bytes=128))))
    write_report([one, other], tmp_path / "report.html")
    assert "the loads differ" in Page((tmp_path / "report.html").read_text()).text


def html_of(path: Path, *results: Result) -> str:
    write_report(results, path / "report.html")
    return (path / "report.html").read_text()


def test_many_unlike_results_stand_one_after_the_other(tmp_path: Path) -> None:
    told = outcome()
    every = [
        result(run(plan=plan(Group(10 + at))), experiment=replace(told, name=f"experiment-{at}"))
        for at in range(12)
    ]
    html = html_of(tmp_path, *every)
    title = "12 results: experiment-0, experiment-1, experiment-2, experiment-3, experiment-4"
    assert f"<h1>{title} and 7 more</h1>" in html
    page = Page(html)
    assert {"#A-result", "#L-result", "#L-latency"} <= page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert "against A" not in page.text
    assert "the loads differ" not in page.text
    assert html.index('id="A-latency"') < html.index('id="B-verdict"')


def test_of_three_results_those_alike_are_set_against_each_other(tmp_path: Path) -> None:
    one, other = result(*trials("thread", [200, 201])), result(*trials("thread", [400, 402]))
    text = Page(html_of(tmp_path, one, result(run(plan=plan(Group(99)))), other)).text
    assert "thread: C has 2.00 times the messages/s of A" in text
    assert "B against A" not in text


def test_reports_are_small_and_share_the_block_with_bokeh(tmp_path: Path) -> None:
    pages = [html_of(tmp_path, everything()), html_of(tmp_path, result(run()))]
    assert len(pages[0]) < 700_000
    blocks = [re.findall('type="application/gzip"[^>]*id="bokeh">([^<]*)<', one) for one in pages]
    assert blocks[0] == blocks[1]
    assert b"Bokeh" in gzip.decompress(b64decode(blocks[0][0]))


# The command


def test_the_command_writes_beside_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / RESULT_FILE).write_text(dumps(result(run(plan=PLAN)).to_json()))
    assert cli.main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert str(tmp_path / "report.html") in capsys.readouterr().err


def test_a_missing_result_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_without_bokeh_the_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install" in (missing() or "")
    with pytest.raises(RecordError, match="pip install"):
        write_report([result(run())], tmp_path / "report.html")


def test_report_and_no_save_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--report", "--no-save"]) == 2
    assert "--no-save" in capsys.readouterr().err
