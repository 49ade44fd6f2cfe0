"""What becomes of a result: saved, exported, printed, and held against what was required."""

import sys
from argparse import Namespace
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from loadgen.command.status import FAILURE, INTERRUPTED, complain
from loadgen.judge.analysis import Analysis, analyse
from loadgen.judge.document import document
from loadgen.judge.rows import Row
from loadgen.plan.validation import PlanError
from loadgen.record.files import RESULT_FILE, TABLES_FILE, TRACE_FILE, dumps, new_folder, write
from loadgen.record.result import RecordError, Result
from loadgen.show import export, report
from loadgen.show.result_text import as_markdown, as_text
from loadgen.show.trace_events import trace_events


def check_report(asked: Namespace) -> None:
    """Refuse a report that could not be written. Raises PlanError or RecordError."""
    if asked.report and asked.no_save:
        raise PlanError("--report is written beside the saved result; leave out --no-save")
    if asked.report and (problem := report.missing()):
        raise RecordError(problem)


def present(asked: Namespace, result: Result) -> int:
    """Print, save and judge a result; return the exit status."""
    analysis = analyse(result)
    saved = dumps(document(analysis))
    out = sys.stderr if asked.json == "-" else sys.stdout
    trouble = []
    # Saved before it is printed: a reader who goes away does not take the result along.
    if not asked.no_save:
        trouble += _trying(lambda: _save(asked, analysis, saved))
    if asked.json not in (None, "-"):
        trouble += _trying(lambda: write(Path(asked.json), saved))
    if asked.export_hdr:
        start = datetime.fromisoformat(result.began).timestamp()
        trouble += _trying(lambda: export.save(Path(asked.export_hdr), analysis.rows, start))
    if asked.export_trace and (traces := trace_events(result.runs)):
        trouble += _trying(lambda: write(Path(asked.export_trace), traces))
    out.write(as_text(analysis, all_tables=asked.all_tables))
    if asked.json == "-":
        sys.stdout.write(saved)
    for sentence in trouble:
        complain(sentence, FAILURE)
    unmet = [line for one in asked.require for line in one.failures(analysis.rows)]
    for line in unmet:
        complain(line, FAILURE)
    if result.cut_short:
        return INTERRUPTED
    right = _all_found(analysis) if analysis.rates else all(map(_right, analysis.rows))
    return FAILURE if unmet or trouble or not right else 0


def _save(asked: Namespace, analysis: Analysis, saved: str) -> None:
    """Write a result's folder; `saved` is its JSON."""
    result = analysis.result
    folder = new_folder(Path(asked.results), result.began, result.what)
    write(folder / RESULT_FILE, saved)
    write(folder / TABLES_FILE, as_markdown(analysis))
    if traces := trace_events(result.runs):
        write(folder / TRACE_FILE, traces)
    if asked.report:
        report.write_report([analysis], folder / report.REPORT_FILE)
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


def _all_found(analysis: Analysis) -> bool:
    """Whether a search found a rate for every server and bound, and no reply was wrong.

    Trials that failed for other reasons are what it is made of.
    """
    wrong = any(row.problem is not None or row.ever("wrong") for row in analysis.rows)
    return not wrong and all(one.rate is not None for one in analysis.rates)


def _right(row: Row) -> bool:
    """Whether every reply of a row was right, and every client was served that could be."""
    sound = row.problem is None and row.valid and not row.errors and not row.ever("wrong")
    return sound and not any(trial.starved_unduly or trial.left_waiting for trial in row.trials)
