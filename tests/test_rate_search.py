"""The search for the highest rate, against made-up servers whose truth is known."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from loadgen.judge.rate_search import Bracket, Outcome, Step, bracket, next_step, stages
from loadgen.plan.rate_search import RateSearch
from loadgen.plan.validation import PlanError

SEARCH = RateSearch(("response_seconds.p99 < 0.01",), lowest=10.0, highest=100_000.0)
# A search that is still at it after so many trials does not end.
FAR_TOO_MANY = 200

MadeUp = Callable[[Step, int], bool]
"""(trial, how many were before it) -> whether the bound was kept."""


def searched(server: MadeUp, start: float, search: RateSearch = SEARCH) -> list[Outcome]:
    """All trials of a search on a made-up server, which must end."""
    outcomes: list[Outcome] = []
    while step := next_step(search, outcomes, start):
        outcomes.append(Outcome(step.rate, step.seconds, server(step, len(outcomes))))
        assert len(outcomes) < FAR_TOO_MANY
    return outcomes


def sharp(knee: float) -> MadeUp:
    """Keeps the bound up to the knee, always, and never beyond."""
    return lambda step, _: step.rate <= knee


def noisy(knee: float, softness: float, chance: random.Random) -> MadeUp:
    """Keeps it less and less often around the knee; longer trials differ less from each other."""

    def server(step: Step, _: int) -> bool:
        noise = chance.gauss(0, softness / math.sqrt(step.seconds))
        return math.log(step.rate / knee) + noise <= 0

    return server


def bounds(found: Bracket) -> tuple[float, float]:
    assert found.lower is not None
    assert found.upper is not None
    return found.lower, found.upper


@pytest.mark.parametrize("knee", [37.0, 1_234.0, 23_456.0, 99_000.0])
@pytest.mark.parametrize("start", [30.0, 25_000.0, 80_000.0])
def test_a_sharp_knee_lies_between_the_bounds_found(knee: float, start: float) -> None:
    found = bracket(SEARCH, searched(sharp(knee), start))
    low, high = bounds(found)
    assert low <= knee < high <= low * (1 + SEARCH.width)
    assert found.sure


def test_trials_are_short_first_and_the_last_ones_long_and_repeated() -> None:
    outcomes = searched(sharp(23_456.0), 30_000.0)
    lengths = [outcome.seconds for outcome in outcomes]
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (0.5, 2.0)
    low, high = bounds(bracket(SEARCH, outcomes))
    for rate in (low, high):
        full = [one for one in outcomes if one.rate == rate and one.seconds == 2.0]
        assert len(full) == 2, "two of three settle it"
    assert sum(lengths) < 20


def test_a_search_that_is_told_where_to_begin_tries_less() -> None:
    near = searched(sharp(20_000.0), 21_000.0)
    far = searched(sharp(20_000.0), 10.0)
    assert len(near) < len(far)


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_knee_is_found_to_within_its_noise(seed: int) -> None:
    server = noisy(20_000.0, 0.05, random.Random(seed))
    low, high = bounds(bracket(SEARCH, searched(server, 40_000.0)))
    assert high <= low * (1 + SEARCH.width)
    assert 0.8 < low / 20_000.0 < 1.25


def test_one_bad_moment_does_not_decide() -> None:
    """A single long trial that fails where others hold is outvoted."""
    failed: list[float] = []

    def server(step: Step, _: int) -> bool:
        if step.seconds == 2.0 and not failed:
            failed.append(step.rate)
            return False
        return step.rate <= 20_000.0

    outcomes = searched(server, 20_000.0)
    low, high = bounds(bracket(SEARCH, outcomes))
    assert low <= 20_000.0 < high
    assert low == failed[0]
    full = [one.held for one in outcomes if one.rate == low and one.seconds == 2.0]
    assert full == [False, True, True]


def test_a_server_that_gets_slower_is_followed_down() -> None:
    """What short trials found does not hold for long ones, so the search goes back."""

    def server(step: Step, _: int) -> bool:
        return step.rate <= (20_000.0 if step.seconds < 2 else 12_000.0)

    outcomes = searched(server, 30_000.0)
    low, high = bounds(bracket(SEARCH, outcomes))
    assert low <= 12_000.0 < high <= low * (1 + SEARCH.width)


def test_a_machine_that_drifts_while_it_lasts_comes_to_an_end() -> None:
    for by in (-0.02, 0.02):

        def server(step: Step, number: int, by: float = by) -> bool:
            return step.rate <= 20_000.0 * math.exp(by * number)

        low, high = bounds(bracket(SEARCH, searched(server, 20_000.0)))
        assert high <= low * (1 + SEARCH.width)
        assert 0.3 < low / 20_000.0 < 3


def test_a_server_too_slow_for_the_lowest_rate_has_none() -> None:
    outcomes = searched(sharp(5.0), 8_000.0)
    assert bracket(SEARCH, outcomes) == Bracket(None, SEARCH.lowest, sure=True)
    assert min(outcome.rate for outcome in outcomes) == SEARCH.lowest


def test_a_server_faster_than_the_highest_rate_is_known_up_to_that() -> None:
    outcomes = searched(sharp(math.inf), 40_000.0)
    assert bracket(SEARCH, outcomes) == Bracket(SEARCH.highest, None, sure=True)
    assert max(outcome.rate for outcome in outcomes) == SEARCH.highest


def test_a_search_that_was_cut_short_tells_what_it_has() -> None:
    outcomes = searched(sharp(20_000.0), 30_000.0)
    assert bracket(SEARCH, []) == Bracket(None, None)
    for count in range(1, len(outcomes)):
        found = bracket(SEARCH, outcomes[:count])
        assert not found.sure
        assert found.lower is None or found.lower <= 20_000.0
        assert found.upper is None or found.upper > 20_000.0
    assert None not in (bracket(SEARCH, outcomes[:-3]).lower, bracket(SEARCH, outcomes[:-3]).upper)


def test_two_bounds_share_their_trials() -> None:
    """A bound that is searched for second has the first one's trials to begin with."""
    first = searched(sharp(20_000.0), 30_000.0)
    looser: list[Outcome] = [Outcome(one.rate, one.seconds, one.rate <= 22_000.0) for one in first]
    before = len(looser)
    while step := next_step(SEARCH, looser, 30_000.0):
        looser.append(Outcome(step.rate, step.seconds, step.rate <= 22_000.0))
    alone = searched(sharp(22_000.0), 30_000.0)
    assert len(looser) - before < len(alone)
    low, high = bounds(bracket(SEARCH, looser))
    assert low <= 22_000.0 < high


def test_stages_end_with_what_was_asked_for() -> None:
    last = stages(SEARCH)[-1]
    assert (last.seconds, last.total_seconds, last.width) == (2.0, 6.0, 0.05)
    short = stages(RateSearch(SEARCH.bounds, trial_seconds=0.2, trials=1))
    assert {stage.seconds for stage in short} == {0.2}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width": 0.001}, "within 0.1%"),
        ({"trials": 0}, "0 trials"),
        ({"lowest": 200_000.0}, "no rate lies between"),
        ({"bounds": ()}, "needs a bound"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(wrong: dict[str, object], said: str) -> None:
    fields: dict[str, object] = {"bounds": SEARCH.bounds, **wrong}
    with pytest.raises(PlanError, match=said):
        RateSearch(**fields).validate()  # type: ignore[arg-type]


def outcomes_at(rate: float, held: Sequence[bool], seconds: float) -> list[Outcome]:
    return [Outcome(rate, seconds, one) for one in held]


def test_short_failures_count_as_far_as_short_trials_do_not_make_up_for_them() -> None:
    long = outcomes_at(1_000.0, (True, True), 2.0)
    assert bracket(SEARCH, [*outcomes_at(1_000.0, (False,), 0.5), *long]).lower == 1_000.0
    # So many that they outweigh the long ones.
    assert bracket(SEARCH, [*outcomes_at(1_000.0, [False] * 10, 0.5), *long]).lower is None
    made_up_for = [*outcomes_at(1_000.0, [False] * 10 + [True] * 9, 0.5), *long]
    assert bracket(SEARCH, made_up_for).lower == 1_000.0
