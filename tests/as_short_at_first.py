"""Starts a server that is short of something at first, and no longer when it is asked again.

Put before a server's command line.
"""

import runpy
import sys
from collections.abc import Callable

from concurrency_models.shortage import Shortage

create = Shortage.__init__


def create_short(self: Shortage, warn: Callable[[str], None]) -> None:
    create(self, warn)
    self.until = 1.0


def seconds_left_once(self: Shortage) -> float:
    """Answer the first question with a moment, and that has passed by the second."""
    left = 1e-6 if self.until else 0.0
    self.until = 0.0
    return left


Shortage.__init__ = create_short  # type: ignore[method-assign]
Shortage.seconds_left = seconds_left_once  # type: ignore[method-assign]

sys.argv = sys.argv[sys.argv.index("-m") + 1 :]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
