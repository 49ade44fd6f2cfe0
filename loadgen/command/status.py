"""How the command ends: its exit statuses, and the line that says what went wrong."""

import signal
import sys

FAILURE = 1
INTERRUPTED = 128 + signal.SIGINT
# As a shell sees a program that the signal ended.
BROKEN_PIPE = 128 + signal.SIGPIPE


def complain(sentence: str, status: int) -> int:
    """Print a line on standard error and return the exit status."""
    print(f"loadgen: {sentence}", file=sys.stderr)
    return status
