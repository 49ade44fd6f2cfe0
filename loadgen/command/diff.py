"""The command `python -m loadgen diff`: two saved results side by side."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from concurrency_models.parser import Parser
from loadgen.judge.analysis import analyse
from loadgen.judge.diff import diff
from loadgen.record.files import read_result
from loadgen.show.result_text import differences


def make_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen diff`."""
    parser = Parser(
        prog="loadgen diff",
        usage="python -m loadgen diff A B",
        allow_abbrev=False,
        description="Two saved results side by side: what B is, as a ratio to A.",
    )
    parser.add_argument("a", metavar="A", help="a saved result: its folder, or its run.json")
    parser.add_argument("b", metavar="B", help="the one to compare with it")
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command line `words`, which come after "diff"; return the exit status.

    Raises RecordError for a result that cannot be read, ComparisonError for two that no load
    joins.
    """
    asked = make_parser().parse_args(words)
    paths = Path(asked.a), Path(asked.b)
    a, b = read_result(paths[0]), read_result(paths[1])
    found, minds = diff(analyse(a), analyse(b))
    names = tuple(f"{path} ({one.began})" for path, one in zip(paths, (a, b), strict=True))
    sys.stdout.write(differences(found, (names[0], names[1]), minds))
    return 0
