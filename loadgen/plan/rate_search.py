"""What a search for the highest rate within bounds is after, and how thorough it is to be."""

from dataclasses import dataclass

from loadgen.plan.validation import require, require_seconds

# Nearer than this a machine that others use as well cannot tell two rates apart.
NARROWEST = 0.01


@dataclass(frozen=True, slots=True)
class RateSearch:
    """The highest rate of an open loop at which a server keeps within each bound, one by one.

    `bounds` are requirements as text, such as "response_seconds.p99 < 0.01". A rate is found when
    one at most `width` (0.05: 5 %) above it fails; both are known by trials of `trial_seconds`, up
    to `trials` of them each. Only rates from `lowest` to `highest` messages/s are tried.
    """

    bounds: tuple[str, ...]
    width: float = 0.05
    trial_seconds: float = 2.0
    trials: int = 3
    lowest: float = 10.0
    highest: float = 100_000.0

    def validate(self) -> None:
        """Raise PlanError, with a sentence for a person, at the first value that makes no sense."""
        require(bool(self.bounds), "a search for a rate needs a bound to keep within")
        require(
            NARROWEST <= self.width < 1,
            f"a rate cannot be searched for to within {self.width:.1%}; give a precision of "
            f"{NARROWEST:.0%} or more",
        )
        require_seconds("length of a trial", self.trial_seconds, above=True)
        require(self.trials >= 1, f"{self.trials} trials of a rate; give 1 or more")
        require(
            0 < self.lowest <= self.highest,
            f"no rate lies between {self.lowest:g} and {self.highest:g} messages/s",
        )
