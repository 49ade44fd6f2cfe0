"""The highest rate within a bound: what each trial shows, what it comes to, how it is told."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from concurrency_models.parser import USAGE_ERROR
from loadgen.command.parser import make_parser
from loadgen.command.plans import plans_of
from loadgen.command.rates import RateFinder, check_search, search_of
from loadgen.judge.analysis import analyse
from loadgen.judge.diff import ComparisonError, diff
from loadgen.judge.document import document
from loadgen.judge.rates import FoundRate, bound_of, by_generator, rate_of, why_failed
from loadgen.judge.requirement import RequirementError
from loadgen.judge.rows import Trial, trial_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.rate_search import RateSearch
from loadgen.plan.validation import PlanError
from loadgen.record import environment
from loadgen.record.files import dumps
from loadgen.record.histogram import Histogram
from loadgen.record.result import Ceiling, RecordError, Result, Run
from loadgen.show import rate_tables, report
from loadgen.show.result_text import as_markdown, as_text
from tests import runs
from tests.runs import cost, group_tally, tally

HERE = replace(environment.describe(), usable_cores=4)
P99 = bound_of("latency_seconds.p99 < 0.01")
SEARCH = RateSearch((str(P99),), highest=50_000.0)


def trial(
    rate: float | None,
    seconds: float = 2.0,
    *,
    answered: float | None = None,
    response: float = 0.001,
    model: str = "thread",
    late: float = 0.0,
    worker: float = 0.5,
    number: int = 1,
) -> Run:
    """A run that was asked for so many messages/s, and what came of it; times in seconds."""
    asked = rate or 1_000.0
    per_client = round((asked if answered is None else answered) * seconds / 10)
    counts = group_tally(10, per_client, window=seconds, latency_seconds=0.0005 if rate else None)
    if rate is not None:
        counts.response = Histogram()
        counts.response.record(round(response * 1e9), counts.answered)
        counts.lateness = Histogram()
        counts.lateness.record(round(late * 1e9), counts.answered)
    plan = Plan((Group(10, rate_per_second=rate),), duration_seconds=seconds, turns=None)
    return replace(
        runs.run(model, number, plan=plan),
        tally=tally(counts, window=seconds, worker=worker),
        server=replace(cost(0.4), measured_seconds=seconds, cpu_seconds=0.4 * seconds),
    )


def judged(run: Run, ceiling: Ceiling | None = None) -> Trial:
    return trial_of(run, ceiling, HERE)


# The bound


def test_a_bound_on_the_latency_is_one_on_the_response_time() -> None:
    assert str(P99) == "response_seconds.p99 < 0.01"
    assert str(bound_of("server.cpu_cores <= 0.5")) == "server.cpu_cores <= 0.5"


@pytest.mark.parametrize("text", ["latency.p99 < 1", "failed == 0", "latency_seconds.p99"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(RequirementError):
        bound_of(text)


# One trial


def test_a_trial_that_keeps_the_bound_has_nothing_wrong_with_it() -> None:
    assert why_failed(judged(trial(1_000.0)), P99) is None


def test_a_slow_reply_fails_by_when_it_was_due_and_not_by_when_it_was_sent() -> None:
    slow = judged(trial(1_000.0, response=0.05))
    assert (slow.figures.latency_seconds.p99 or 1.0) < 0.01
    assert why_failed(slow, P99) == "response p99 was 49.9 ms"


def test_a_server_that_falls_behind_fails_however_quick_its_replies_are() -> None:
    assert why_failed(judged(trial(1_000.0, answered=700.0)), P99) == "it reached 70% of the rate"


def test_poisson_arrivals_are_not_held_against_the_server() -> None:
    """Of 50 messages on average, chance leaves 45 due in one trial of many."""
    few = trial(100.0, 0.5, answered=90.0)
    assert why_failed(judged(few), P99) is not None
    groups = (replace(few.plan.groups[0], arrivals="poisson"),)
    assert why_failed(judged(replace(few, plan=replace(few.plan, groups=groups))), P99) is None


def test_errors_wrong_replies_and_messages_left_waiting_fail_it() -> None:
    for changes, said in (
        ({"failed": 1, "intended": 2_001, "errors": {"ECONNRESET": 1}}, "some messages failed"),
        ({"wrong": 1, "intended": 2_001}, "some messages failed"),
        ({"waiting": 1, "intended": 2_001}, "messages were left waiting"),
    ):
        sound = trial(1_000.0)
        assert sound.tally is not None
        [group] = sound.tally.groups
        for name, value in changes.items():
            setattr(group, name, value)
        assert why_failed(judged(sound), P99) == said


def test_a_server_that_did_not_run_kept_nothing() -> None:
    gone = replace(trial(1_000.0), tally=None, problem="it did not start")
    assert why_failed(judged(gone), P99) == "it did not run"


def test_any_figure_may_be_the_bound() -> None:
    assert why_failed(judged(trial(1_000.0)), bound_of("server.cpu_cores < 0.5")) is None
    said = why_failed(judged(trial(1_000.0)), bound_of("server.cpu_cores < 0.3"))
    assert said == "cores busy was 0.40 cores"


def test_the_generator_is_blamed_where_it_was_late_or_at_its_ceiling() -> None:
    ceiling = Ceiling(10_000.0, 0.95, 0.3, 1)
    assert not by_generator(judged(trial(5_000.0, response=0.05)), ceiling)
    assert by_generator(judged(trial(5_000.0, response=0.05, late=0.04)), ceiling)
    assert by_generator(judged(trial(9_900.0, answered=9_500.0)), ceiling)
    # Busy while it waits for the clock, and the rate was reached: that is no limit.
    assert not by_generator(judged(trial(5_000.0, response=0.05, worker=0.97)), ceiling)
    assert by_generator(judged(trial(8_000.0, answered=5_000.0, worker=0.97)), ceiling)


# What the trials come to


def searched(*trials: Run, search: RateSearch = SEARCH, ceiling: Ceiling | None = None) -> Result:
    return runs.result(*trials, rate_search=search, ceiling=ceiling)


def held_and_failed(model: str = "thread", **above: float) -> list[Run]:
    """A whole search: a closed loop, then 1,000/s held and 1,040/s failed."""
    long = [trial(1_000.0, model=model, number=number) for number in (2, 3)]
    failed = [
        trial(1_040.0, model=model, number=number, **{"response": 0.02, **above})
        for number in (4, 5)
    ]
    return [trial(None, 0.5, model=model), *long, *failed]


def test_what_was_found_is_between_what_held_and_what_failed() -> None:
    [found] = analyse(searched(*held_and_failed())).rates
    assert found == FoundRate(
        name="thread",
        bound="response_seconds.p99 < 0.01",
        rate=1_000.0,
        failed=1_040.0,
        held=2,
        trials=2,
        seconds=2.0,
        why="response p99 was 20.0 ms",
        generator=False,
        sure=True,
    )


def test_each_server_and_each_bound_has_a_row() -> None:
    both = replace(SEARCH, bounds=(*SEARCH.bounds, "response_seconds.p99 < 0.1"))
    trials = [*held_and_failed("thread"), *held_and_failed("selectors")]
    found = analyse(searched(*trials, search=both)).rates
    assert [(one.name, one.bound) for one in found] == [
        ("thread", both.bounds[0]),
        ("thread", both.bounds[1]),
        ("selectors", both.bounds[0]),
        ("selectors", both.bounds[1]),
    ]
    assert (found[1].rate, found[1].failed, found[1].sure) == (1_040.0, None, False)


def test_a_trial_that_was_cut_short_shows_nothing() -> None:
    whole = held_and_failed()
    last = trial(1_000.0, 0.5, response=9.0)
    assert last.tally is not None
    cut = replace(last, tally=replace(last.tally, cut_short=True))
    assert analyse(searched(*whole, cut)).rates == analyse(searched(*whole)).rates


def test_a_limit_of_the_generator_is_told_as_such_and_no_figure_of_the_server() -> None:
    analysis = analyse(searched(*held_and_failed(late=0.015)))
    assert analysis.rates[0].generator
    text = as_text(analysis)
    assert "generator: response p99 was 20.0 ms" in text
    assert "the load generator was the limit" in text


def test_a_server_faster_than_the_generator_has_no_upper_end() -> None:
    search = replace(SEARCH, highest=1_000.0)
    analysis = analyse(searched(*held_and_failed()[:3], search=search))
    [found] = analysis.rates
    assert (found.rate, found.failed, found.sure) == (1_000.0, None, True)
    text = " ".join(as_text(analysis).split())
    assert "1,000 or more" in text
    assert "the load generator can do no more on this machine" in text


def test_a_server_slower_than_the_lowest_rate_has_none() -> None:
    failed = [trial(10.0, seconds, response=0.5) for seconds in (0.5, 1.0, 2.0, 2.0)]
    analysis = analyse(searched(trial(None, 0.5), *failed))
    assert (analysis.rates[0].rate, analysis.rates[0].failed) == (None, 10.0)
    text = " ".join(as_text(analysis).split())
    assert "below 10.0" in text
    assert "not even at the lowest rate, 10.0/s (response p99 was 500 ms)" in text


def test_a_server_that_answers_nothing_has_none_either() -> None:
    gone = replace(trial(None), tally=None, problem="it did not start")
    [found] = analyse(searched(gone)).rates
    assert (found.rate, found.failed, found.why) == (None, None, "nothing was answered")
    assert "no rate was found" in rate_tables.sentence(found, SEARCH)


# Told, saved, judged again


def test_the_table_fits_a_terminal_and_says_what_its_words_mean() -> None:
    both = replace(SEARCH, bounds=(*SEARCH.bounds, "server.cpu_seconds_per_message < 0.0001"))
    for search in (SEARCH, both):
        text = as_text(analyse(searched(*held_and_failed(late=0.015), search=search)))
        assert max(map(len, text.splitlines())) <= 100
        assert "2 of 2, 2 s" in text
        assert "1,000 to 1,040" in text
        assert "Throughput" not in text


def test_markdown_has_the_curves_of_the_trials_beside_it() -> None:
    text = as_markdown(analyse(searched(*held_and_failed())))
    assert "## Highest rate with response p99 < 10.0 ms" in text
    assert "1,040/s |" in text


def test_a_saved_search_is_judged_again() -> None:
    analysis = analyse(searched(*held_and_failed()))
    saved = json.loads(dumps(document(analysis)))
    assert saved["rates"] == [analysis.rates[0].to_json()]
    read = Result.from_json(saved)
    assert read.rate_search == SEARCH
    assert analyse(read).rates == analysis.rates
    assert "rate_search" not in runs.result(runs.run()).to_json()


def test_two_searches_are_not_set_side_by_side_trial_by_trial() -> None:
    found, plain = analyse(searched(*held_and_failed())), analyse(runs.result(runs.run()))
    for a, b in ((found, found), (found, plain), (plain, found)):
        with pytest.raises(ComparisonError, match="chooses the rates"):
            diff(a, b)


def test_a_report_tells_what_was_found_and_not_each_trial(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    report.write_report([analyse(searched(*held_and_failed()))], page)
    text = page.read_text()
    assert "The highest rate with response p99 &lt; 10.0 ms" in text
    assert "up to 1,000 messages/s, not at 1,040" in text
    assert "Limited by" not in text


@pytest.mark.parametrize(
    ("field", "wrong"), [("bounds", ["latency < 1"]), ("width", 0), ("bounds", [])]
)
def test_a_damaged_search_is_a_damaged_result(field: str, wrong: object) -> None:
    saved = json.loads(dumps(document(analyse(searched(*held_and_failed())))))
    saved["rate_search"][field] = wrong
    with pytest.raises(RecordError, match="damaged"):
        analyse(Result.from_json(saved))


# The command


def asked(*words: str) -> Namespace:
    return make_parser().parse_args(["--find-rate", "latency_seconds.p99 < 0.01", *words])


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "100"),
        ("--clients", "1,10"),
        ("--sweep", "size=1,2"),
        ("--messages", "5"),
        ("--think", "0.1"),
        ("--require", "failed < 1"),
        ("--ramp", "1"),
        ("--talk", "greet"),
        ("--precision", "0.1%"),
        ("--group", "name=b,clients=2"),
        ("--clients", "2", "--group", "name=b,clients=2"),
    ],
)
def test_what_a_search_does_not_go_with_is_refused(words: tuple[str, ...]) -> None:
    options = asked(*words)
    if words == ("--group", "name=b,clients=2"):
        check_search(options, plans_of(options, 1))  # one group that talks, under its own name
        return
    with pytest.raises(PlanError):
        check_search(options, plans_of(options, 1))


def test_a_bound_that_cannot_be_read_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(["--find-rate", "latencies < 1"])
    assert ended.value.code == USAGE_ERROR


def test_the_options_give_the_width_the_length_and_the_number_of_trials() -> None:
    options = asked("--precision", "2%", "--duration", "1.5", "--lives", "5")
    [plan] = plans_of(options, 1)
    search = search_of(options, plan, Ceiling(54_321.0, 0.9, 0.4, 1))
    assert search == RateSearch(
        ("response_seconds.p99 < 0.01",), 0.02, 1.5, 5, lowest=10.0, highest=54_300.0
    )


def test_a_search_goes_from_a_closed_loop_to_its_end() -> None:
    """A finder and two made-up servers: trials of both until nothing is left to find."""
    options = asked()
    [plan] = plans_of(options, 1)
    search = search_of(options, plan, None)
    finder = RateFinder(options, plan, search, ["quick", "slow"], (None, HERE))
    knees = {"quick": 20_000.0, "slow": 900.0}
    rates: dict[str, list[float | None]] = {name: [] for name in knees}
    while plans := finder.next_plans():
        for name, wanted in plans.items():
            rate, seconds = rate_of(wanted), wanted.duration_seconds or 0.0
            rates[name].append(rate)
            slow = rate is not None and rate > knees[name]
            done = trial(rate, seconds, response=0.05 if slow else 0.001)
            finder.take(name, done)
            assert len(rates[name]) < 100
    for name, knee in knees.items():
        assert rates[name][0] is None
        low, high = finder.words(name).removesuffix("/s").replace(",", "").split(" to ")
        assert float(low) <= knee < float(high)
    assert finder.time_is_up() == ""


def test_a_search_ends_in_time_and_says_what_is_missing() -> None:
    options = asked("--max-seconds", "0.000001")
    [plan] = plans_of(options, 1)
    search = search_of(options, plan, None)
    finder = RateFinder(options, plan, search, ["slow"], (None, HERE))
    finder.take("slow", trial(None, 0.5))
    said = finder.time_is_up()
    assert "before it was done (slow)" in said
    assert "--max-seconds gives more" in said
