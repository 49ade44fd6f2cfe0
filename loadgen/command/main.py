"""The command `python -m loadgen`: from the options to runs, tables, a saved result and a status.

Whatever was measured is tabulated and saved, however the command ends.
"""

import contextlib
import os
import random
import re
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from concurrency_models import __version__
from loadgen.command import experiment, options
from loadgen.fleet.conductor import descriptor_problem, port_warning
from loadgen.fleet.measure import (
    Task,
    ceiling_needed,
    measure_ceiling,
    measure_found,
    measure_model,
    now,
    server_cores,
    tasks,
)
from loadgen.judge import compare
from loadgen.judge.compare import ComparisonError, Row
from loadgen.judge.curves import curves as find_curves
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record import environment
from loadgen.record.files import (
    RESULT_FILE,
    TABLES_FILE,
    check_file,
    check_folder,
    dumps,
    new_folder,
    read_result,
    write,
)
from loadgen.record.result import Ceiling, RecordError, Result, Run
from loadgen.servers import candidates, interpreters, target
from loadgen.servers.target import Found, TargetError
from loadgen.show import curve_tables, export, report, tables
from loadgen.show import sentences as reading
from loadgen.show.progress import Progress

FAILURE = 1
INTERRUPTED = 130
# As a shell sees a program that the signal ended.
BROKEN_PIPE = 128 + signal.SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments`; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # SIGTERM and a closed terminal end a run as Ctrl-C does: servers stopped, figures saved. Set
    # outright, since a program that a shell starts with & is born deaf to SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(name, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        commands = {"diff": _diff, "experiment": experiment.main, "report": _report}
        status = (
            commands[words[0]](words[1:]) if words[:1] and words[0] in commands else _load(words)
        )
        sys.stdout.flush()
        return status
    except (PlanError, ComparisonError) as error:
        return _complain(str(error), options.USAGE_ERROR)
    except (TargetError, RecordError) as error:
        return _complain(str(error), FAILURE)
    except KeyboardInterrupt:
        return _complain("stopped before anything was measured", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the tables has gone; the interpreter would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def command() -> None:
    """Entry point of the console script."""
    sys.exit(main())


def _complain(sentence: str, status: int) -> int:
    print(f"loadgen: {sentence}", file=sys.stderr)
    return status


def _diff(words: Sequence[str]) -> int:
    asked = options.make_diff_parser().parse_args(words)
    paths = Path(asked.a), Path(asked.b)
    a, b = read_result(paths[0]), read_result(paths[1])
    found, said = compare.diff(a, b)
    names = tuple(f"{path} ({one.began})" for path, one in zip(paths, (a, b), strict=True))
    sys.stdout.write(tables.differences(found, (names[0], names[1]), said))
    return 0


def _report(words: Sequence[str]) -> int:
    asked = options.make_report_parser().parse_args(words)
    results = [read_result(Path(path)) for path in asked.results]
    path = Path(report.REPORT_FILE)
    if asked.output is not None:
        path = Path(asked.output)
    elif len(results) == 1:
        first = Path(asked.results[0])
        path = (first if first.is_dir() else first.parent) / report.REPORT_FILE
    report.write_report(results, path)
    print(f"wrote {path}", file=sys.stderr)
    return 0


def _load(words: Sequence[str]) -> int:
    asked = options.make_parser().parse_args(words)
    _check_combinations(asked)
    if not asked.no_save:
        check_folder(Path(asked.results))
    for file in (asked.json, asked.export_hdr):
        if file not in (None, "-"):
            check_file(Path(file))
    if asked.export_hdr and (problem := export.missing()):
        raise RecordError(problem)
    if asked.report and (problem := report.missing()):
        raise RecordError(problem)
    seed = random.SystemRandom().randrange(2**32) if asked.seed is None else asked.seed
    plans = options.plans_of(asked, seed)
    for plan in plans:
        if problem := descriptor_problem(plan):
            raise PlanError(problem)

    began = now()
    here = environment.describe()
    session = _Session(asked, plans, seed)
    session.run()
    if not session.runs:
        raise KeyboardInterrupt
    result = Result(
        version=__version__,
        what=_slug(session.what),
        command=("python", "-m", "loadgen", *words),
        began=began,
        finished=now(),
        seed=seed,
        environment=here,
        runs=tuple(session.runs),
        ceiling=session.ceiling,
        cut_short=session.cut_short,
        notes=tuple(session.notes),
    )
    status = _present(asked, result)
    if session.failure is not None:
        raise session.failure
    return status


def _check_combinations(asked: Namespace) -> None:
    """Refuse options that contradict each other. Raises PlanError."""
    if asked.connect and asked.python:
        raise PlanError(
            "--python is for servers that are started, and --connect drives one that runs already; "
            "give one of them"
        )
    if asked.label and not asked.connect and len(options.models_of(asked.model or [])) > 1:
        raise PlanError("--label names one server; give it with a single --model or --connect")
    if asked.request is not None and not asked.connect:
        raise PlanError("--request is for a server that is not ours; say where with --connect")
    if asked.report and asked.no_save:
        raise PlanError("--report is written beside the saved result; leave out --no-save")


class _Keeper:
    """A watcher that keeps each run the moment it has ended, before anybody is told of it."""

    def __init__(self, runs: list[Run], progress: Progress) -> None:
        self._runs = runs
        self._progress = progress
        self.begin, self.event = progress.begin, progress.event

    def end(self, run: Run) -> None:
        self._runs.append(run)
        self._progress.end(run)


class _Session:
    """The runs of one command, and what was learned beside them."""

    def __init__(self, asked: Namespace, plans: Sequence[Plan], seed: int) -> None:
        self.runs: list[Run] = []
        self.ceiling: Ceiling | None = None
        self.cut_short = False
        self.failure: Exception | None = None
        self.notes: list[str] = []
        self.what = "compare"
        self._asked, self._plans, self._seed = asked, plans, seed
        self._plan = plans[0]
        self._stop = threading.Event()

    def run(self) -> None:
        """Do what was asked for. Ctrl-C ends it early and leaves what was measured in `runs`."""
        asked = self._asked
        if asked.model and asked.connect:
            beside = self._allowed(options.endpoint_of(asked))
            self._compare(options.models_of(asked.model), by_name=asked.model, beside=beside)
            return
        if asked.model or asked.python:
            names = asked.model or ["core"]
            self._compare(options.models_of(names), by_name=names)
            return
        endpoint = options.endpoint_of(asked)
        if endpoint is None or (asked.connect is None and not target.listens(endpoint)):
            why = "no server is named" if endpoint is None else f"nobody listens on {endpoint}"
            print(
                f"loadgen: {why}, so the models of the course are started here in turn and "
                "compared (--help shows other ways)",
                file=sys.stderr,
            )
            self._compare(options.models_of(["core"]), by_name=["core"])
            return
        self._drive(self._allowed(endpoint))

    def _compare(
        self, models: Sequence[str], by_name: Sequence[str], beside: Endpoint | None = None
    ) -> None:
        """Start each model and measure it, in turn with a server that is there already."""
        asked = self._asked
        label = None if beside else asked.label
        pythons = [interpreters.own()]
        if asked.python:
            pythons, said = interpreters.find(asked.python)
            if not pythons:
                raise TargetError("; ".join(said))
            self.notes += said
        able, said = candidates.choose(models, by_name, self._plan, pythons, label)
        self.notes += said
        servers = {one.name: one for one in able}
        names = list(servers)
        found = None
        if beside is not None:
            found = self._find(beside)
            names.append(asked.label or found.name)
            if names[-1] in servers:
                raise PlanError(
                    f"the server at {beside} would be called {names[-1]} as well; give it a --label"
                )
        trials = asked.trials or (options.DEFAULT_TRIALS if len(names) > 1 else 1)
        self.what = names[0] if len(names) == 1 else "compare"
        self._hint_at_cores()
        with self._keeping(), self._progress(names, trials) as progress:
            for task in tasks(names, self._plans, trials, self._seed):
                if found is not None and beside is not None and task.model == names[-1]:
                    self._measure_found(found, beside, task, progress)
                    continue
                server = servers[task.model]
                # A request for somebody else's server says nothing to ours.
                plan = options.without_request(task.plan)
                more = options.server_options(plan, asked.server_options)
                one = replace(
                    task,
                    plan=plan,
                    model=server.model,
                    python=server.python,
                    shown=server.name,
                    label=label,
                    options=tuple(more),
                )
                measure_model(one, _Keeper(self.runs, progress), self._stop)
                if self._stop.is_set():
                    break
            self._find_ceiling(progress)

    def _allowed(self, endpoint: Endpoint | None) -> Endpoint:
        """The endpoint as a number, if it may be loaded. Raises PlanError."""
        assert endpoint is not None, "--connect or the usual port names one"
        endpoint = endpoint.resolved()
        if not endpoint.is_loopback and not self._asked.i_may_load_this_host:
            raise PlanError(
                f"{endpoint} is not a loopback address: a load test looks like an attack to "
                "whoever runs the other end. With their consent, repeat the command with "
                "--i-may-load-this-host"
            )
        return endpoint

    def _find(self, endpoint: Endpoint) -> Found:
        """Who listens there, with a note on what to mind. Raises TargetError when nobody does."""
        found = target.find(endpoint)
        if found.pid is None:
            target.probe(endpoint)
        warnings = (port_warning(plan, endpoint) for plan in self._plans)
        self.notes += dict.fromkeys(warning for warning in warnings if warning)
        if self._plan.pin:
            self.notes.append(
                f"{self._asked.label or found.name} is not pinned: it was started by someone else"
            )
        return found

    def _drive(self, endpoint: Endpoint) -> None:
        asked = self._asked
        found = self._find(endpoint)
        trials = asked.trials or 1
        self.what = asked.label or found.name
        with self._keeping(), self._progress([self.what], trials) as progress:
            for task in tasks([found.name], self._plans, trials, self._seed):
                self._measure_found(found, endpoint, task, progress)
                if self._stop.is_set():
                    break
            self._find_ceiling(progress)

    def _measure_found(
        self, found: Found, endpoint: Endpoint, task: Task, progress: Progress
    ) -> None:
        measure_found(
            found,
            endpoint,
            task.plan,
            _Keeper(self.runs, progress),
            self._stop,
            trial=task.trial,
            label=self._asked.label,
        )

    def _progress(self, names: Sequence[str], trials: int) -> Progress:
        return Progress(
            dict.fromkeys(names, trials * len(self._plans)),
            quiet=self._asked.quiet,
            describe=curve_tables.describer(self._plans),
        )

    def _find_ceiling(self, progress: Progress) -> None:
        if len(self._plans) > 1:  # a ceiling belongs to one load
            return
        if self._asked.no_ceiling or self._stop.is_set() or not ceiling_needed(self.runs):
            return
        progress.note("measuring what the load generator can do at most")
        self.ceiling = measure_ceiling(self._plan, self._stop)

    def _hint_at_cores(self) -> None:
        if self._plan.pin and server_cores(self._plan) is None:
            self.notes.append(
                f"--pin: {self._plan.workers} worker(s) take all the cores there are, so the "
                "server is not pinned and shares one with them; use fewer --workers"
            )

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """A block whose end, by Ctrl-C or a fault, does not take along what was measured."""
        try:
            yield
        except KeyboardInterrupt:
            self.cut_short = True
        except Exception as failure:
            if not self.runs:
                raise
            self.failure, self.cut_short = failure, True
        self.cut_short = self.cut_short or self._stop.is_set()


def _present(asked: Namespace, result: Result) -> int:
    """Print, save and judge a result; return the exit status."""
    found = compare.rows(result)
    curves = find_curves(found, asked.p99_bound)
    bends = curve_tables.tables_of(curves)
    say = curve_tables.sentences(curves) or reading.sentences(found)
    warnings = compare.warnings(result, found)
    derived = {"curves": [curve.to_json() for curve in curves]} if curves else {}
    document = dumps({**compare.document(result), **derived})
    out = sys.stderr if asked.json == "-" else sys.stdout
    trouble = []
    # Saved before it is printed: a reader who goes away does not take the result along.
    if not asked.no_save:
        trouble += _trying(lambda: _save(asked, result, document, (found, say, warnings, bends)))
    if asked.json not in (None, "-"):
        trouble += _trying(lambda: write(Path(asked.json), document))
    if asked.export_hdr:
        start = datetime.fromisoformat(result.began).timestamp()
        trouble += _trying(lambda: export.save(Path(asked.export_hdr), found, start))
    out.write(tables.render(result, found, say, warnings, bends))
    if asked.json == "-":
        sys.stdout.write(document)
    for sentence in trouble:
        _complain(sentence, FAILURE)
    unmet = [line for one in asked.require for line in one.failures(found)]
    for line in unmet:
        _complain(line, FAILURE)
    if result.cut_short:
        return INTERRUPTED
    return FAILURE if unmet or trouble or not all(map(_right, found)) else 0


def _save(
    asked: Namespace,
    result: Result,
    document: str,
    shown: tuple[list[Row], list[tuple[str, str]], list[str], list[tables.Table]],
) -> None:
    folder = new_folder(Path(asked.results), result.began, result.what)
    write(folder / RESULT_FILE, document)
    write(folder / TABLES_FILE, tables.render_markdown(result, *shown))
    if asked.report:
        report.write_report([result], folder / report.REPORT_FILE)
    print(f"saved in {folder}", file=sys.stderr)
    if asked.report:
        print(f"report in {folder / report.REPORT_FILE}", file=sys.stderr)


def _trying(action: Callable[[], None]) -> list[str]:
    """What a failure to write has to say; the rest goes on."""
    try:
        action()
    except RecordError as error:
        return [str(error)]
    return []


def _right(row: Row) -> bool:
    """Whether every reply of a row was right, and every client could connect and stay."""
    return row.problem is None and row.valid and not row.errors and not row.total("wrong")


def _slug(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "run"
