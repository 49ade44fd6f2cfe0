"""A model with a busy loop before each message: `python slowed_server.py MODEL TIMES`.

With 0 times round the loop it is the model with a call more, so that two of them differ by the loop
alone.
"""

import sys
import time

from concurrency_models import run
from concurrency_models.talk import Talk

TRIES = 20
LOOPS = 100_000


def main(model: str, times: int) -> int:
    """Serve on a free port until stopped; return the exit status."""
    received = Talk.received
    loop = range(times)

    def slowly(talk: Talk, size: int) -> bytes | memoryview:
        for _ in loop:
            pass
        return received(talk, size)

    setattr(Talk, "received", slowly)  # noqa: B010 - in place of a method, for this process
    return run.main(["--model", model, "--port", "0", "--backlog", "4096"])


def nanoseconds_per_loop() -> float:
    """How long once round the loop takes here: the quickest of some tries, as none is quicker."""
    found = []
    loop = range(LOOPS)
    for _ in range(TRIES):
        began = time.perf_counter_ns()
        for _ in loop:
            pass
        found.append((time.perf_counter_ns() - began) / LOOPS)
    return min(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
