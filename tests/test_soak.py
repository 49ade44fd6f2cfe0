"""The soak itself: a few seconds of it, and that it says what it finds."""

import pytest

from tests.soak import CLIENTS, Record, main


def test_a_few_seconds_of_it_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    models = ["thread", "selectors", "process"]
    status = main(["--minutes", "0.1", "--seed", "14", "--model", *models])
    said = capsys.readouterr()
    assert status == 0, said.err
    for model in models:
        row = next(line.split() for line in said.out.splitlines() if line.startswith(model))
        _, lives, clients, answered, *bad, _, lines = row
        assert int(lives) >= 1
        assert int(clients) >= CLIENTS
        assert int(answered) >= 1
        assert [*bad, lines] == ["0"] * 5


def test_what_was_lost_or_left_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Record("thread", lives=1, lost=2, zombies=1, growth_mib=99.0)
    monkeypatch.setattr("tests.soak.soak", lambda *_: found)
    assert main(["--model", "thread", "--seed", "1"]) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [
        "soak: thread: 2 replies were lost",
        "soak: thread: 1 zombies are left",
        "soak: thread: 99 MiB more memory than before",
    ]


def test_ctrl_c_shows_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = iter([Record("thread", lives=3)])

    def interrupted(*_: object) -> Record:
        for one in found:
            return one
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.soak.soak", interrupted)
    assert main(["--model", "thread", "selectors", "--seed", "1"]) == 130
    assert "thread " in capsys.readouterr().out
