"""Starts a server whose executor's thread is being woken while it ends.

Put before a server's command line. A busy machine may have it so.
"""

import runpy
import sys
import time
from concurrent.futures import process
from typing import Any

WAKES: Any = process._ThreadWakeup
MEANWHILE_SECONDS = 0.2

close = WAKES.close


def close_late(self: Any) -> None:
    """Close once somebody has looked whether it is closed."""
    time.sleep(MEANWHILE_SECONDS)
    close(self)


def wake_late(self: Any) -> None:
    """Wake as the library does, but some time after it has looked whether it may."""
    if not self._closed:
        time.sleep(2 * MEANWHILE_SECONDS)
        self._writer.send_bytes(b"")


WAKES.close = close_late
WAKES.wakeup = wake_late

sys.argv = sys.argv[sys.argv.index("-m") + 1 :]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
