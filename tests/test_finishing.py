"""Ctrl-C after the measuring: in every phase what was measured is kept, and the second one ends."""

import json
import signal
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadgen.command import main as program
from loadgen.command import present, session
from loadgen.command.main import COMMANDS, command, main
from loadgen.command.status import INTERRUPTED
from loadgen.fleet.measure import measure
from loadgen.fleet.turns import measure_in_turns
from loadgen.judge.analysis import analyse

WORDS = ("--model", "selectors", "--clients", "2", "--messages", "20", "--no-ceiling", "-q")


def interrupted(action: Callable[..., Any], times: int = 1) -> Callable[..., Any]:
    """The same, with Ctrl-C pressed so many times before it is done."""

    def wrapper(*arguments: Any, **more: Any) -> Any:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        return action(*arguments, **more)

    return wrapper


@pytest.mark.parametrize("phase", ["analyse", "document", "write", "as_markdown", "as_text"])
def test_whichever_phase_is_interrupted_the_result_is_saved_and_shown(
    phase: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # A first Ctrl-C in the first phase only: `write` is called twice.
    done = interrupted(getattr(present, phase))
    plain = getattr(present, phase)

    def once(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(present, phase, plain)
        return done(*arguments, **more)

    monkeypatch.setattr(present, phase, once)
    assert main(WORDS) == INTERRUPTED
    out, err = capfd.readouterr()
    [folder] = (tmp_path / "results").iterdir()
    data = json.loads((folder / "run.json").read_text())
    assert data["runs"][0]["figures"]["answered"] == 40
    assert data["cut_short"] is False
    assert (folder / "tables.md").exists()
    assert "Throughput" in out
    assert "Ctrl-C once more gives that up" in err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("command", ["report", "diff"])
def test_a_command_that_measures_nothing_says_so_as_well(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, command, interrupted(lambda _: 0))
    assert main([command, "A", "B"]) == INTERRUPTED
    assert capfd.readouterr().err == "loadgen: stopped before anything was written\n"


LIVES = ("--turn", "0.1", "--lives", "3")


@pytest.mark.parametrize(
    ("cleared_away", "more"),
    [
        (measure_in_turns, LIVES),
        (measure_in_turns, (*LIVES[:2], "--find-rate", "fairness > 0")),
        (measure, ("--messages", "20", "--trials", "3")),
    ],
)
def test_ctrl_c_as_what_was_measured_is_cleared_away_is_not_lost(
    cleared_away: Callable[..., Any],
    more: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Part:
        """Something that a life was made of: as it goes, others are told."""

    told = []

    def live(*arguments: Any) -> Any:
        runs = cleared_away(*arguments)
        part = Part()
        told.append(weakref.ref(part, lambda _: signal.raise_signal(signal.SIGINT)))
        return runs

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, cleared_away.__name__, live)
    words = ("--model", "selectors", "--clients", "2", "--no-ceiling", "-q")
    assert main([*words, *more]) == INTERRUPTED
    assert len(told) == 1
    assert "cut short" in capfd.readouterr().out


def test_one_more_while_the_first_is_told_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "report", interrupted(lambda _: 0))
    monkeypatch.setattr(program, "complain", interrupted(lambda *_: 0))
    monkeypatch.setattr("sys.argv", ["loadgen", "report", "A"])
    try:
        with pytest.raises(SystemExit) as ended:
            command()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert ended.value.code == INTERRUPTED
    assert capfd.readouterr() == ("", "")


def test_the_second_one_ends_it_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(present, "analyse", interrupted(analyse, times=2))
    assert main(WORDS) == INTERRUPTED
    out, err = capfd.readouterr()
    assert out == ""
    assert "loadgen: stopped before everything measured was saved and shown\n" in err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
