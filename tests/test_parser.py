"""Whatever means nothing on the command line is answered with one line."""

import pytest

from concurrency_models.parser import USAGE_ERROR
from loadgen.command.main import COMMANDS, main
from loadgen.command.parser import OTHER_COMMANDS, make_parser


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
        make_parser().parse_args(words)
    assert end.value.code == USAGE_ERROR
    said = capsys.readouterr().err
    assert said.startswith("loadgen: ")
    assert said.count("\n") == 1


def test_models_may_be_named_between_commas_or_one_by_one() -> None:
    asked = make_parser().parse_args(["--model", "thread,process", "--model", "selectors"])
    assert asked.model == ["thread", "process", "selectors"]
    assert make_parser().parse_args([]).model is None


def test_the_help_names_every_command() -> None:
    said = make_parser().format_help()
    for name in COMMANDS:
        assert f"python -m loadgen {name} " in said
        assert f"\n  {name} " in said


@pytest.mark.parametrize("command", COMMANDS)
def test_nonsense_after_a_command_is_one_line_that_names_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        COMMANDS[command](["--nonsense"])
    assert end.value.code == USAGE_ERROR
    said = capsys.readouterr().err
    assert said.startswith(f"loadgen {command}: ")
    assert said.endswith("(--help explains the options)\n")
    assert said.count("\n") == 1


def test_every_command_can_be_guessed() -> None:
    assert set(OTHER_COMMANDS) == set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--cliens", "did you mean --clients?"),
        ("--modle=thread", "did you mean --model?"),
        ("experiments", "did you mean python -m loadgen experiment?"),
        ("thread", "did you mean --model thread?"),
    ],
)
def test_what_is_misspelled_is_guessed(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args([typed])
    assert meant in capsys.readouterr().err


def test_a_word_that_is_no_command_gets_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["show"])
    said = capsys.readouterr().err
    assert f"no command 'show'; there are {', '.join(OTHER_COMMANDS)} (--help explains" in said


def test_two_remarks_at_the_end_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().error("there is no model 'x' (--list has them)")
    assert capsys.readouterr().err.endswith("'x' (--list has them; --help explains the options)\n")


@pytest.mark.parametrize("command", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_fits_a_projector(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(command)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
