"""Who ran when, from traces made by hand, and as the command draws it of servers that run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from concurrency_models.backends import MODELS
from loadgen.command.main import main
from loadgen.judge.lanes import At, Lanes, lanes_of, seconds_to_show
from loadgen.plan.group import Group
from loadgen.record.result import Run
from loadgen.record.trace import KEPT, ClientTrace
from loadgen.show.lanes import ANSWERED, picture, sentence
from tests import runs
from tests.traces import WORK, client, handled, ms, stay, traced, two_in_turn


def lanes(run: Run, seconds: float = 0.05) -> Lanes:
    found = lanes_of(run, seconds)
    assert found is not None
    return found


def times(found: Lanes, label: str) -> dict[At, float]:
    """How long a client was at what, in ms."""
    [lane] = [one for one in found.lanes if one.label == label]
    total: dict[At, float] = {}
    for at, start, end in lane.spans:
        total[at] = total.get(at, 0.0) + (end - start) * 1e3
    return {at: round(value, 6) for at, value in total.items()}


def test_who_waits_while_others_run() -> None:
    found = lanes(two_in_turn())
    assert times(found, "A") == {At.RUNS: 10}
    assert times(found, "B") == {At.BEHIND: 10, At.RUNS: 10}
    assert times(found, "quick") == {At.BEHIND: 15, At.RUNS: 0.1, At.WAITS: 0.9}
    assert found.running_seconds == pytest.approx(0.0201)
    assert found.together_seconds == 0
    assert sentence(found) == (
        "never two ran at once, and each message ran to its end before another did; "
        "quick waited 16.0 ms for a reply (median; at most 16.0 ms)"
    )


def test_a_message_that_gives_way_is_told_from_one_that_stands_still() -> None:
    one = handled(0, 12, (0, 5), (7, 9), (10, 12))
    other = handled(5, 7, (5, 7))
    found = lanes(
        traced(
            [
                (WORK, client("a", (0, 12)), stay("a", one)),
                (replace(WORK, name="B"), client("b", (0, 7)), stay("b", other)),
            ]
        )
    )
    assert times(found, "A") == {At.RUNS: 9, At.BEHIND: 2, At.WAITS: 1}
    assert "a message gave way to others 0.50 times on average" in sentence(found)


def test_two_at_once() -> None:
    found = lanes(
        traced(
            [
                (WORK, client("a", (0, 10)), stay("a", handled(0, 10, (0, 10)))),
                (replace(WORK, name="B"), client("b", (4, 14)), stay("b", handled(4, 14, (4, 14)))),
            ]
        )
    )
    assert found.together_seconds == pytest.approx(0.006)
    assert sentence(found).startswith("two or more ran at once for 43% of the time")


def test_of_a_crowd_the_sentence_speaks_for_those_who_were_traced() -> None:
    found = lanes(traced([(Group(100, "all"), client("a", (0, 1)), stay("a", handled(0, 1)))]))
    assert [lane.label for lane in found.lanes] == ["client 1"]
    assert sentence(found).startswith("of these 1 of 100 clients only client 1 ran")


def test_a_client_that_is_never_let_in_waits_outside() -> None:
    found = lanes(
        traced(
            [
                (WORK, client("a", (0, 10)), stay("a", handled(0, 10, (0, 10)))),
                (replace(WORK, name="B"), client("b", (0, None)), None),
            ]
        )
    )
    assert times(found, "B") == {At.OUTSIDE: 50}
    assert [lane.let_in for lane in found.lanes] == [True, False]
    assert sentence(found).startswith("only A ran; B was never let in")


def test_a_client_that_is_let_in_late_was_outside_before() -> None:
    late = stay("a", handled(20, 30, (20, 30)), begun=20)
    found = lanes(traced([(WORK, client("a", (0, 30)), late)]))
    assert times(found, "A") == {At.OUTSIDE: 20, At.RUNS: 10}


def test_a_picture_ends_with_the_window_where_messages_were_left_out() -> None:
    busy = ClientTrace(0, ["a"], [(ms(-20), ms(-19))])
    for number in range(3 * KEPT):
        busy.note(ms(number / 20), ms(number / 20), ms((number + 1) / 20))
    run = traced([(Group(1, "A"), busy, stay("a"))], window=0.075)
    assert busy.left_out == KEPT
    assert seconds_to_show([run]) == pytest.approx(24 * 0.05e-3)
    # Beside a slower server it is not shown for longer than it is known.
    slow = traced([(Group(1, "A"), client("a", (0, 40)), stay("a"))])
    assert seconds_to_show([slow]) == pytest.approx(0.1)
    assert seconds_to_show([run, slow]) == pytest.approx(0.025)
    found = lanes(run, 0.0012)
    [lane] = found.lanes
    assert len(lane.answers) == pytest.approx(24, abs=1)


def test_where_all_think_the_picture_is_as_long_as_that_takes() -> None:
    quick = (Group(1, "quick", think_seconds=0.002), client("q", (0, 0.5), (2.5, 3)), stay("q"))
    assert seconds_to_show([traced([quick])]) == pytest.approx(24 * 2.5e-3)
    busy = (WORK, client("a", (0, 1), (1, 2)), stay("a"))
    assert seconds_to_show([traced([quick, busy])]) == pytest.approx(24 * 1e-3)


@pytest.mark.parametrize("width", [80, 100])
def test_a_picture_fits_the_terminal_and_says_what_its_marks_mean(width: int) -> None:
    text = picture({"thread": lanes(two_in_turn())}, width)
    lines = text.splitlines()
    assert text.isascii()
    assert max(map(len, lines)) <= width
    drawn = {line.split("|")[0].strip(): line.split("|")[1] for line in lines if "|" in line}
    assert set(drawn) == {"A", "B", "quick"}
    assert len({len(marks) for marks in drawn.values()}) == 1
    columns = len(drawn["A"])
    assert re.fullmatch(r"#+ +", drawn["A"])
    assert re.fullmatch(r"-+#+ +", drawn["B"])
    assert re.fullmatch(r" +-+~*! +", drawn["quick"])
    assert drawn["A"].count("#") == pytest.approx(columns / 5, abs=1)
    assert drawn["quick"].index(ANSWERED) == pytest.approx(columns * 21 / 50, abs=1)
    for mark in "#-~.!":
        assert f"{mark} " in lines[0] + lines[1]


def test_without_a_trace_there_are_no_lanes() -> None:
    assert lanes_of(runs.run(), 0.1) is None
    assert seconds_to_show([runs.run()]) == 0


def drawn(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, str]]:
    """What the command draws: each server's lanes by their labels."""
    assert main(["lanes", *words]) == 0
    found: dict[str, dict[str, str]] = {}
    for line in capsys.readouterr().out.splitlines():
        if title := re.match(r"([a-z-]+)[^:]*: ", line):
            found[title[1]] = {}
        elif "|" in line:
            label, marks, _ = line.split("|")
            found[list(found)[-1]][label.strip()] = marks
    return found


def test_each_model_is_drawn_as_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    found = drawn(capsys, "--model", "iterative", "--model", "selectors", "--work", "fib:23")
    assert set(found["iterative"]) == set(found["selectors"]) == {"A", "B", "quick"}
    inside = [marks for marks in found["iterative"].values() if set(marks) != {"."}]
    assert len(inside) == 1  # one is served, the others wait to be let in
    assert all("#" in found["selectors"][label] for label in "AB")
    assert ANSWERED in found["selectors"]["quick"]


def test_any_family_and_talk_can_be_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model", "thread", "--family", "unix", "--talk", "once", "--clients", "1")
    found = drawn(capsys, *words, "--work", "sleep:5", "--duration", "0.1")
    assert "~" in found["thread"]["A"]
    assert ANSWERED in found["thread"]["quick"]


def test_a_title_that_is_wider_than_the_terminal_is_wrapped() -> None:
    text = picture({"process-threads": lanes(two_in_turn())}, 80)
    assert max(map(len, text.splitlines())) <= 80
    title = f"process-threads: {MODELS['process-threads'].summary}"
    assert len(title) > 80
    assert title in " ".join(text.split())


def test_a_picture_fits_any_terminal_and_a_moment_too_short_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "5")
    assert drawn(capsys, "--model", "thread", "--work", "fib:18")
    assert main(["lanes", "--model", "thread", "--duration", "1e-9"]) == 1
    assert "thread: there was no time to see anything" in capsys.readouterr().err


def test_a_picture_of_too_many_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["lanes", "--clients", "30"])
    assert "from 1 to 20 clients" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_does_not_take_the_picture_along(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("loadgen.command.lanes.check_file", lambda _: None)  # it was there then
    words = ("--model", "thread", "--work", "fib:18", "--report", "/nowhere/lanes.html")
    assert main(["lanes", *words]) == 1
    out, err = capsys.readouterr()
    assert "thread: " in out
    assert "cannot write /nowhere/lanes.html" in err


def test_the_picture_is_a_page_as_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "lanes.html"
    drawn(capsys, "--model", "thread", "--work", "fib:18", "--report", str(file))
    page = file.read_text()
    assert "<title>Who ran when</title>" in page
    assert 'id="verdict"' not in page  # a quarter of a second proves no rate
