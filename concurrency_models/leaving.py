"""How a talk ends: one set of rules, whoever drives it and however it waits.

Silence: with `--idle-timeout`, a client between whom and us nothing has moved for so long is left.
Slow is not silent: a byte that was sent, or that the client's kernel has confirmed, is a move.

Dribbling: with `--message-timeout`, a client that takes longer over one message is left, though it
sends all the time. What waits in the kernel for us to read it is no fault of the client's.

Last words: when the talk is over, or the server stops and the client has been answered all that had
arrived, we half-close: our side of the connection ends, with everything we said before it.

Lingering close: then we go on reading, and discard, until the client hangs up or `DRAIN_SECONDS`
are over. Closing a socket with unread input resets the connection, and that destroys whatever we
have sent and the client's kernel has not yet confirmed.

Grace: when the server stops, a message of which a part has arrived is still waited for, whatever
the idle timeout; at the server's deadline everything is over. Nobody who was told goodbye is waited
for longer than it takes to confirm all we said: it may keep its end open for as long as it likes.
"""

import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from concurrency_models.inbox import Scratch
from concurrency_models.self_pipe import POLL_SECONDS
from concurrency_models.server import Server
from concurrency_models.shortage import LET_GO
from concurrency_models.systems import confirmed, unconfirmed_size

DRAIN_SECONDS: Final = 1.0
"""How long a client that was told goodbye has to hang up."""

OUT_OF_MEMORY: Final = "was let go: out of memory"
"""How a talk ended that there was no memory for."""

LOOK_SECONDS: Final = 0.1
"""How often to look for clients whose time is up."""


class Leaving:
    """The rules for one client: a context manager around its talk.

    At the end of the block the client is released. What the client does to its connection ends the
    talk, and is no error to anybody else; nor is it that there is no memory for it.
    """

    # What has not changed yet is the class's: a client that comes and goes costs few assignments.

    ending = "ran out of time"
    """How the talk ended, in words for `-v`."""
    moves = 0
    """How often bytes went either way: drivers that `Looks` looks after count it up."""
    listening = False
    """Whether a coroutine waits for a message at the moment, see `listen` and `heard`."""
    waits_for_us = False
    """Whether its messages are being answered elsewhere, so that its silence is no fault."""
    quiet = False
    """Whether, when it was last to be interrupted, nothing had arrived that was not answered."""
    half_closed = False
    """Whether goodbye was said: what still comes in is discarded."""
    released = False
    """Whether the client was let go."""
    _half_closed_until = 0.0
    _seen: tuple[int, int] | None = None
    _moved_at = 0.0
    _message: tuple[int, float] | None = None
    """The message that has begun: how many were answered before, and since when it is known."""
    _quiet_at = -1

    def __init__(self, server: Server, client: socket.socket, looks: "Looks | None" = None) -> None:
        self.server = server
        self.client = client
        self.talk = server.new_talk(client, looks.scratch if looks else None)
        self.break_off: Callable[[], object] = nothing_to_break_off
        """Set by drivers that are looked after: ends the wait that is under way."""
        self._looks = looks
        if looks:
            looks.active.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            self.release()
            return False
        if isinstance(error, MemoryError):
            self.let_go(error)
            return True
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, TimeoutError | BlockingIOError):
            self.ending = "ran out of time"
        elif isinstance(cause, OSError):
            self.ending = f"was lost: {cause.strerror or cause}"
        self.release()
        return isinstance(cause, OSError)

    def release(self, ending: str | None = None) -> None:
        """Let the client go, and say how it ended; a second time does nothing."""
        if self.released:  # its talk may be another client's by now
            return
        self.released = True
        self.ending = ending or self.ending
        if self._looks is None:
            self.talk.retire()
        else:
            self.break_off = nothing_to_break_off  # else a cycle is left to the collector
            self._looks.active.discard(self)
            self._looks.lingering.discard(self)
            self._looks.scratch.owners.discard(self.talk.inbox)
            if self._looks.scratch.memory:  # else another thread may be at it
                self.talk.retire()
        if self.server.narration.listens:
            self.server.narration.tell(self.client, self.ending)
        self.server.release(self.client)

    def let_go(self, error: MemoryError) -> None:
        """Release a client that there is no memory to serve."""
        self.server.shortage.pause_after(error, LET_GO)
        self.release(OUT_OF_MEMORY)

    def all_is_said(self) -> bool:
        """Whether to say goodbye, as soon as all answers are sent.

        While the server stops, that is once what has arrived is answered; the rest of a message
        begun is waited for.
        """
        if self.talk.over:
            return True
        if not self.server.stopping or self.talk.mid_message:
            return False
        return not is_readable(self.client)

    def half_close(self) -> None:
        """Say goodbye: send no more, and give the client its time to hang up."""
        self.half_closed = True
        self._half_closed_until = time.monotonic() + DRAIN_SECONDS
        self.ending = "was told goodbye"
        if self._looks:
            self._looks.lingering.add(self)
        with suppress(OSError):  # it has gone, and nothing is left to be said
            self.client.shutdown(socket.SHUT_WR)

    def seconds_left(self) -> float:
        """Return how long a half-closed client is still waited for, 0.0 or less when no longer."""
        return min(self._half_closed_until, self.server.deadline) - time.monotonic()

    def is_drained(self) -> bool:
        """Whether the stopping server need not wait for the client to hang up: it has it all."""
        return self.server.stopping and not unconfirmed_size(self.client)

    def is_over(self, now: float) -> bool:
        """Whether nobody should wait for this client any longer; `now` is on the monotonic clock.

        To be asked several times a second.
        """
        if now >= self.server.deadline:
            return True
        if self.half_closed:
            return now >= self._half_closed_until or self.is_drained()
        if self.server.stopping:
            return False
        return self._is_idle(now) or (
            self.seconds_for_message(now) <= 0 and not is_readable(self.client)
        )

    def seconds_for_message(self, now: float) -> float:
        """Return how long a message that has begun may still take; infinite where there is none.

        To be asked whenever a part of one has come, or several times a second: it notes when a
        message is first seen.
        """
        timeout = self.server.settings.message_timeout
        if timeout is None or self.waits_for_us:
            return math.inf
        if not self.talk.mid_message:
            self._message = None
            return math.inf
        number = self.talk.answered_in_batches
        if self._message is None or self._message[0] != number:
            self._message = number, now
        return self._message[1] + timeout - now

    def _is_idle(self, now: float) -> bool:
        timeout = self.server.settings.idle_timeout
        if timeout is None:
            return False
        seen = self.moves, confirmed(self.client)
        if seen != self._seen or self.waits_for_us:
            self._seen, self._moved_at = seen, now
        # What has arrived and was not read yet waits for us, and not we for it.
        return now - self._moved_at >= timeout and not is_readable(self.client)

    def listen(self) -> None:
        """Say that a coroutine has answered all it has read, and waits for more."""
        self.listening = True

    def heard(self) -> None:
        """Say that it waits no longer: it has something to answer."""
        self.listening = False
        self.moves += 1

    def is_quiet(self) -> bool:
        """Whether a coroutine that listens has heard all, at two looks one after the other.

        At one look alone, its message may be on its way through the event loop.
        """
        quiet = self.listening and self.all_is_said()
        still = quiet and self._quiet_at == self.moves
        self._quiet_at = self.moves if quiet else -1
        return still


def nothing_to_break_off() -> None:
    """No wait is under way."""


class Looks:
    """Looks after all talks of an event loop: breaks off the waits of those who are over.

    Looks at them, several times a second, spare every message a clock of its own. Each look is at
    some of them, so that a crowd that is silent costs little: in a sixteenth of the shorter timeout
    everybody has had one. A timeout is noticed an eighth late at the most.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.scratch = Scratch(len(server.settings.terms.reply_prefix))
        settings = server.settings
        self.minds_time = (settings.idle_timeout, settings.message_timeout) != (None, None)
        """Whether anybody's time can run out before goodbye was said."""
        self.active: set[Leaving] = set()
        self.lingering: set[Leaving] = set()
        """Those of them that have half-closed."""
        self._paired = False
        timeouts = [one for one in (settings.idle_timeout, settings.message_timeout) if one]
        self._looks_in_turn = max(1, int(min(timeouts, default=0.0) / 16 / LOOK_SECONDS))
        """How many looks it takes to see everybody."""
        self._turn: list[Leaving] = []
        self._each_time = 0

    def needed(self) -> bool:
        """Whether something may have to be done that no client's bytes tell of.

        Somebody's time can run out, memory be given back, a shortage be over.
        """
        server = self._server
        return bool(
            self.lingering
            or self.scratch.owners
            or server.stopping
            or (server.shortage.until and server.shortage)
            or self.minds_time
        )

    def pause_seconds(self) -> float:
        """Return in how many seconds to look; twice in a row while stopping, see `is_quiet`."""
        if self._server.stopping:
            return 0.0 if self._paired else POLL_SECONDS
        return LOOK_SECONDS

    def look(self) -> None:
        """Break off the waits of those who are over; take back memory from those who are silent."""
        try:
            self._look()
        except MemoryError as error:  # there will be another
            self._server.shortage.pause_after(error)

    def _look(self) -> None:
        self.scratch.look()
        now = time.monotonic()
        stopping = self._server.stopping
        self._paired = stopping and not self._paired
        looked_at = list(self.active if stopping else self.lingering)
        if self.minds_time and not stopping:
            looked_at += self._next_in_turn()
        for leaving in looked_at:
            if leaving.is_over(now) or (stopping and leaving.is_quiet()):
                leaving.break_off()

    def _next_in_turn(self) -> list[Leaving]:
        """Return those whose turn it is to be looked at, of all that have not said goodbye."""
        if not self._turn:
            self._turn = list(self.active)
            self._each_time = -(-len(self._turn) // self._looks_in_turn)
        found = self._turn[-self._each_time :]
        del self._turn[-self._each_time :]
        return [leaving for leaving in found if leaving in self.active and not leaving.half_closed]


def is_readable(client: socket.socket) -> bool:
    """Whether bytes of the client wait to be received."""
    try:
        return bool(client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
