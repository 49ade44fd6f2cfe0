"""One saved result: what was asked, what happened, and where, as data that can be judged again.

A saved `run.json` is this record plus what follows from it (figures, audit, verdict, summary); only
the record is read back, so that a newer version judges an old result by its own lights.

The file's shape (--help-figures says what each figure is):
    schema, schema_version, what, command, began, finished, cut_short, seed, notes, environment
    ceiling      what the engine reached against a server that does nothing, or null
    runs         one entry per trial, in the order in which they ran: model, clients, trial, label,
                 python, gil, endpoint, began, problem, notes, plan, figures, audit, verdict,
                 server, kernel, connections_by_worker, probe, tally
    summary      one entry per row of the tables (the trials of one model under one load): model,
                 clients, rank, headline, interval and what stands out
    warnings     sentences about what not to rely on
    experiment   only in an experiment's result: name, question, expectation, source, predictions
                 (the viewer's ranking, best first), claims (text, as_expected: true, false or
                 null where it could not be checked, numbers) and reading
    p99_bound_seconds  only where a curve was asked for: up to how long a p99 is good enough
    curves       only where several loads make some: one entry per server, see `curves`
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.environment import Environment
from loadgen.record.monitor import ServerCost
from loadgen.record.tally import Tally

SCHEMA = "concurrency-models loadgen result"
SCHEMA_VERSION = 1
RESULT_FILE = "run.json"
TABLES_FILE = "tables.md"


class RecordError(Exception):
    """A result that cannot be read or written; its text is one sentence for a person."""


@dataclass(frozen=True)
class Ceiling:
    """What the engine reached on this machine, under the same load, against a null server.

    `busiest_worker_cpu` (0 to 1) is the share of a core that its busiest worker used meanwhile,
    `server_cpu_cores` what the null server used, None where that could not be read.
    """

    messages_per_second: float
    busiest_worker_cpu: float
    server_cpu_cores: float | None
    workers: int


@dataclass(frozen=True)
class Run:
    """One server under one load, once.

    `model` names what served: a model of ours, or what was found at the address. `trial` counts
    from 1. `python` and `gil` describe the server's interpreter where it is known. `began` is the
    wall clock in ISO 8601, for people; every duration comes from the monotonic clock. `kernel`
    holds how far the kernel's counters moved. `connections_by_worker` is how many connections each
    worker of the server got, None for a server that has no workers. `probe` is what a client of an
    experiment's own counted, by name. `problem` says in a sentence why there is no `tally`; `notes`
    are what else was noticed.
    """

    model: str
    plan: Plan
    trial: int = 1
    tally: Tally | None = None
    server: ServerCost = field(default_factory=ServerCost)
    kernel: Mapping[str, int] | None = None
    endpoint: Endpoint | None = None
    label: str | None = None
    python: str | None = None
    gil: str | None = None
    began: str = ""
    problem: str | None = None
    notes: tuple[str, ...] = ()
    connections_by_worker: tuple[int, ...] | None = None
    probe: Mapping[str, float] | None = None

    @property
    def clients(self) -> int:
        return self.plan.clients

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "clients": self.clients,
            "trial": self.trial,
            "label": self.label,
            "python": self.python,
            "gil": self.gil,
            "endpoint": None if self.endpoint is None else self.endpoint.to_json(),
            "began": self.began,
            "problem": self.problem,
            "notes": list(self.notes),
            "plan": self.plan.to_json(),
            "server": self.server.to_json(),
            "kernel": None if self.kernel is None else dict(self.kernel),
            "connections_by_worker": None
            if self.connections_by_worker is None
            else list(self.connections_by_worker),
            "probe": None if self.probe is None else dict(self.probe),
            "tally": None if self.tally is None else self.tally.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Run":
        return cls(
            model=data["model"],
            plan=Plan.from_json(data["plan"]),
            trial=data["trial"],
            tally=None if data["tally"] is None else Tally.from_json(data["tally"]),
            server=ServerCost.from_json(data["server"]),
            kernel=data["kernel"],
            connections_by_worker=tuple(spread)
            if (spread := data.get("connections_by_worker")) is not None
            else None,
            probe=data.get("probe"),
            endpoint=None if data["endpoint"] is None else Endpoint.from_json(data["endpoint"]),
            label=data["label"],
            python=data["python"],
            gil=data["gil"],
            began=data["began"],
            problem=data["problem"],
            notes=tuple(data["notes"]),
        )


@dataclass(frozen=True)
class Claim:
    """What an experiment expected of the figures, and whether they bore it out.

    `as_expected` is False for a surprise and None where it could not be checked; `numbers` are the
    figures that decided, in words.
    """

    text: str
    as_expected: bool | None
    numbers: str = ""


@dataclass(frozen=True)
class ExperimentOutcome:
    """What an experiment asked and what came out.

    `source` says where the expectation comes from. `predictions` are models as the viewer ranked
    them, best first; empty when nobody was asked. `reading` is what to take home, in sentences.
    """

    name: str
    question: str
    expectation: str
    source: str = ""
    predictions: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    reading: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ExperimentOutcome":
        claims = tuple(Claim(**claim) for claim in data["claims"])
        return cls(**{**data, "predictions": tuple(data["predictions"]), "claims": claims})


@dataclass(frozen=True)
class Result:
    """Everything from one command: its runs in the order in which they ran, and their surroundings.

    `what` is the word that names the folder. `seed` gave the order of the runs and every random
    choice in the load. `notes` were written while measuring, a sentence each. `p99_bound_seconds`
    is up to how long a p99 is good enough on a curve, None where nobody asked for one.
    """

    what: str
    command: tuple[str, ...]
    began: str
    finished: str
    seed: int
    environment: Environment
    runs: tuple[Run, ...]
    ceiling: Ceiling | None = None
    cut_short: bool = False
    notes: tuple[str, ...] = ()
    experiment: ExperimentOutcome | None = None
    p99_bound_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "what": self.what,
            "command": list(self.command),
            "began": self.began,
            "finished": self.finished,
            "cut_short": self.cut_short,
            "seed": self.seed,
            "notes": list(self.notes),
            "environment": self.environment.to_json(),
            "ceiling": None if self.ceiling is None else asdict(self.ceiling),
            "runs": [run.to_json() for run in self.runs],
        }
        if self.experiment is not None:
            data["experiment"] = self.experiment.to_json()
        if self.p99_bound_seconds is not None:
            data["p99_bound_seconds"] = self.p99_bound_seconds
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Result":
        """The record in a saved result; what was derived from it is passed over.

        Raises RecordError when it is of another kind or from a newer version.
        """
        if data.get("schema") != SCHEMA:
            raise RecordError("it is not a result that loadgen saved")
        if data["schema_version"] > SCHEMA_VERSION:
            raise RecordError(
                f"it was saved by a newer loadgen (schema {data['schema_version']}, this one reads "
                f"up to {SCHEMA_VERSION}); upgrade to read it"
            )
        ceiling = data["ceiling"]
        return cls(
            what=data["what"],
            command=tuple(data["command"]),
            began=data["began"],
            finished=data["finished"],
            seed=data["seed"],
            environment=Environment.from_json(data["environment"]),
            runs=tuple(Run.from_json(run) for run in data["runs"]),
            ceiling=None if ceiling is None else Ceiling(**ceiling),
            cut_short=data["cut_short"],
            notes=tuple(data["notes"]),
            experiment=ExperimentOutcome.from_json(told)
            if (told := data.get("experiment")) is not None
            else None,
            p99_bound_seconds=data.get("p99_bound_seconds", _bound_of_curves(data)),
        )


def _bound_of_curves(data: Mapping[str, Any]) -> float | None:
    """The bound of a result that was saved when only its curves had it."""
    bounds: Iterator[float] = (curve["p99_bound_seconds"] for curve in data.get("curves", ()))
    return next(bounds, None)


def load(path: Path) -> Result:
    """The result saved at `path`: a run.json, or the folder that holds one. Raises RecordError."""
    file = path / RESULT_FILE if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"there is no saved result at {file}") from None
    except OSError as error:
        raise RecordError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise RecordError(f"{file} is not a saved result: it is not JSON") from None
    try:
        if not isinstance(data, dict):
            raise RecordError("it is not a result that loadgen saved")
        return Result.from_json(data)
    except RecordError as error:
        raise RecordError(f"{file}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"{file}: the result is damaged ({type(error).__name__}: {error})"
        ) from None


def check_folder(results: Path) -> None:
    """Raise RecordError unless results can be saved under `results`, which is made if need be."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise RecordError(
            f"cannot save results in {results}: {error.strerror}; "
            "name another folder with --results, or use --no-save"
        ) from None


def check_file(file: Path) -> None:
    """Raise RecordError unless `file` can be written. Leaves no file behind that was not there."""
    there = file.exists()
    try:
        with file.open("a"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        raise RecordError(f"cannot write {file}: {error.strerror}; name another file") from None


def new_folder(results: Path, began: str, what: str) -> Path:
    """A new folder under `results`, named by time and `what`; numbered when that name is taken."""
    stamp = began[:19].replace(":", "").replace("T", "-")
    for number in range(1, 1000):
        folder = results / (f"{stamp}-{what}" if number == 1 else f"{stamp}-{what}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RecordError(f"cannot make {folder}: {error.strerror}") from None
        return folder
    raise RecordError(f"{results} has too many results named {stamp}-{what}; name another folder")


def fixed_folder(folder: Path) -> Path:
    """The folder itself, made if need be: what is written there replaces an earlier run's files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot make {folder}: {error.strerror}") from None
    return folder


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises RecordError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordError(f"cannot write {path}: {error.strerror}") from None


def dumps(document: Mapping[str, Any]) -> str:
    """A document as JSON text: indented for people, but with short lists of numbers on one line."""
    return _dump(document, "") + "\n"


def _dump(value: Any, indent: str) -> str:
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or len(indent) + len(flat) <= 100:
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(str(key))}: {_dump(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}}}"
    if all(not isinstance(item, dict) for item in value):
        return flat
    return "[\n" + ",\n".join(deeper + _dump(item, deeper) for item in value) + f"\n{indent}]"
