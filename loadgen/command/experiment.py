"""The command `python -m loadgen experiment`: ask, measure, show, save, one after the other."""

import sys
import threading
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from concurrency_models.parser import Parser
from loadgen.command.finishing import Finishing
from loadgen.command.plans import seed_of
from loadgen.command.present import check_report
from loadgen.command.status import FAILURE, INTERRUPTED, complain
from loadgen.command.values import meant, whole
from loadgen.experiments import predict, show
from loadgen.experiments.catalogue import EXPERIMENTS
from loadgen.experiments.conduct import Findings, conduct, unavailable
from loadgen.experiments.experiment import FULL, QUICK, Experiment, Scale
from loadgen.judge.analysis import analyse
from loadgen.judge.cautions import disturbances, faults
from loadgen.judge.document import document
from loadgen.plan.validation import PlanError
from loadgen.record.files import (
    RESULT_FILE,
    TABLES_FILE,
    check_folder,
    dumps,
    fixed_folder,
    new_folder,
    read_result,
    write,
)
from loadgen.record.result import RecordError
from loadgen.show import report
from loadgen.show.progress import Progress
from loadgen.show.wrapping import columns


def make_parser() -> ArgumentParser:
    """The parser of `python -m loadgen experiment`."""
    parser = Parser(
        prog="loadgen experiment",
        usage="python -m loadgen experiment NAME... [options]",
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
        description=(
            "Measure what a lesson is about, and check what is expected: each claim comes\n"
            "back as 'as expected' or 'surprise', with the numbers."
        ),
        epilog=(
            "examples:\n"
            "  python -m loadgen experiment --list\n"
            "  python -m loadgen experiment gil-duel --predict --quick\n"
            "  python -m loadgen experiment all --quick\n"
            "  python -m loadgen experiment all --report --folder results/reference\n"
            "exit status: 0 measured, whatever came out; 1 something could not be measured\n"
            "or saved, 2 usage, 130 cut short by Ctrl-C (what was measured until then is\n"
            "judged and saved; a second Ctrl-C gives that up)"
        ),
    )
    add = parser.add_argument
    add("name", nargs="*", metavar="NAME", help="which one, in this order; all for the whole set")
    add("--list", action="store_true", help="show the experiments with their questions, and exit")
    add(
        "--predict",
        action="store_true",
        help="ask for your ranking first, and compare it with the measured one",
    )
    add(
        "--quick",
        action="store_true",
        help=f"for a lesson: {QUICK.seconds:g} s each and one trial, all in about 5 minutes "
        f"(otherwise {FULL.seconds:g} s and {FULL.trials} trials)",
    )
    add("--report", action="store_true", help="write each result's report.html as well")
    add("--trials", type=whole(1), metavar="K", help="measure each case K times")
    add("--seed", type=whole(0), metavar="N", help="for the order of runs and all random choices")
    add(
        "--idle",
        dest="crowd",
        type=whole(1),
        metavar="N",
        help="how many silent clients to have come in c1m, where the machine holds so many",
    )
    where = parser.add_mutually_exclusive_group()
    add = where.add_argument
    add("--results", default="results", metavar="DIR", help="where to save the results (results)")
    add(
        "--folder",
        metavar="DIR",
        help="save each as DIR/NAME in place of what is there; with --report, DIR/report.html is "
        "about all experiments in DIR",
    )
    add("--no-save", action="store_true", help="do not save the results")
    add = parser.add_argument
    add("-q", "--quiet", action="store_true", help="show no progress")
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command line `words`, which come after "experiment"; return the exit status.

    Raises PlanError for a name that there is none of, RecordError when results cannot be saved.
    """
    asked = make_parser().parse_args(words)
    if asked.list:
        sys.stdout.write(show.listing(list(EXPERIMENTS.values())))
        return 0
    chosen = experiments_of(asked.name)
    if asked.crowd is not None and not any(map(_has_crowd, chosen)):
        able = ", ".join(name for name, one in EXPERIMENTS.items() if _has_crowd(one))
        raise PlanError(f"--idle is how many silent clients there are in {able}; leave it out here")
    check_report(asked)
    if not asked.no_save:
        check_folder(Path(asked.folder or asked.results))
    scale = QUICK if asked.quick else FULL
    if asked.trials is not None:
        scale = replace(scale, trials=asked.trials)
    if asked.crowd is not None:
        scale = replace(scale, crowd=asked.crowd)
    status = 0
    for position, experiment in enumerate(chosen):
        if position:
            sys.stdout.write(f"\n{'=' * columns()}\n\n")
        sys.stdout.write(show.opening(experiment))
        sys.stdout.flush()
        ended = _hold(experiment, scale, asked, words)
        status = max(status, ended)
        if ended == INTERRUPTED:
            break
    if asked.report and asked.folder:
        with Finishing() as finishing:
            finishing.begin()
            _report_on(Path(asked.folder))
        status = INTERRUPTED if finishing.interrupted else status
    return status


def _has_crowd(experiment: Experiment) -> bool:
    """Whether some of its cases have silent clients, as many as one likes."""
    return any(case.crowd is not None for case in experiment.cases)


def _report_on(folder: Path) -> None:
    """Write one report about all experiments that are saved in `folder`, in a course's order."""
    saved = [folder / name for name in EXPERIMENTS if (folder / name / RESULT_FILE).exists()]
    if saved:
        analyses = [analyse(read_result(path)) for path in saved]
        report.write_report(analyses, folder / report.REPORT_FILE)
        print(f"report in {folder / report.REPORT_FILE}", file=sys.stderr)


def experiments_of(names: Sequence[str]) -> list[Experiment]:
    """The experiments of those names; raises PlanError for a name that there is none of."""
    if not names:
        raise PlanError(
            "say which experiment: --list shows them, 'all' stands for the whole set, for example "
            "'python -m loadgen experiment gil-duel --quick'"
        )
    found: dict[str, Experiment] = {}
    for name in names:
        if name == "all":
            found |= EXPERIMENTS
        elif name in EXPERIMENTS:
            found[name] = EXPERIMENTS[name]
        else:
            near = meant(name, EXPERIMENTS)
            hint = f"did you mean {near}?" if near else f"choose from {', '.join(EXPERIMENTS)}"
            raise PlanError(f"there is no experiment {name!r}; {hint} (--list describes them)")
    return list(found.values())


def _hold(experiment: Experiment, scale: Scale, asked: Namespace, words: Sequence[str]) -> int:
    """One experiment from its question to its saved result; returns the exit status."""
    guess = predict.ask(experiment.ranking) if asked.predict else []
    able = [case.name for case in experiment.cases if not unavailable(case, scale)]
    with Finishing() as finishing:
        with Progress(
            dict.fromkeys(able, scale.trials),
            quiet=asked.quiet,
            tell=lambda run: show.news(experiment, run),
        ) as progress:
            findings = conduct(
                experiment,
                scale,
                seed_of(asked),
                progress,
                threading.Event(),
                command=("python", "-m", "loadgen", "experiment", *words),
                predictions=guess,
                when_measured=finishing.begin,
            )
        if findings is None:
            return complain("stopped before anything was measured", INTERRUPTED)
        status = _present(findings, guess, asked)
    return INTERRUPTED if finishing.interrupted else status


def _present(findings: Findings, guess: Sequence[str], asked: Namespace) -> int:
    analysis, result = findings.analysis, findings.result
    # The other cautions are about ranking, and an experiment's claims do not rest on ranks.
    doubts = faults(result, analysis.rows) + disturbances(result, analysis.rows)
    warnings = list(dict.fromkeys(doubts))
    revealed = predict.reveal(findings.experiment.ranking, guess, findings.look) if guess else []
    saved: Path | None = None
    trouble = None
    if not asked.no_save and result.runs:
        try:
            if asked.folder:
                saved = fixed_folder(Path(asked.folder) / findings.experiment.name)
            else:
                saved = new_folder(Path(asked.results), result.began, result.what)
            write(saved / RESULT_FILE, dumps(document(analysis)))
            text = show.markdown(findings, revealed, warnings)
            write(saved / TABLES_FILE, text)
            if asked.report and not asked.folder:
                report.write_report([analysis], saved / report.REPORT_FILE)
        except RecordError as error:
            trouble = str(error)
    sys.stdout.write("\n" + show.closing(findings, revealed, warnings))
    sys.stdout.flush()
    if trouble is not None:
        complain(trouble, FAILURE)
    elif saved is not None:
        print(f"saved in {saved}", file=sys.stderr)
        if asked.report and not asked.folder:
            print(f"report in {saved / report.REPORT_FILE}", file=sys.stderr)
    if result.cut_short:
        return INTERRUPTED
    return FAILURE if trouble or not findings.rows else 0
