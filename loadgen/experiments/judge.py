"""Whether figures bear an experiment's hypotheses out, and what there is to learn: pure judgement.

A hypothesis whose figures are missing is neither borne out nor refuted, and says what is missing;
nor is one whose bound lies within the interval of its value.
The reading is put together from what was found, so that it never contradicts a surprise.
"""

from collections.abc import Mapping, Sequence

from loadgen.experiments.experiment import Experiment, Hypothesis, Ranking
from loadgen.experiments.quantity import Look, Pairs, Reach, shown, unpaired
from loadgen.record.result import Claim

# Two figures closer than this are a draw for whoever predicted their order.
DRAW = 0.10
# What others may use of the cores that a claim needs.
CORES_SLACK = 0.4


def check(
    hypothesis: Hypothesis,
    look: Look,
    missing: Mapping[str, str],
    cores: int | None,
    reach: Reach,
    pairs: Pairs = unpaired,
) -> Claim:
    """The hypothesis as a checked claim.

    `missing` gives the reason for each case that could not be measured, `cores` those of the
    machine, None where that is not known. Where figures have intervals, which `reach` tells, and
    `pairs` for ratios of cases that took turns, the claim holds if it does all over the interval of
    its value, and is refuted if it does nowhere.
    """
    if why := _too_few_cores(hypothesis, look, cores):
        return Claim(hypothesis.text, None, why)
    value, ends = hypothesis.value.value(look), hypothesis.value.ends(look, reach, pairs)
    if value is None or ends is None:
        return Claim(hypothesis.text, None, _what_is_missing(hypothesis, look, missing))
    said, holds = _numbers(hypothesis, value, look), hypothesis.holds(ends)
    if ends == (value, value):
        return Claim(hypothesis.text, holds, said)
    low, high = (shown(hypothesis.value.unit, end) for end in ends)
    said += f"; 95 % interval {low} to {high}"
    if holds is None:
        said += ", too close to tell"
    return Claim(hypothesis.text, holds, said, ends)


def reading(hypotheses: Sequence[Hypothesis], claims: Sequence[Claim], look: Look) -> str:
    """What to take home, in the order of the hypotheses: lessons that held, and surprises."""
    said = []
    for hypothesis, claim in zip(hypotheses, claims, strict=True):
        if claim.as_expected is None:
            continue
        value = shown(hypothesis.value.unit, hypothesis.value.value(look))
        sentence = hypothesis.lesson
        if not claim.as_expected:
            sentence = hypothesis.otherwise or f"Not as expected: {claim.text}; it was {{value}}."
        if sentence:
            said.append(sentence.replace("{value}", value))
    return " ".join(said) or "Too little could be measured to learn anything from it."


def order(ranking: Ranking, look: Look) -> list[str]:
    """The ranked cases that were measured, best first."""
    values = _measured(ranking, look)
    return sorted(values, key=values.__getitem__, reverse=ranking.more_is_better)


def pairs_right(ranking: Ranking, predicted: Sequence[str], look: Look) -> tuple[int, int]:
    """How many pairs of a predicted order are right, and of how many.

    A pair counts when both were measured; one within 10 % of the other is right either way.
    """
    values = _measured(ranking, look)
    guessed = [name for name in predicted if name in values]
    right = total = 0
    for position, first in enumerate(guessed):
        for second in guessed[position + 1 :]:
            ahead, behind = values[first], values[second]
            if not ranking.more_is_better:
                ahead, behind = behind, ahead
            total += 1
            right += ahead >= behind * (1 - DRAW)
    return right, total


def claims(
    experiment: Experiment,
    look: Look,
    missing: Mapping[str, str],
    cores: int | None,
    reach: Reach,
    pairs: Pairs = unpaired,
) -> tuple[Claim, ...]:
    """Every hypothesis of an experiment, checked."""
    return tuple(check(one, look, missing, cores, reach, pairs) for one in experiment.hypotheses)


def _measured(ranking: Ranking, look: Look) -> dict[str, float]:
    values = {name: look(name, ranking.path) for name in ranking.cases}
    return {name: value for name, value in values.items() if value is not None}


def _too_few_cores(hypothesis: Hypothesis, look: Look, cores: int | None) -> str | None:
    """Why a claim about work on several cores cannot be checked, or None."""
    if cores is None or hypothesis.cores == 1:
        return None
    if cores < hypothesis.cores:
        return f"it takes {hypothesis.cores} cores, and this machine has {cores}"
    taken = max(
        (look(one.case, "machine.other_cores") or 0.0)
        + (look(one.case, "machine.stolen_cores") or 0.0)
        for one in hypothesis.value.figures()
    )
    if cores - taken < hypothesis.cores - CORES_SLACK:
        return (
            f"it takes {hypothesis.cores} cores, and others used {taken:.2f} of {cores} meanwhile: "
            "close other programs and run again"
        )
    return None


def _numbers(hypothesis: Hypothesis, value: float, look: Look) -> str:
    unit = hypothesis.value.unit
    low, high = hypothesis.at_least, hypothesis.at_most
    bounds = [
        f"{word} {shown(unit, bound)}"
        for word, bound in (("at least", low), ("at most", high))
        if bound is not None
    ]
    if low == high:
        bounds = [f"exactly {shown(unit, low)}"]
    figures = hypothesis.value.figures()
    parts = [
        f"{one.label} of {one.case} = {shown(one.unit, look(one.case, one.path))}"
        for one in figures
    ]
    how = hypothesis.value.how
    result = parts[0] if len(figures) == 1 else f"{'; '.join(parts)}: {how}{shown(unit, value)}"
    return f"{result} (expected {' and '.join(bounds)})"


def _what_is_missing(hypothesis: Hypothesis, look: Look, missing: Mapping[str, str]) -> str:
    said = [
        f"{one.case}: {missing.get(one.case, f'{one.path} was not measured')}"
        for one in hypothesis.value.figures()
        if look(one.case, one.path) is None
    ]
    return "; ".join(dict.fromkeys(said)) or "there is nothing to divide by"
