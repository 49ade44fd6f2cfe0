"""Which rows of which results stand under which load, and how each of them looks."""

from dataclasses import replace

import pytest

from concurrency_models.backends import MODELS
from loadgen.judge.analysis import analyse
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.show.report.loads import load_labels, loads, parties
from loadgen.show.report.style import Style, style_of
from tests.report_results import outcome
from tests.runs import plan, result, run, trials

LOOK = style_of("thread")


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
    (load,) = loads([analyse(one), analyse(other)])
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
    (load,) = loads([analyse(result(*trials("thread", [100, 300, 200])))])
    assert load.subjects[0].typical.run.trial == 3
