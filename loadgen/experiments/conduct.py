"""An experiment measured: every case once per trial, in a random order, and what came of it.

Cases that are compared under one load take turns (see `side_by_side`).

A case that cannot run here is left out with its reason; the rest go on. Ctrl-C ends the measuring
and keeps what there is.
"""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from concurrency_models import __version__
from concurrency_models.backends import MODELS
from loadgen.experiments import judge
from loadgen.experiments.experiment import Case, Experiment, Scale, named
from loadgen.experiments.quantity import Ends, Look, Pairs, Reach
from loadgen.experiments.specimens import SPECIMENS
from loadgen.fleet.conductor import Stop, interrupt_sets
from loadgen.fleet.cores import core_numbers
from loadgen.fleet.limits import descriptor_problem
from loadgen.fleet.measure import Keeper, Watcher, measure, now
from loadgen.fleet.server import ModelServer, ProgramServer, Server
from loadgen.fleet.task import Task
from loadgen.fleet.turns import measure_in_turns, whole_trials_because
from loadgen.judge.analysis import Analysis, analyse
from loadgen.judge.rows import Row, load_of
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.lesson import Cell, MeasuredCase, TableColumn
from loadgen.record.result import ExperimentOutcome, RankingOutcome, Result, Run
from loadgen.servers import interpreters
from loadgen.servers.interpreters import Interpreter, InterpreterError

# Of cases that are compared, as in a comparison of `python -m loadgen`.
TURN_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Findings:
    """What was measured of an experiment.

    `rows` and `missing` are keyed by the name of the case: a row where there is one, else the
    reason why there is none. `result` holds all runs; its `experiment` is the outcome.
    """

    experiment: Experiment
    analysis: Analysis
    rows: dict[str, Row]
    missing: dict[str, str]

    @property
    def result(self) -> Result:
        return self.analysis.result

    @property
    def outcome(self) -> ExperimentOutcome:
        assert self.result.experiment is not None
        return self.result.experiment

    def look(self, case: str, path: str) -> float | None:
        """One figure of one case over its trials, None where it was not measured."""
        return _look(self.rows)(case, path)


def unavailable(case: Case, scale: Scale) -> str | None:
    """Why a case cannot be measured here, or None."""
    model = MODELS.get(case.server)
    if model is None:
        if case.server in SPECIMENS:
            return descriptor_problem(case.plan_at(scale))
        return f"there is no model {case.server!r} in this version"
    try:
        python = _python(case)
    except InterpreterError as error:
        return str(error)
    if reason := python.missing[model.name]:
        return f"the model cannot run here: {reason}"
    if case.open_files is not None and not sys.platform.startswith("linux"):
        return "limiting a server's descriptors takes Linux"
    return descriptor_problem(case.plan_at(scale))


def conduct(
    experiment: Experiment,
    scale: Scale,
    seed: int,
    watcher: Watcher,
    stop: Stop,
    *,
    command: Sequence[str] = (),
    predictions: Sequence[str] = (),
    when_measured: Callable[[], None] = lambda: None,
) -> Findings | None:
    """Measure and judge an experiment; None when it was stopped before anything was measured.

    `when_measured` is called between the two.
    """
    began, here = now(), environment.describe()
    missing = {
        case.name: reason for case in experiment.cases if (reason := unavailable(case, scale))
    }
    keeper = Keeper(watcher)
    cut_short = False
    try:
        for tasks in _in_order(experiment, scale, seed, missing):
            with interrupt_sets(stop):
                if len(tasks) > 1:
                    measure_in_turns(tasks, tasks[0].plan.seed, keeper, stop)
                else:
                    measure(tasks[0], keeper, stop)
            if stop.is_set():
                break
    except KeyboardInterrupt:
        cut_short = True
    when_measured()
    cut_short = cut_short or stop.is_set()
    if not keeper.runs and cut_short:
        return None
    result = Result(
        version=__version__,
        what=f"experiment-{experiment.name}",
        command=tuple(command),
        began=began,
        finished=now(),
        seed=seed,
        environment=here,
        runs=tuple(keeper.runs),
        cut_short=cut_short,
        notes=(
            *(f"{name} was left out: {reason}" for name, reason in missing.items()),
            *(f"{name}: {why}" for name, why in _smaller_crowds(experiment, scale, missing)),
        ),
    )
    analysis = analyse(result)
    rows, unsound = _rows(analysis, keeper.by_name)
    missing |= unsound
    if cut_short:
        for case in experiment.cases:
            missing.setdefault(case.name, "it was stopped before its turn")
    look = _look(rows)
    claims = judge.claims(experiment, look, missing, here.usable_cores, _reach(rows), _pairs(rows))
    outcome = ExperimentOutcome(
        name=experiment.name,
        question=experiment.question,
        expectation=experiment.expectation,
        load=experiment.load,
        source=experiment.source,
        predictions=tuple(predictions),
        claims=claims,
        reading=judge.reading(experiment.hypotheses, claims, look),
        columns=tuple(TableColumn(name, path) for path, name in named(experiment.columns).items()),
        cases=tuple(
            MeasuredCase(
                case.name,
                _cells(experiment, case, look, _reach(rows)),
                _positions(keeper.by_name.get(case.name, ()), keeper.runs),
                missing.get(case.name, ""),
            )
            for case in experiment.cases
        ),
        ranking=RankingOutcome(
            experiment.ranking.question,
            experiment.ranking.path,
            tuple(judge.order(experiment.ranking, look)),
        ),
        picture=experiment.picture,
    )
    told = replace(analysis, result=replace(result, experiment=outcome))
    return Findings(experiment, told, rows, missing)


def _smaller_crowds(
    experiment: Experiment, scale: Scale, missing: dict[str, str]
) -> list[tuple[str, str]]:
    """The cases whose crowd is smaller than was asked for, and why."""
    able = [case for case in experiment.cases if case.crowd and case.name not in missing]
    told = [(case.name, case.crowd.note(case.plan, scale)) for case in able if case.crowd]
    return [(name, why) for name, why in told if why is not None]


def _in_order(
    experiment: Experiment, scale: Scale, seed: int, missing: dict[str, str]
) -> list[list[Task]]:
    """The cases that can run, trial by trial; within a trial in an order that the seed gives.

    Those that are to take turns stand together, and their trial is a life.
    """
    shuffled = random.Random(seed)
    able = [case for case in experiment.cases if case.name not in missing]
    found = []
    for trial in range(1, scale.trials + 1):
        order = side_by_side(able, scale)
        shuffled.shuffle(order)
        for same in order:
            tasks = [_task(case, scale, trial, seed + trial) for case in same]
            found.append([_in_turns(task) for task in tasks] if len(same) > 1 else tasks)
    return found


def side_by_side(cases: Sequence[Case], scale: Scale) -> list[list[Case]]:
    """The cases, those together that take turns: servers under one load, which are compared.

    Others keep whole trials, each by itself, and so do all that share a load with one of them,
    since what is compared has to be measured alike:

    - with a driver of its own a case's load is not the engine's alone to take off;
    - a server that acts by the clock (`fixed`) does so whether or not it has its turn;
    - where descriptors are short, some servers spin while they wait;
    - a number of messages, or a crowd of connections, does not take turns (`fleet.turns`);
    - in a lesson (`quick`) there is one trial, and a single life knows nothing of other starts.
    """
    loads: dict[Any, list[Case]] = {}
    for case in cases:
        loads.setdefault(load_of(case.plan_at(scale)), []).append(case)
    found = []
    for same in loads.values():
        tasks = [_task(case, scale, 1, 1) for case in same]
        alone = any(case.fixed or case.open_files is not None for case in same)
        if scale.quick or alone or whole_trials_because(tasks) is not None:
            found += [[case] for case in same]
        else:
            found.append(same)
    return found


def _in_turns(task: Task) -> Task:
    seconds = task.plan.duration_seconds
    assert seconds is not None
    return replace(task, plan=replace(task.plan, turns=max(1, round(seconds / TURN_SECONDS))))


def _task(case: Case, scale: Scale, trial: int, seed: int) -> Task:
    return Task(
        case.name,
        _server(case),
        replace(case.plan_at(scale), seed=seed),
        trial,
        label=None if case.shown_as == case.server else case.shown_as,
        driver=case.driver_at(scale),
    )


def _python(case: Case) -> Interpreter:
    """The interpreter that a case takes; raises InterpreterError where there is none."""
    return interpreters.own() if case.gil is None else interpreters.with_and_without_gil()[case.gil]


def _server(case: Case) -> Server:
    if case.server in MODELS:
        cores = None if case.cores is None else core_numbers()[: case.cores]
        return ModelServer(case.server, case.options, _python(case), case.open_files, cores)
    command = (sys.executable, "-P", "-m", f"{__package__}.specimens", case.server)
    return ProgramServer(case.server, command, interpreters.own(), case.open_files)


def _rows(
    analysis: Analysis, by_case: dict[str, list[Run]]
) -> tuple[dict[str, Row], dict[str, str]]:
    """Each case's row, and why a case has none that could be believed."""
    row_of = {id(trial.run): row for row in analysis.rows for trial in row.trials}
    rows, unsound = {}, {}
    for name, runs in by_case.items():
        row = row_of[id(runs[0])]
        if row.problem is not None:
            unsound[name] = row.problem
        elif not row.valid:
            failed = [check.name for trial in row.trials for check in trial.audit.failures]
            unsound[name] = f"the run failed its own audit ({', '.join(dict.fromkeys(failed))})"
        elif None in row.values("window_seconds"):
            unsound[name] = "it was stopped before anything was measured"
        else:
            rows[name] = row
    return rows, unsound


def _cells(experiment: Experiment, case: Case, look: Look, reach: Reach) -> dict[str, Cell]:
    """The figures of a case that were measured, by their paths."""
    found = {}
    for column in experiment.columns:
        value = look(case.name, column.path)
        if value is not None:
            found[column.path] = Cell(value, reach(case.name, column.path))
    return found


def _positions(own: Sequence[Run], every: Sequence[Run]) -> tuple[int, ...]:
    return tuple(at for at, run in enumerate(every) if any(run is one for one in own))


def _look(rows: dict[str, Row]) -> Look:
    def look(case: str, path: str) -> float | None:
        return rows[case].value(own_path(rows[case].plan, path)) if case in rows else None

    return look


def _reach(rows: dict[str, Row]) -> Reach:
    def reach(case: str, path: str) -> Ends | None:
        return rows[case].bounds(own_path(rows[case].plan, path)) if case in rows else None

    return reach


def _pairs(rows: dict[str, Row]) -> Pairs:
    def pairs(case: str, other: str, path: str) -> Ends | None:
        if case not in rows or other not in rows:
            return None
        one, base = rows[case], rows[other]
        own = own_path(one.plan, path)
        beside = any(row.trials is base.trials for row in one.others)
        if not beside or own != own_path(base.plan, path) or one.bounds(own) is None:
            return None
        found = one.ratio(own, base)
        if found is None or found.low is None or found.high is None:
            return None
        return found.low, found.high

    return pairs


def own_path(plan: Plan, path: str) -> str:
    """Where that figure is under this plan: those of its only group are the whole run's."""
    groups = plan.groups
    return path.removeprefix(f"groups.{groups[0].name}.") if len(groups) == 1 else path
