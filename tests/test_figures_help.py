"""The help on figures names all of them, in lines that fit."""

import pytest

from loadgen.command.main import main
from loadgen.judge.registry import FIGURES
from loadgen.show.figures_help import help_figures


def test_every_figure_is_explained() -> None:
    text = help_figures()
    folded = " ".join(text.split())
    for path, figure in FIGURES.items():
        assert f"\n  {path} ({figure.label})" in text
        assert all(part in folded for part in figure.definition.split(": ", 1))
        assert figure.over_trials.value in folded


@pytest.mark.parametrize("width", [70, 100, 200])
def test_lines_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, help_figures().splitlines())) <= min(width, 100)


def test_the_command_prints_it_and_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help-figures"]) == 0
    assert "latency_seconds.p99" in capsys.readouterr().out
