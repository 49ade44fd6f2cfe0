"""Ctrl-C once the measuring is over: what was measured is judged, saved and shown all the same."""

import os
import signal
import sys
from types import FrameType
from typing import Self


class Finishing:
    """A block in which, from `begin` on, the first Ctrl-C is only noted.

    The second one is a KeyboardInterrupt that says so; before `begin` every one is. `interrupted`
    tells whether there was a first. For the main thread, which is where signals are handled.
    """

    def __init__(self) -> None:
        self.interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(self) -> None:
        """The measuring is over."""
        signal.signal(signal.SIGINT, self._heed)

    def _heed(self, _number: int, _frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt("stopped before everything measured was saved and shown")
        self.interrupted = True
        # Past the stream's own buffer, which may be in the middle of something.
        said = "loadgen: finishing what was measured; Ctrl-C once more gives that up\n"
        os.write(sys.stderr.fileno(), said.encode())
