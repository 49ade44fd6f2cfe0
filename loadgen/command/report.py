"""The command `python -m loadgen report`: saved results as one HTML page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from concurrency_models.parser import Parser
from loadgen.judge.analysis import analyse
from loadgen.record.files import read_result
from loadgen.show import report


def make_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen report`."""
    parser = Parser(
        prog="loadgen report",
        usage="python -m loadgen report RESULT... [--output FILE]",
        allow_abbrev=False,
        description="Saved results as one HTML page with charts that needs no network; several "
        "stand side by side under the letters A, B and so on (needs the extra 'report').",
    )
    parser.add_argument(
        "results", nargs="+", metavar="RESULT", help="a saved result: its folder, or its run.json"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write it (default: report.html beside the result; with several results, in "
        "this folder)",
    )
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command line `words`, which come after "report"; return the exit status.

    Raises RecordError for a result that cannot be read, or a report that cannot be written.
    """
    asked = make_parser().parse_args(words)
    results = [read_result(Path(path)) for path in asked.results]
    path = Path(report.REPORT_FILE)
    if asked.output is not None:
        path = Path(asked.output)
    elif len(results) == 1:
        first = Path(asked.results[0])
        path = (first if first.is_dir() else first.parent) / report.REPORT_FILE
    report.write_report([analyse(result) for result in results], path)
    print(f"wrote {path}", file=sys.stderr)
    return 0
