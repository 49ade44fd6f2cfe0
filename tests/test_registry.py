"""The registry holds every figure, and nothing else."""

import pytest

from loadgen.judge.figures import EngineFigures, Figures, LoadFigures, Percentiles, flat
from loadgen.judge.registry import FIGURES, SECTIONS, Better, OverTrials, figure_of

SPREAD = Percentiles()
FULL = Figures(
    name="all",
    clients=0,
    engine=EngineFigures(1),
    response_seconds=SPREAD,
    lateness_seconds=SPREAD,
    groups={
        "a.b": LoadFigures(name="a.b", clients=0, response_seconds=SPREAD, lateness_seconds=SPREAD)
    },
    kernel={"ListenDrops": 0},
    probe={"replies": 0},
)


def test_every_figure_is_registered_and_everything_registered_is_a_figure() -> None:
    families = ("groups.", "kernel.", "probe.")
    assert {path for path in flat(FULL) if not path.startswith(families)} == set(FIGURES)


def test_every_path_leads_to_a_figure_of_that_path() -> None:
    for path in flat(FULL):
        assert figure_of(path).path == path


def test_no_path_is_registered_twice() -> None:
    assert len(FIGURES) == sum(len(figures) for figures in SECTIONS.values())


def test_a_group_has_the_figures_of_a_load_under_its_name() -> None:
    found = figure_of("groups.a.b.latency_seconds.p99")
    own = FIGURES["latency_seconds.p99"]
    assert found.label == "a.b: latency p99"
    assert (found.unit, found.over_trials, found.definition) == (
        own.unit,
        own.over_trials,
        own.definition,
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "messages_per_sec",
        "latency_seconds",
        "groups.slow",
        "groups.slow.messages_per_sec",
        "groups.messages",
        "groups.slow.server.cpu_cores",
        "kernel.NoSuchCounter",
        "probe",
        "server.memory_kind",
    ],
)
def test_what_is_no_figure(path: str) -> None:
    with pytest.raises(KeyError):
        figure_of(path)


def test_the_unit_is_the_one_in_the_path() -> None:
    for path, figure in FIGURES.items():
        if figure.unit.name in ("seconds", "bytes", "bytes per second"):
            assert figure.unit.name.replace(" ", "_") in path
        if path.endswith("_per_second"):
            assert figure.unit.name.endswith("per second")


def test_percentiles_are_pooled_and_waiting_is_never_better() -> None:
    for path, figure in FIGURES.items():
        if path.endswith((".p50", ".p90", ".p99", ".p999", ".max")):
            assert figure.over_trials is OverTrials.POOLED
            assert figure.better is Better.LOWER
