"""The program `python -m loadgen`: which command is meant, and with what status it ends."""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Final

from concurrency_models.parser import USAGE_ERROR
from loadgen.command import diff, experiment, lanes, load, report
from loadgen.command.status import BROKEN_PIPE, FAILURE, INTERRUPTED, complain
from loadgen.judge.diff import ComparisonError
from loadgen.plan.validation import PlanError
from loadgen.record.result import RecordError
from loadgen.servers.problem import TargetError

COMMANDS: Final = {
    "diff": diff.main,
    "experiment": experiment.main,
    "lanes": lanes.main,
    "report": report.main,
}
"""The commands that have a name; without one, a load is put on."""

WRITERS: Final = ("diff", "report")
"""Those that measure nothing."""

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Why a file that standard output goes to takes no more."""


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
        _check_text(words)
        if words and words[0] in COMMANDS:
            status = COMMANDS[words[0]](words[1:])
        else:
            status = load.main(words)
        sys.stdout.flush()
        return status
    except (PlanError, ComparisonError) as error:
        return complain(str(error), USAGE_ERROR)
    except (TargetError, RecordError) as error:
        return complain(str(error), FAILURE)
    except KeyboardInterrupt as stopped:
        nothing = "written" if words and words[0] in WRITERS else "measured"
        return complain(str(stopped) or f"stopped before anything was {nothing}", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the tables has gone.
        _print_no_more()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        _print_no_more()
        return complain(f"cannot write to standard output: {error.strerror}", FAILURE)


def command() -> None:
    """Entry point of the console script."""
    _provide_streams()
    try:
        status = main()
    except KeyboardInterrupt:  # one more, while the first was being told
        status = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing to stop any more
    sys.exit(status)


def _check_text(words: Sequence[str]) -> None:
    """Refuse what nothing can be printed or saved about. Raises PlanError."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise PlanError(
                f"{word!r} is not in UTF-8; rename what it names, and write a byte as \\xNN"
            ) from None


def _print_no_more() -> None:
    """Let go of standard output: the interpreter would complain once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _provide_streams() -> None:
    """Have all three standard streams, and none that stumbles over a letter.

    In place of one that was closed, so that no socket takes its number, stands one to nowhere.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one's
            setattr(sys, name, os.fdopen(nowhere, "r" if name == "stdin" else "w"))
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)
