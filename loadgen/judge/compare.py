"""From the figures of trials to rows that can be set side by side: intervals, ranks, ratios.

A row is one server under one load, over all its trials. Percentiles come from the merged histograms
of the trials, rates and costs from an estimate over them. Only sound runs are ranked, and rows that
share a rank cannot be told apart by their intervals. Nothing here prints.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from loadgen.judge import units
from loadgen.judge.audit import Audit, audit
from loadgen.judge.figures import Figures, Percentiles, figures, flat, together
from loadgen.judge.intervals import Estimate, clearly_differs, estimate, ratio
from loadgen.judge.verdict import GENERATOR, MACHINE, SERVER, WAITING, Verdict, verdict
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.result import Result, Run
from loadgen.record.tally import GroupTally

# A shorter window holds too few scheduler slices, garbage collections and timer ticks to rank by.
SHORTEST_WINDOW = 1.0
# Ten messages beyond the 99th percentile are few enough that one pause moves it.
FEWEST_MESSAGES = 1000
UNSTEADY = 0.10
DRIFT = 0.20
# Programs beside the server and the engine, or a hypervisor, that take so much of a core matter.
OTHERS_BUSY = 0.25
STOLEN = 0.05

# Clients that were answered so unevenly are worth a look: by Jain's index, or by how many times the
# messages of another one had.
UNEVEN_JAIN = 0.95
UNEVEN_TIMES = 2
# A warm-up that took so much longer than asked was prolonged, and not only late.
PROLONGED_SECONDS = 0.1

ONE_TRIAL = "one trial"
TOO_SHORT = "too short"


class ComparisonError(Exception):
    """Two results that cannot be compared; its text is one sentence for a person."""


@dataclass(frozen=True)
class Trial:
    """One run with what follows from it."""

    run: Run
    figures: Figures
    audit: Audit
    verdict: Verdict

    @cached_property
    def by_path(self) -> dict[str, float | None]:
        """Its figures by their paths in the JSON."""
        return flat(self.figures)


@dataclass(frozen=True)
class Span:
    """A count over trials, from the lowest to the highest."""

    low: int
    high: int


@dataclass(frozen=True)
class Row:
    """One server under one load, over its trials.

    `rank` counts from 1; when it is None, `unranked` says why. `ties` are the rows that cannot be
    told apart from this one, of whatever rank. Figures are asked for by their path in the JSON;
    None is what a trial did not measure.
    """

    name: str
    trials: tuple[Trial, ...]
    bound: Verdict
    rank: int | None = None
    unranked: str | None = None
    ties: tuple[str, ...] = ()

    @property
    def run(self) -> Run:
        """The first trial's run, for what all of them share."""
        return self.trials[0].run

    @property
    def plan(self) -> Plan:
        return self.run.plan

    @property
    def valid(self) -> bool:
        return all(trial.audit.valid for trial in self.trials)

    @property
    def problem(self) -> str | None:
        """Why a trial could not be run at all."""
        return next((trial.run.problem for trial in self.trials if trial.run.problem), None)

    def values(self, path: str) -> list[float | None]:
        """The figure in each trial."""
        return [trial.by_path.get(path) for trial in self.trials]

    def measured(self, path: str) -> list[float]:
        """The figure in those trials that measured it."""
        return [value for value in self.values(path) if value is not None]

    def span(self, path: str) -> Span | None:
        """A count, from the trial with the fewest to the trial with the most."""
        values = self.measured(path)
        return Span(int(min(values)), int(max(values))) if values else None

    def total(self, path: str) -> int | None:
        """A count, summed over the trials."""
        values = self.measured(path)
        return int(sum(values)) if values else None

    def highest(self, path: str) -> float | None:
        """A peak over the trials."""
        return max(self.measured(path), default=None)

    def median(self, path: str) -> float | None:
        """The middle of the trials."""
        values = self.measured(path)
        return statistics.median(values) if values else None

    def estimate(self, path: str) -> Estimate | None:
        """The geometric mean of the trials, with its interval."""
        return estimate(self.values(path))

    def mean(self, path: str) -> float | None:
        """The mean of the trials: of the estimate, or the plain one where some trial has 0."""
        values = self.measured(path)
        if not values or len(values) < len(self.trials):
            return None
        found = self.estimate(path)
        return statistics.fmean(values) if found is None else found.mean

    @cached_property
    def pooled(self) -> GroupTally:
        """All groups and trials added up: percentiles come from these histograms."""
        tallies = [trial.run.tally for trial in self.trials]
        return together(group for tally in tallies if tally for group in tally.groups)

    def pooled_group(self, name: str) -> GroupTally:
        """One group over all trials."""
        tallies = [trial.run.tally for trial in self.trials]
        return together(
            group for tally in tallies if tally for group in tally.groups if group.name == name
        )

    @property
    def errors(self) -> dict[str, int]:
        """Failures by errno name, summed over the trials."""
        return dict(sorted(self.pooled.errors.items()))

    @property
    def uneven(self) -> bool | None:
        """Did a trial answer some clients far more often than others? None: nothing to tell by."""
        jains = self.measured("fairness")
        if not jains:
            return None
        ends = zip(self.measured("least_served"), self.measured("most_served"), strict=True)
        return min(jains) < UNEVEN_JAIN or any(most > UNEVEN_TIMES * least for least, most in ends)

    @property
    def prolonged_warmup(self) -> float | None:
        """The longest warm-up in seconds, where clients that awaited a first reply prolonged it."""
        longest = self.highest("warmup_seconds")
        asked = self.plan.warmup_seconds
        return longest if longest and asked and longest > asked + PROLONGED_SECONDS else None

    @property
    def memory_kind(self) -> str | None:
        return next((kind for trial in self.trials if (kind := trial.run.server.memory_kind)), None)

    @property
    def notes(self) -> list[str]:
        """Why parts of the server's cost are missing."""
        return [note for trial in self.trials if (note := trial.run.server.note)]

    @cached_property
    def connect_seconds(self) -> Percentiles:
        return Percentiles.of(self.pooled.connect)

    @cached_property
    def first_reply_seconds(self) -> Percentiles:
        return Percentiles.of(self.pooled.first_reply)

    @cached_property
    def latency_seconds(self) -> Percentiles:
        return Percentiles.of(self.pooled.service)

    @cached_property
    def response_seconds(self) -> Percentiles | None:
        """None in a closed loop, where it is the latency."""
        if all(trial.figures.response_seconds is None for trial in self.trials):
            return None
        return Percentiles.of(self.pooled.response)

    @property
    def kernel(self) -> dict[str, int]:
        """How far the kernel's counters moved over the trials, those that did."""
        moved: Counter[str] = Counter()
        for trial in self.trials:
            moved.update(trial.run.kernel or {})
        return {name: count for name, count in moved.items() if count > 0}


@dataclass(frozen=True)
class Headline:
    """The figure that a load is ranked by: its path in the JSON, and whether more is better."""

    path: str
    more_is_better: bool = True


MESSAGES = Headline("messages_per_second")
CONNECTIONS = Headline("connections_per_second")
RESPONSE = Headline("response_seconds.p99", more_is_better=False)
LATENCY = Headline("latency_seconds.p99", more_is_better=False)
CPU = Headline("server.cpu_seconds_per_message", more_is_better=False)
MEMORY = Headline("server.memory_bytes", more_is_better=False)
KINDS = (MESSAGES, CONNECTIONS, RESPONSE, LATENCY, CPU, MEMORY)


def headline(plan: Plan) -> Headline:
    """What a load is ranked by.

    Connections/s where clients come and go or stay silent, the response time's p99 where the rate
    is given, and messages/s otherwise.
    """
    talking = [group for group in plan.groups if not group.silent]
    if not talking or any(group.messages_per_connection is not None for group in talking):
        return CONNECTIONS
    return RESPONSE if all(group.open_loop for group in talking) else MESSAGES


def rows(result: Result) -> list[Row]:
    """A row per server and load, the best mean first within a load, unsound ones after them.

    Loads stand in the order in which they first ran.
    """
    kinds: dict[tuple[Any, ...], list[Run]] = {}
    for run in result.runs:
        key = (load_of(run.plan), run.model, run.label, run.python, run.gil)
        kinds.setdefault(key, []).append(run)
    pythons = {(run.python, run.gil) for run in result.runs if run.python is not None}
    loads: dict[Any, list[Row]] = {}
    for key, runs in kinds.items():
        trials = tuple(_judge(run, result) for run in runs)
        bound = _common_verdict([trial.verdict for trial in trials])
        row = Row(_name(runs[0], several_pythons=len(pythons) > 1), trials, bound)
        loads.setdefault(key[0], []).append(row)
    return [row for same in loads.values() for row in _ranked(same)]


_LOAD = (
    "family",
    "transport",
    "talk",
    "framing",
    "reply_prefix",
    "messages_per_client",
    "ramp_seconds",
    "connect_rate",
)


def load_of(plan: Plan) -> tuple[Any, ...]:
    """What makes two loads the same.

    That is everything but how long and by how many workers it is put on, and the seed.
    """
    return tuple(getattr(plan, name) for name in ("groups", *_LOAD))


def warnings(result: Result, found: Sequence[Row]) -> list[str]:
    """What not to rely on, and what to do about it: a sentence each, the gravest first."""
    said = faults(result, found)
    said += _too_little(found)
    said += _unsteady(found)
    said += disturbances(result, found)
    if len(found) > 1 and all(row.unranked == ONE_TRIAL for row in found):
        said.append("one trial each shows no spread, so nothing is ranked; use --trials 3 or more")
    return list(dict.fromkeys(said))


def faults(result: Result, found: Sequence[Row]) -> list[str]:
    """What went wrong or was left out, a sentence each."""
    said: list[str] = []
    if result.cut_short:
        said.append("the run was cut short: the figures cover only what was measured until then")
    for row in found:
        for trial in row.trials:
            said += [f"{row.name}: {sentence}" for sentence in _faults(trial)]
    return said + list(result.notes)


def summary(found: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON: an entry per row, with intervals as objects of mean, low, high, trials."""
    return [
        {
            "name": row.name,
            "model": row.run.model,
            "label": row.run.label,
            "python": row.run.python,
            "gil": row.run.gil,
            "clients": row.run.clients,
            "trials": len(row.trials),
            "valid": row.valid,
            "rank": row.rank,
            "unranked": row.unranked,
            "ranked_by": headline(row.plan).path,
            "no_clear_difference_from": list(row.ties),
            "bound": row.bound.bound,
            "estimates": {kind.path: _estimate_json(row.estimate(kind.path)) for kind in KINDS},
            "connect_seconds": asdict(row.connect_seconds),
            "first_reply_seconds": asdict(row.first_reply_seconds),
            "latency_seconds": asdict(row.latency_seconds),
            "response_seconds": asdict(row.response_seconds) if row.response_seconds else None,
        }
        for row in found
    ]


def document(result: Result) -> dict[str, Any]:
    """The whole saved result: the record, with everything that follows from it beside it."""
    found = rows(result)
    judged = {id(trial.run): trial for row in found for trial in row.trials}
    data = result.to_json()
    runs = []
    for run, plain in zip(result.runs, data["runs"], strict=True):
        trial = judged[id(run)]
        runs.append(
            {
                **{key: plain[key] for key in plain if key not in ("server", "kernel", "tally")},
                "figures": trial.figures.to_json(),
                "audit": {
                    "valid": trial.audit.valid,
                    "checks": [asdict(check) for check in trial.audit.checks],
                },
                "verdict": asdict(trial.verdict),
                **{key: plain[key] for key in ("server", "kernel", "tally")},
            }
        )
    return {**data, "runs": runs, "summary": summary(found), "warnings": warnings(result, found)}


@dataclass(frozen=True)
class Change:
    """One figure in two results.

    `ratio` is B over A; `verdict` is "better", "worse", "no clear difference", "not measured", or
    "one trial" where there is no interval to tell.
    """

    path: str
    a: Estimate | None
    b: Estimate | None
    ratio: Estimate | None
    verdict: str


@dataclass(frozen=True)
class Difference:
    """Two rows of the same load, figure by figure. `a` and `b` are the rows' names."""

    a: str
    b: str
    changes: tuple[Change, ...]


def diff(a: Result, b: Result) -> tuple[list[Difference], list[str]]:
    """Two saved results set side by side, and what to mind when reading that.

    Rows with the same name and load are paired; two results of a single row each are paired
    whatever served them. Raises ComparisonError when the loads differ or nothing can be paired.
    """
    left, right = rows(a), rows(b)
    if not left or not right:
        raise ComparisonError("one of the two results holds no run")
    if len(left) == len(right) == 1:
        if load_of(left[0].plan) != load_of(right[0].plan):
            raise ComparisonError(_unlike(left[0].plan, right[0].plan))
        pairs = [(left[0], right[0])]
    else:
        there = {(row.name, load_of(row.plan)): row for row in right}
        pairs = [
            (row, there[row.name, load_of(row.plan)])
            for row in left
            if (row.name, load_of(row.plan)) in there
        ]
    if not pairs:
        if {load_of(row.plan) for row in left}.isdisjoint(load_of(row.plan) for row in right):
            raise ComparisonError(_unlike(left[0].plan, right[0].plan))
        raise ComparisonError(
            f"nothing was measured in both: A has {_listed(left)}, B has {_listed(right)}"
        )
    unsound = [
        f"{row.name} in {side}"
        for one in pairs
        for side, row in zip("AB", one, strict=True)
        if not row.valid
    ]
    said = [
        f"{what}: the run failed its audit, so its ratios mean nothing; measure again"
        for what in unsound
    ]
    apart = environment.differences(a.environment, b.environment)
    if apart:
        said.append(
            "the machine or the interpreter differs, so the ratios measure that as well: "
            + "; ".join(apart)
        )
    first, second = pairs[0][0].plan, pairs[0][1].plan
    said += [
        f"{name.replace('_', ' ')} differs: {getattr(first, name)} and {getattr(second, name)}"
        for name in ("duration_seconds", "warmup_seconds", "workers", "pin")
        if getattr(first, name) != getattr(second, name)
    ]
    alone = {row.name for row in (*left, *right)} - {row.name for pair in pairs for row in pair}
    if alone:
        said.append(f"only in one of the two, so left out: {', '.join(sorted(alone))}")
    if any(len(row.trials) < 2 for pair in pairs for row in pair):
        said.append("a single trial has no interval: measure with --trials 3 or more to be sure")
    return [_difference(*pair) for pair in pairs], said


def _difference(a: Row, b: Row) -> Difference:
    kinds = dict.fromkeys((headline(a.plan), MESSAGES, LATENCY, CPU, MEMORY))
    changes = []
    for kind in kinds:
        before, after = a.values(kind.path), b.values(kind.path)
        quotient = ratio(after, before)
        judged = _judged(quotient, kind.more_is_better)
        changes.append(Change(kind.path, estimate(before), estimate(after), quotient, judged))
    return Difference(a.name, b.name, tuple(changes))


def _judged(quotient: Estimate | None, more_is_better: bool) -> str:
    if quotient is None:
        return "not measured"
    apart = clearly_differs(quotient)
    if apart is None:
        return ONE_TRIAL
    if not apart:
        return "no clear difference"
    return "better" if (quotient.mean > 1) == more_is_better else "worse"


def _unlike(a: Plan, b: Plan) -> str:
    said = []
    for name in _LOAD:
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            said.append(f"{name.replace('_', ' ')} {one} and {other}")
    if len(a.groups) != len(b.groups):
        said.append(f"{len(a.groups)} and {len(b.groups)} groups of clients")
    else:
        for one, other in zip(a.groups, b.groups, strict=True):
            said += [
                f"{name.replace('_', ' ')} {value} and {getattr(other, name)}"
                for name, value in asdict(one).items()
                if value != getattr(other, name)
            ]
    return f"the loads differ, so the figures cannot be compared: {'; '.join(said)}"


def _listed(found: Sequence[Row]) -> str:
    return ", ".join(row.name for row in found)


def _name(run: Run, several_pythons: bool) -> str:
    """What to call a row: the model or its label, and the interpreter where there are several."""
    name = run.label or run.model
    return f"{name} {run.python}" if several_pythons and run.python is not None else name


def _judge(run: Run, result: Result) -> Trial:
    found = verdict(run, result.ceiling, result.environment.usable_cores)
    return Trial(run, figures(run), audit(run), found)


def _ranked(same: Sequence[Row]) -> list[Row]:
    """Rows of one load in the order of their means, the best first, and ranked; unsound ones last.

    A row shares the rank of the row above it unless a row of that rank is clearly better; then its
    rank is its own place among the ranked ones. So ranks never fall on the way down, and no two
    rows of one rank can be told apart. Counting the clearly better ones would not do: a wide
    interval hides differences, so that of three rows the last may tie with the first while the one
    between them does not, and it would stand above what is faster.
    """
    kind = headline(same[0].plan)

    def order(row: Row) -> tuple[bool, float]:
        middle = row.mean(kind.path) or 0.0
        # One trial shows no spread, yet its figures are as sound as the ranked ones.
        unsound = row.unranked not in (None, ONE_TRIAL)
        return unsound, -middle if kind.more_is_better else middle

    found = sorted((replace(row, unranked=_why_unranked(row)) for row in same), key=order)
    sound = [row for row in found if row.unranked is None]
    if len(sound) < 2:
        return found
    values = [row.values(kind.path) for row in sound]
    ties = [
        [place for place, other in enumerate(values) if not clearly_differs(ratio(other, own))]
        for own in values
    ]
    ranked = []
    first = 0  # the place of the first row that has the current rank
    for place, row in enumerate(sound):
        if any(above not in ties[place] for above in range(first, place)):
            first = place
        names = tuple(sound[other].name for other in ties[place] if other != place)
        ranked.append(replace(row, rank=first + 1, ties=names))
    places = iter(ranked)
    return [next(places) if row.unranked is None else row for row in found]


def _why_unranked(row: Row) -> str | None:
    def any_of(*paths: str) -> bool:
        return any(row.highest(path) for path in paths)

    windows = row.values("window_seconds")
    reasons = (
        ("did not run", row.problem is not None),
        ("failed its audit", not row.valid),
        ("cut short", _cut_short(row)),
        ("wrong replies", any_of("wrong")),
        ("lost clients", any_of("refused", "reset", "timed_out", "other_failed")),
        ("lost datagrams", any_of("lost")),
        ("failed messages", any_of("failed")),
        ("starved clients", any_of("starved")),
        ("nothing measured", None in row.values(headline(row.plan).path)),
        (TOO_SHORT, any((window or 0.0) < 0.98 * SHORTEST_WINDOW for window in windows)),
        (ONE_TRIAL, len(row.trials) < 2),
    )
    return next((reason for reason, holds in reasons if holds), None)


def _cut_short(row: Row) -> bool:
    return any(trial.run.tally is not None and trial.run.tally.cut_short for trial in row.trials)


def _faults(trial: Trial) -> list[str]:
    """What went wrong in one run."""
    run = trial.run
    if run.tally is None:
        return [run.problem or "nothing was measured"]
    said = [*run.notes, *([run.tally.stopped_early] if run.tally.stopped_early else [])]
    return said + [
        f"trial {run.trial} is invalid, {check.name}: {check.detail}"
        for check in trial.audit.failures
    ]


def _too_little(found: Sequence[Row]) -> list[str]:
    said = []
    short = [row.name for row in found if row.unranked == TOO_SHORT]
    if short:
        said.append(
            f"less than {SHORTEST_WINDOW:g} s was measured, too short to rank "
            f"({', '.join(dict.fromkeys(short))}); use a longer --duration, or more --messages"
        )
    few = [row.name for row in found if 0 < row.latency_seconds.count < FEWEST_MESSAGES]
    if few:
        said.append(
            f"p99 rests on fewer than {FEWEST_MESSAGES:,} messages, too few to rely on "
            f"({', '.join(dict.fromkeys(few))}); use a longer --duration"
        )
    return said


def _unsteady(found: Sequence[Row]) -> list[str]:
    said = []
    spreads = {row.name: row.estimate(headline(row.plan).path) for row in found}
    wide = [
        f"{name} +/- {units.spread(known)}"
        for name, known in spreads.items()
        if known is not None and known.spread is not None and known.spread > UNSTEADY
    ]
    if wide:
        said.append(
            f"trials differ much ({', '.join(wide)}); close other programs, use more --trials or "
            "a longer --duration"
        )
    drifts = {
        row.name: max(known, key=abs)
        for row in found
        if row.unranked in (None, ONE_TRIAL)
        and (known := [drift for trial in row.trials if (drift := drift_of(trial)) is not None])
    }
    moved = [f"{name} {drift:+.0%}" for name, drift in drifts.items() if abs(drift) > DRIFT]
    if moved:
        said.append(
            f"the rate changed from the first to the last third of a run ({', '.join(moved)}); "
            "use a longer --warmup and --duration"
        )
    return said


def disturbances(result: Result, found: Sequence[Row]) -> list[str]:
    """Who else had the processors, a sentence each."""
    said = []
    cores = result.environment.usable_cores
    other = max((row.highest("machine.other_cores") or 0.0 for row in found), default=0.0)
    if other >= OTHERS_BUSY:
        said.append(
            f"other programs used up to {other:.2f} of {cores} cores meanwhile; close them and run "
            "again"
        )
    stolen = max((row.highest("machine.stolen_cores") or 0.0 for row in found), default=0.0)
    if stolen >= STOLEN:
        said.append(
            f"the hypervisor took up to {stolen:.2f} cores away; run again when it is quieter"
        )
    workers = max((row.plan.workers for row in found), default=0)
    if cores is not None and workers >= cores:
        said.append(
            f"{workers} engine worker(s) and the server share {cores} core(s), so each slows the "
            "other; use fewer --workers or a machine with more cores"
        )
    return said


def drift_of(trial: Trial) -> float | None:
    """How the rate changed from the first third of the window to the last: 0.2 is 20 % more.

    None when the window is too short to cut in three.
    """
    if trial.run.tally is None:
        return None
    line = together(trial.run.tally.groups).timeline[:-1]  # the last slice is seldom a whole one
    third = len(line) // 3
    if third < 3:
        return None
    first, last = sum(line[:third]), sum(line[-third:])
    return last / first - 1 if first else None


def _common_verdict(found: Sequence[Verdict]) -> Verdict:
    """What bound most trials; where they disagree evenly, what casts more doubt."""
    doubt = (GENERATOR, MACHINE, SERVER, WAITING, None)
    counts = Counter(one.bound for one in found)
    bound = max(counts, key=lambda one: (counts[one], -doubt.index(one)))
    return next(one for one in found if one.bound == bound)


def _estimate_json(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
