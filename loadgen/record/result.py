"""One saved result: what was asked, what happened, and where, as data that can be judged again.

A saved `run.json` is this record plus what follows from it (figures, audit, verdict, summary); only
the record is read back, so that a newer version judges an old result by its own lights. Fields that
were added since take their defaults, and those that a newer version added are passed over;
`schema_version` only grows when a field changes its meaning.

The file's shape (--help-figures says what each figure is):
    schema, schema_version, version (the kit's that made it; null or missing before there was one),
    what, command, began, finished, cut_short, seed, notes, environment
    ceiling      what the engine reached against a server that does nothing, or null
    ceilings     the same for each load of a curve under which the engine was busy
    runs         one entry per trial, in the order in which they ran: model, clients, plan, trial,
                 label, python, gil, at_once, endpoint, began, problem, notes,
                 connections_by_worker, probe, figures, audit, verdict, server, kernel, tally, trace
                 (tally.machines are there where those of a cluster put the load on)
    summary      one entry per row of the tables (the trials of one model under one load): model,
                 clients, rank, headline, interval and what stands out
    warnings     sentences about what not to rely on
    experiment   only in an experiment's result: name, question, expectation, load, source,
                 predictions (the viewer's ranking, best first), claims (text, as_expected: true,
                 false or null where it could not be checked or is not clear, numbers, interval),
                 reading, columns and cases (its table, in the plan's order), ranking (what the
                 viewer was asked to put in order, and the measured order) and picture (what is
                 shown large)
    p99_bound_seconds  only where a curve was asked for: up to how long a p99 is good enough
    rate_search  only where the highest rate was searched for: the bounds, and how thoroughly
    rates        only then: one entry per server and bound, see `judge.rates`
    curves       only where several loads make some: one entry per server, see `curves`
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.rate_search import RateSearch
from loadgen.record import codec
from loadgen.record.environment import Environment
from loadgen.record.lesson import MeasuredCase, Picture, TableColumn
from loadgen.record.monitor import ServerCost
from loadgen.record.number import Count
from loadgen.record.tally import Tally
from loadgen.record.trace import ServerTrace

SCHEMA = "concurrency-models loadgen result"
SCHEMA_VERSION = 1
SAME_AS_SERVICE = "service"
"""Stands in the file for response times that are the service times, as in every closed loop: a
third of a saved result would be their second copy."""


class RecordError(Exception):
    """A result that cannot be read or written; its text is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the engine reached on this machine, under the same load, against a null server.

    One worker was measured, and `messages_per_second` is what it reached times `workers`.
    `busiest_worker_cpu` (0 to 1) is the share of a core that it used meanwhile, `server_cpu_cores`
    what the null server used, None where that could not be read. `plan` is the load, None where a
    result has only one.
    """

    messages_per_second: float
    busiest_worker_cpu: float
    server_cpu_cores: float | None
    workers: Count
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One server under one load, once.

    `model` names what served: a model of ours, or what was found at the address. `trial` counts
    from 1. `python` and `gil` describe the server's interpreter where it is known. `at_once` is how
    many clients a model of ours serves at a time as it was started, None for as many as come and
    where it is not known. `began` is the
    wall clock in ISO 8601, for people; every duration comes from the monotonic clock. `kernel`
    holds how far the kernel's counters moved. `connections_by_worker` is how many connections each
    worker of the server got, None for a server that has no workers. `probe` is what a client of an
    experiment's own counted, by name. `trace` is the server's half of what the tally's `traces` are
    the other half of. `problem` says in a sentence why there is no `tally`; `notes` are what else
    was noticed.
    """

    model: str
    plan: Plan
    trial: Count = 1
    label: str | None = None
    python: str | None = None
    gil: str | None = None
    at_once: Count | None = None
    endpoint: Endpoint | None = None
    began: str = ""
    problem: str | None = None
    notes: tuple[str, ...] = ()
    connections_by_worker: tuple[Count, ...] | None = None
    probe: Mapping[str, int | float] | None = None
    server: ServerCost = field(default_factory=ServerCost)
    kernel: Mapping[str, int] | None = None
    tally: Tally | None = None
    trace: ServerTrace | None = None

    @property
    def clients(self) -> int:
        return self.plan.clients

    @property
    def problem_in_brief(self) -> str | None:
        """The problem in one line: of what a server said before its end, the last line."""
        if self.problem is None:
            return None
        first, *said = [line for line in self.problem.splitlines() if line.strip(" ^~")] or [""]
        return f"{first} {said[-1].strip()}" if said else first

    @property
    def clock_doubt_ns(self) -> int:
        """By how much moments of two machines may be apart that seem one; 0 on one machine."""
        known = (
            [one.uncertainty_seconds or 0.0 for one in self.tally.machines] if self.tally else []
        )
        return round(2e9 * max(known, default=0.0))

    def validate(self) -> None:
        """Raise ValueError, with a sentence, when plan and tally cannot be those of a run."""
        self.plan.validate()
        asked, counted = len(self.plan.groups), len(self.tally.groups if self.tally else ())
        if self.tally is not None and asked != counted:
            raise ValueError(f"a plan of {asked} groups and a tally of {counted}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What an experiment expected of the figures, and whether they bore it out.

    `as_expected` is False for a surprise and None where it could not be checked, or is not clear;
    `numbers` are the figures that decided, in words. `interval` has the ends of the 95 % interval
    of what decided, None where it has none: a claim is not clear where its bound lies within.
    """

    text: str
    as_expected: bool | None
    numbers: str = ""
    interval: tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """What came of it, in a word or two."""
        if self.as_expected is None:
            return "not measured" if self.interval is None else "not clear"
        return "as expected" if self.as_expected else "surprise"


@dataclass(frozen=True, slots=True)
class RankingOutcome:
    """What the viewer was asked to put in order: by the figure at `path`, measured best first."""

    question: str
    path: str
    measured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExperimentOutcome:
    """What an experiment asked and what came out.

    `load` says what the clients do, `source` where the expectation comes from. `predictions` are
    models as the viewer ranked them, best first; empty when nobody was asked. `reading` is what to
    take home, in sentences. `columns` and `cases` are its table, in the order of the
    experiment. Results that are older than `picture` have none, nor `ranking`, nor a table.
    """

    name: str
    question: str
    expectation: str
    load: str = ""
    source: str = ""
    predictions: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    reading: str = ""
    columns: tuple[TableColumn, ...] = ()
    cases: tuple[MeasuredCase, ...] = ()
    ranking: RankingOutcome | None = None
    picture: Picture | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Everything from one command: its runs in the order in which they ran, and their surroundings.

    `version` is the kit's that made it, None where that was not written down yet. `what` is the
    word that names the folder. `seed` gave the order of the runs and every random choice in the
    load. `notes` were written while measuring, a sentence each. `p99_bound_seconds` is up to how
    long a p99 is good enough on a curve, None where nobody asked for one. `rate_search` says what
    the highest rate was searched for; each run is then a trial of the search.
    """

    version: str | None = None
    what: str
    command: tuple[str, ...]
    began: str
    finished: str
    cut_short: bool = False
    seed: int
    notes: tuple[str, ...] = ()
    environment: Environment
    ceiling: Ceiling | None = None
    ceilings: tuple[Ceiling, ...] = ()
    runs: tuple[Run, ...]
    experiment: ExperimentOutcome | None = None
    p99_bound_seconds: float | None = None
    rate_search: RateSearch | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as values that `files.dumps` can write; `from_json` reads it back."""
        data = codec.to_json(self)
        for one in data["runs"]:
            if one["trace"] is None:
                del one["trace"]
            if one["tally"] is not None and not one["tally"]["machines"]:
                del one["tally"]["machines"]
        plain = [
            {"model": run.model, "clients": run.clients, **one}
            for run, one in zip(self.runs, data["runs"], strict=True)
        ]
        for one in _latencies(plain):
            if one["response"] == one["service"]:
                one["response"] = SAME_AS_SERVICE
        for absent in ("experiment", "p99_bound_seconds", "rate_search", "ceilings"):
            if not data[absent]:
                del data[absent]
        return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **data, "runs": plain}

    @classmethod
    def from_json(cls, data: Any) -> "Result":
        """The record in a saved result; what was derived from it is passed over.

        `data` is whatever a file held, and is used up. Raises RecordError when it is of another
        kind, from a newer version or damaged.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise RecordError("it is not a result that loadgen saved")
        try:
            version = codec.from_json(_Header, data).schema_version
            if version > SCHEMA_VERSION:
                raise RecordError(
                    f"it was saved by a newer loadgen (schema {version}, this one reads up to "
                    f"{SCHEMA_VERSION}); upgrade to read it"
                )
            for one in _latencies(data.get("runs")):
                if one.get("response") == SAME_AS_SERVICE:
                    one["response"] = one.get("service")
            data.setdefault("p99_bound_seconds", _bound_of_curves(data))
            result = codec.from_json(cls, data)
            for position, run in enumerate(result.runs):
                try:
                    run.validate()
                except ValueError as error:
                    raise ValueError(f"{error} - at `$.runs[{position}]`") from None
            _validate_search(result)
            _validate_cases(result)
            return result
        except ValueError as error:
            raise RecordError(f"the result is damaged: {error}") from None


def _validate_search(result: Result) -> None:
    """Raise ValueError, with a sentence, for a search whose runs cannot be its trials."""
    if result.rate_search is None:
        return
    result.rate_search.validate()
    if not result.runs:
        raise ValueError("a search without a trial - at `$.runs`")
    for position, run in enumerate(result.runs):
        if run.plan.duration_seconds is None or not run.plan.talking:
            raise ValueError(f"no trial of a search - at `$.runs[{position}].plan`")


def _validate_cases(result: Result) -> None:
    """Raise ValueError, with a sentence, for a case with runs that there are not."""
    cases = result.experiment.cases if result.experiment else ()
    for position, case in enumerate(cases):
        if any(run >= len(result.runs) for run in case.runs):
            raise ValueError(f"there is no such run - at `$.experiment.cases[{position}].runs`")


def _bound_of_curves(data: dict[str, Any]) -> Any:
    """The bound of a result that was saved when only its curves had it."""
    match data:
        case {"curves": [{"p99_bound_seconds": bound}, *_]}:
            return bound
    return None


@dataclass(frozen=True)
class _Header:
    schema_version: int


def _latencies(runs: Any) -> Iterator[dict[str, Any]]:
    """What has latencies in the runs of a file, as far as it is there: groups and turns."""
    for run in runs if isinstance(runs, Sequence) else ():
        match run:
            case {"tally": {"groups": [*groups], **rest}}:
                turns = rest.get("turns")
                both = [*groups, *(turns if isinstance(turns, list) else ())]
                yield from (one for one in both if isinstance(one, dict))
