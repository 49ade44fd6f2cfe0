"""One plain sentence per row on what stands out: the gravest first, then the most telling ratio.

The figures come from the rows; here they only become words, and nothing is said that the intervals
do not bear out.
"""

from collections.abc import Sequence

from loadgen.judge import units
from loadgen.judge.names import listed
from loadgen.judge.ranks import headline
from loadgen.judge.registry import (
    CPU_PER_MESSAGE,
    LATENCY_P50,
    LATENCY_P99,
    MEMORY,
    MESSAGES,
    RESPONSE_P99,
    Better,
    Figure,
    figure_of,
)
from loadgen.judge.rows import Row, load_of
from loadgen.judge.service import at_once, kept_up
from loadgen.judge.units import SECONDS
from loadgen.judge.verdict import GENERATOR, GIL, MACHINE, NETWORK, SERVER, WAITING
from loadgen.show.explained import explained

# How many times the lowest a cost or latency must be to be worth the one sentence.
STANDS_OUT = 1.5
UNFAIR = 0.9

_COSTS = (LATENCY_P99, CPU_PER_MESSAGE, MEMORY)
_LIMITS = {
    SERVER: "the server was the limit",
    GIL: "the server's GIL was the limit",
    GENERATOR: "the load generator was the limit, the server can do more",
    MACHINE: "the machine was the limit",
    NETWORK: "the network was the limit",
    WAITING: "waiting was the limit, not work",
}


def sentences(found: Sequence[Row]) -> list[tuple[str, str]]:
    """A row's name and its sentence, in the order of the rows."""
    return [(row.name, sentence(row, [one for one in found if _alike(one, row)])) for row in found]


def sentence(row: Row, same: Sequence[Row]) -> str:
    """What stands out about a row among those under the same load, itself included."""
    return _trouble(row) or _service(row) or _standing(row, same) or _alone(row)


def _alike(one: Row, other: Row) -> bool:
    return load_of(one.plan) == load_of(other.plan)


def _trouble(row: Row) -> str | None:
    """What makes the figures unfit for use."""
    if row.problem is not None:
        return f"did not run: {row.problem}"
    if not row.valid:
        failed = [check.name for trial in row.trials for check in trial.audit.failures]
        return f"the run failed its own audit ({', '.join(dict.fromkeys(failed))}): do not use it"
    intended, wrong, failed_messages = (
        row.value(name) or 0 for name in ("intended", "wrong", "failed")
    )
    if wrong:
        return (
            f"{units.count(wrong)} of {units.count(intended)} messages got a wrong reply: it does "
            "not speak as expected"
        )
    errors = ", ".join(f"{name} {times:,}" for name, times in row.errors.items())
    if not row.ever("connected"):
        return f"no client could connect ({errors})"
    datagrams = row.value("lost")
    if datagrams:
        return f"{units.count(datagrams)} of {units.count(intended)} datagrams got no reply in time"
    if failed_messages:
        return f"{units.count(failed_messages)} messages failed ({errors})"
    gone = [
        f"{units.count(row.value(path))} {word}"
        for path, word in (
            ("refused", "refused"),
            ("reset", "reset"),
            ("timed_out", "timed out"),
            ("other_failed", "lost otherwise"),
        )
        if row.value(path)
    ]
    if gone:
        return f"not every client came through: {', '.join(gone)} ({errors})"
    return None


def _service(row: Row) -> str | None:
    """Who was served at all."""
    starved, served = row.value("starved"), max(row.measured("served"), default=0.0)
    if not starved:
        return _waiting(row)
    clients = units.count(max(row.measured("connected")))
    rate = row.value(MESSAGES)
    if not served:
        return f"all {clients} clients connected and none ever got a reply"
    up_to = "" if row.values("starved").count(starved) == len(row.trials) else "up to "
    if served == 1:
        said = f"1 client was served, the other {units.count(starved)} connected and starved"
        return f"{said}: its {units.rate(rate)} messages/s went to that one" if rate else said
    if served == at_once(row.run) and not any(trial.starved_unduly for trial in row.trials):
        all_of = units.count(served)
        said = f"it serves {all_of} clients at a time, the other {units.count(starved)} starved"
        return f"{said}: its {units.rate(rate)} messages/s went to those {all_of}" if rate else said
    return f"{up_to}{units.count(starved)} of {clients} clients starved: not all were served"


def _waiting(row: Row) -> str | None:
    """Whether a server stopped answering; how far behind the clock it was is said elsewhere."""
    waiting = sum(trial.left_waiting - trial.owed_by_the_clock for trial in row.trials)
    if not waiting:
        return None
    return f"{units.count(waiting)} messages had no reply when the run ended: it stopped answering"


def _standing(row: Row, same: Sequence[Row]) -> str | None:
    """Where it stands among those that were ranked with it."""
    ranked = [one for one in same if one.rank is not None]
    if row.rank is None or len(ranked) < 2:
        return None
    said = [_ahead(row, ranked) if row.rank == 1 else _behind(row, ranked[0])]
    if row.bound.bound == GENERATOR:
        said.append("but the load generator was the limit: it can do more")
        return ", ".join(said)
    if odd := _unevenness(row):
        return ", ".join([*said, odd])
    if row.rank != 1 and not row.ties and (more := explained(row, ranked[0])):
        return f"{said[0]}: {more}"
    odd = _oddity(row, ranked)
    return ", ".join([*said, odd] if odd else said)


def _ahead(row: Row, ranked: Sequence[Row]) -> str:
    kind = headline(row.plan)
    best = _best(kind)
    ties = [name for name in row.ties if any(one.name == name and one.rank == 1 for one in ranked)]
    if ties:
        said = f"no clear difference from {listed(ties)}"
        return f"{best}, but {said}" if row is ranked[0] else said
    after = next((one for one in ranked if one.rank != 1), None)
    if after is None:
        return best
    return f"{best}: {_times(row, after)} {after.name}"


def _behind(row: Row, best: Row) -> str:
    kind = headline(row.plan)
    said = f"{_times(row, best)} {best.name} in {kind.label}"
    return f"{said}, no clear difference from {listed(row.ties)}" if row.ties else said


def _best(kind: Figure) -> str:
    if kind.better is Better.HIGHER:
        return f"most {kind.label}"
    return f"{'shortest' if kind.unit is SECONDS else 'least'} {kind.label}"


def _times(row: Row, other: Row) -> str:
    """How many times another row it is, with the interval where the two can be told apart."""
    quotient = row.ratio(headline(row.plan).path, other)
    if quotient is None:
        return "not comparable with"
    said = f"{units.times(quotient.mean)} times"
    if other.name not in row.ties and quotient.low is not None and quotient.high is not None:
        said += f" ({units.times(quotient.low)} to {units.times(quotient.high)})"
    return said


def _unevenness(row: Row) -> str | None:
    """How far apart its clients were, if far."""
    fairness = row.value("fairness")
    if fairness is None or fairness >= UNFAIR:
        return None
    least, most = min(row.measured("least_served")), max(row.measured("most_served"))
    return (
        f"uneven: the least served client got {units.count(least)} messages, "
        f"the most served {units.count(most)}"
    )


def _oddity(row: Row, ranked: Sequence[Row]) -> str | None:
    """The one cost in which it exceeds the lowest of its peers by most, if by enough."""
    worst: tuple[float, str] | None = None
    for path in _COSTS:
        if path == headline(row.plan).path:
            continue  # that is said already
        figure = figure_of(path)
        own = row.value(path)
        others = [(value, one.name) for one in ranked if (value := one.value(path))]
        if not own or not others:
            continue
        lowest, name = min(others)
        times = own / lowest
        if times >= STANDS_OUT and (worst is None or times > worst[0]):
            said = f"{units.times(times)} times the {figure.label} of {name}"
            worst = times, f"{said} ({figure.unit.said(own)})"
    return worst[1] if worst else None


def _alone(row: Row) -> str:
    """A row that nothing is ranked with: what its figures say on their own."""
    rate, asked = row.value(MESSAGES), row.value("requested_per_second")
    if rate is None:
        held = row.value("held")
        if held:
            return f"held {units.count(held)} silent connections"
    if not rate:
        return "no message was answered in the measured window"
    response = row.value(RESPONSE_P99)
    if asked is not None and response is not None:
        share = rate / asked
        said = (
            f"kept up with the {units.rate(asked)} messages/s asked for"
            if all(kept_up(trial.run, trial.figures) for trial in row.trials)
            else f"reached {share:.0%} of the {units.rate(asked)} messages/s asked for"
        )
        if owed := sum(trial.left_waiting for trial in row.trials):
            # Their time is known to be no shorter than it was then, so no bound holds for them.
            intended = units.count(row.value("intended"))
            return f"{said}; {units.count(owed)} of {intended} had no reply when the run ended"
        return f"{said}; 99 of 100 answered within {units.seconds(response)} of when they were due"
    said = f"{units.rate(rate)} messages/s, half of them within "
    said += f"{units.seconds(row.value(LATENCY_P50))}, 99 of 100 within "
    said += units.seconds(row.value(LATENCY_P99))
    limit = _LIMITS.get(row.bound.bound or "")
    return f"{said}; {limit} ({row.bound.because})" if limit else said
