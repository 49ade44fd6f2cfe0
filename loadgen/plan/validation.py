"""How a plan is validated: each rule is a condition, and a sentence for whoever broke it."""

from __future__ import annotations

# Eleven days and a half: what a histogram holds, and every clock.
LONGEST_SECONDS = 1e6
# Per second. A rate of less has nothing to do in a run, and no machine does more.
LOWEST_RATE, HIGHEST_RATE = 1e-3, 1e9


class PlanError(ValueError):
    """A plan that cannot be carried out; its text is a sentence for the person who asked."""


def require(condition: bool, sentence: str) -> None:
    """Raise PlanError with the sentence unless the condition holds."""
    if not condition:
        raise PlanError(sentence)


def require_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise PlanError, which names `what` and the choices, unless `value` is one of them."""
    require(value in choices, f"unknown {what} {value!r}; choose one of {', '.join(choices)}")


def require_seconds(what: str, value: float, above: bool = False) -> None:
    """Raise PlanError unless `value` is 0 or more, or above 0 where that is asked, and no age."""
    bound = "above 0" if above else "of 0 or more"
    good = value > 0 if above else value >= 0
    require(good, f"{what} of {value} s; give a number {bound}")
    require(
        value <= LONGEST_SECONDS, f"{what} of {value:g} s; give at most {LONGEST_SECONDS:,.0f} s"
    )


def require_rate(what: str, value: float) -> None:
    """Raise PlanError unless so many per second can be meant."""
    require(
        LOWEST_RATE <= value <= HIGHEST_RATE,
        f"{what} of {value:g} per second; give a number above 0, from {LOWEST_RATE:g} to "
        f"{HIGHEST_RATE:,.0f}",
    )
