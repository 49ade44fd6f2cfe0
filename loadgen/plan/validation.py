"""How a plan is validated: each rule is a condition, and a sentence for whoever broke it."""

from __future__ import annotations

import math


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
    """Raise PlanError unless `value` is finite and 0 or more, or above 0 where that is asked."""
    bound = "above 0" if above else "of 0 or more"
    good = math.isfinite(value) and (value > 0 if above else value >= 0)
    require(good, f"{what} of {value} s; give a number {bound}")
