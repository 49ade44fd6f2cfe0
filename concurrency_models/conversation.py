"""What a coroutine or greenlet that talks with a client needs besides: who waits too long is told.

One clock for all looks several times a second for those whose time is up, so that a message costs
nothing for it. How a wait is broken off is the model's affair, which hands that in as `cancel`.
"""

import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from concurrency_models.server import (
    DRAIN_SECONDS,
    POLL_SECONDS,
    Server,
    is_readable,
    unconfirmed_size,
)

SWEEP_SECONDS: Final = 0.1
"""How often to look for clients that have been idle for too long."""


class Conversations:
    """The conversations that are going on with the clients of one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.active: set[Conversation] = set()

    def next_sweep(self) -> float | None:
        """Return in how many seconds to call `sweep`, or None if nobody's time can run out."""
        if self.server.stopping:
            return POLL_SECONDS if self.server.clients else None
        return SWEEP_SECONDS if self.server.settings.idle_timeout else None

    def sweep(self) -> None:
        """Break off the waits of those whose time is up."""
        now = time.monotonic()
        for conversation in list(self.active):
            if conversation.is_over(now):
                conversation.cancel()


class Conversation:
    """A context manager around the talk with one client, whom it releases at the end.

    What the client does to the connection ends the conversation and is no error to anybody else.
    cancel: set by the model; ends the wait that is under way, called from wherever the clock is.
    """

    def __init__(self, conversations: Conversations, client: socket.socket) -> None:
        self.server = conversations.server
        self.client = client
        self.talk = self.server.new_talk(client)
        self.ending = "ran out of time"
        self.cancel: Callable[[], object] = lambda: None
        self._active = conversations.active
        self._idle_timeout = self.server.settings.idle_timeout
        self._idle_until = math.inf
        self._leaving_until: float | None = None
        self._listening = False
        self._waits = 0
        self._quiet_in_wait = -1

    def __enter__(self) -> Self:
        self._active.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        cause = error if isinstance(error, OSError) else error and error.__cause__
        if isinstance(cause, OSError):
            self.ending = f"was lost: {cause.strerror or cause}"
        self._active.remove(self)
        self.server.narrate(self.client, self.ending)
        self.server.release(self.client)
        return isinstance(cause, OSError)

    def listen(self) -> None:
        """Say that from now on we wait for a message."""
        self._wait(listening=True)

    def send(self) -> None:
        """Say that from now on we wait for the client to take an answer."""
        self._wait(listening=False)

    def _wait(self, *, listening: bool) -> None:
        self._listening = listening
        self._waits += 1
        if self._idle_timeout is not None:
            self._idle_until = time.monotonic() + self._idle_timeout

    def leave(self) -> None:
        """Half-close: from now on we wait for the client to hang up."""
        if self.talk.over or self.server.stopping:
            self.ending = "was told goodbye"
        self._leaving_until = time.monotonic() + DRAIN_SECONDS
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)

    def is_over(self, now: float) -> bool:
        """Whether nobody should wait for this client any longer.

        While the server stops, what has arrived is still answered, and the rest of a message begun
        is waited for. Who has been quiet at two looks has nothing to say: at one look alone, its
        message may be on its way through the event loop.
        """
        if now >= self.server.deadline:
            return True
        if self._leaving_until is not None:
            all_confirmed = self.server.stopping and not unconfirmed_size(self.client)
            return all_confirmed or now >= self._leaving_until
        if now >= self._idle_until:
            return True
        if not (self.server.stopping and self._listening) or self.talk.mid_message:
            return False
        if is_readable(self.client):
            return False
        still_quiet = self._quiet_in_wait == self._waits
        self._quiet_in_wait = self._waits
        return still_quiet
