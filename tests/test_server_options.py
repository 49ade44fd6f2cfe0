"""Which models are started, and what they are told."""

from argparse import ArgumentParser
from collections.abc import Callable

import pytest

from concurrency_models.backends import MODELS
from loadgen.command import lanes, parser
from loadgen.command.server_options import joined, models_of, server_options
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError


def test_models_are_named_one_by_one_or_in_groups() -> None:
    assert models_of(["thread", "process"]) == ["process", "thread"]
    assert models_of(["thread", "process", "thread"]) == ["process", "thread", "thread"]
    assert models_of(["core", "thread"]).count("thread") == 1
    core = models_of(["core"])
    assert core == ["iterative", "process", "thread", "socketserver", "selectors"]
    assert set(core) <= set(models_of(["stdlib"])) <= set(models_of(["all"]))
    assert models_of(["all"]) == list(MODELS)


def test_an_unknown_model_gets_the_nearest_one() -> None:
    with pytest.raises(PlanError, match="did you mean 'selectors'"):
        models_of(["selector"])
    with pytest.raises(
        PlanError, match="did you mean 'asyncio-server' or 'asyncio-streams' or 'asyncio-protocol'"
    ):
        models_of(["asyncio"])
    with pytest.raises(PlanError, match="choose from iterative"):
        models_of(["zzz"])


def test_a_server_is_told_what_the_plan_expects_of_it() -> None:
    small = server_options(Plan((Group(1),), framing="line"), ["--backlog", "5"])
    assert small == ["--framing", "line", "--reply-prefix", "received: ", "--backlog", "5"]
    big = server_options(Plan((Group(1, size_bytes=2 << 20),)), [])
    assert big[big.index("--max-message") + 1] == str(2 << 20)


@pytest.mark.parametrize("make_parser", [parser.make_parser, lanes.make_parser])
@pytest.mark.parametrize(
    "words",
    [
        ["--server-options", "--work"],
        ["--server-options=--work"],
        ["--server-options", "--work", "--clients", "3"],
        ["--model", "thread", "--server-options", "--work"],
    ],
)
def test_one_word_for_a_server_may_begin_with_a_dash(
    make_parser: Callable[[], ArgumentParser], words: list[str]
) -> None:
    assert make_parser().parse_args(joined(words)).server_options == ["--work"]


def test_other_words_stay_as_they_are() -> None:
    for words in [], ["--server-options"], ["--model", "thread"], ["--", "--server-options", "-v"]:
        assert joined(words) == words
