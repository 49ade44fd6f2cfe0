"""What `--trace` writes: when each client came and went, and when each of its messages was handled.

One line of JSON for each stay of a client with a process, appended to the file in one go when the
process lets the client go. So processes share the file and nothing else, nobody has to hand in
anything at an end that may never come, and a process that is killed loses its clients' lines only.

The first line has the "version" of the format, the "model", the "python" and whether it has a
"gil", the "process" and when it "began"; the last one, in a file that is whole, when the server
"ended" and how many "clients" it had. Each line between them has, of one stay:

- the "client", by its address, the "process", and a number that tells its "interpreter" from
  others of the process;
- when it was "accepted", and by which thread (the "acceptor"); null where that is not known here;
- when its talk was "begun"; null where there was none, since it was handed over to others;
- when it "ended", or was handed over;
- the names of the "threads" that served it, by their numbers;
- of each of its "messages": when it was received, answered and sent, the CPU time of the thread
  when it was answered (null where that took hardly any), the number of the thread, and a list of
  when it was worked on, from when to when: empty for a message that asked for no work;
- how many messages were "left_out" between the first and the last.

All times are nanoseconds of the monotonic clock, which the processes of a machine share. Memory is
bounded: of each talk the first and the last `KEPT` messages are kept, of `MOST_TALKS`
talks at a time; the file is bounded by `LARGEST_FILE`.
"""

import json
import os
import platform
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from time import monotonic, monotonic_ns, thread_time_ns
from typing import Final

from concurrency_models import work
from concurrency_models.inbox import Scratch
from concurrency_models.narration import Narration, peer_name
from concurrency_models.talk import Talk, Terms

VERSION: Final = 1
"""Of the format of the file."""

KEPT: Final = 500
"""Messages of a talk that are kept from its beginning, and as many from its end."""

MOST_TALKS: Final = 200
"""Talks that a process notes the messages of, at a time; of others it notes none."""

MOST_STAYS: Final = 10_000
"""Clients that are waited for at a time; of others it is not noted when they were accepted."""

MOST_STRETCHES: Final = 200
"""Stretches that a message's work is told in; the last one then reaches to its end."""

LARGEST_FILE: Final = 64 << 20
"""Bytes of the file beyond which nothing is added but the last line."""

LONG_SECONDS: Final = 50e-6
"""An answer that took longer is worth half a microsecond for the thread's CPU time."""

PAUSE_NS: Final = 200_000
"""A thread that did not run for so long, between two signs of its work, was at a pause."""

take_in: Final = Talk.received
"""Looked up once, and not for every message."""

TIMES: Final = struct.Struct("3d")
"""When a message was received, answered and sent, in seconds. Doubles tell nanoseconds apart until
the machine has been up for a hundred days."""

put_times: Final = TIMES.pack_into

EACH: Final = TIMES.size

FIRST_ROOM: Final = 20 * EACH
"""Bytes for the times of the first messages; twice as much when they are full, and so on."""

LARGEST_ROOM: Final = 2 * KEPT * EACH

Stretch = list[int]
"""From when to when a thread ran: two times."""

Details = tuple[int | None, int, Sequence[Stretch]]
"""Of a message: the CPU time of its thread, the number of the thread, and when that worked."""

Message = tuple[int, int, int, int | None, int, Sequence[Stretch]]
"""As the file has it: when it was received, answered and sent, and its details."""


class Stretches:
    """When a thread ran while it worked, told by signs that the work gives again and again.

    What the clock counted and the thread's own CPU clock did not, the thread did not run.
    """

    def __init__(self) -> None:
        self._at, self._cpu = monotonic_ns(), thread_time_ns()
        self.found: list[Stretch] = [[self._at, self._at]]

    def sign(self) -> None:
        """The work goes on at this moment."""
        now, cpu = monotonic_ns(), thread_time_ns()
        ran = cpu - self._cpu
        if now - self._at - ran > PAUSE_NS and len(self.found) < MOST_STRETCHES:
            self.found.append([now - ran, now])
        else:
            self.found[-1][1] = now
        self._at, self._cpu = now, cpu


class Stay:
    """A client's stay with one process: what is noted of it, and in the end one line of the file.

    `accepted` is None where another process accepted the client; `begun` is None where no
    talk was held, since the client was handed over to others.
    """

    def __init__(self, client: str, accepted: int | None) -> None:
        self.client = client
        self.accepted = accepted
        self.acceptor = threading.current_thread().name if accepted else None
        self.begun: int | None = None
        self.threads: dict[int, str] = {}
        self.talk: TracedTalk | None = None

    def begin(self) -> None:
        """A talk begins, in this thread."""
        self.begun = monotonic_ns()
        self.name_thread()

    def name_thread(self) -> int:
        """Note the name of this thread and return its number, as the kernel has it."""
        number = threading.get_native_id()
        self.threads[number] = threading.current_thread().name
        return number

    def line(self, ended: int) -> dict[str, object]:
        """Return what is written of a stay that ended at that time."""
        messages, left_out = self.talk.messages() if self.talk else ([], 0)
        return {
            "client": self.client,
            "process": os.getpid(),
            "interpreter": id(sys.modules),
            "accepted": self.accepted,
            "acceptor": self.acceptor,
            "begun": self.begun,
            "ended": ended,
            "threads": self.threads,
            "messages": messages,
            "left_out": left_out,
        }


class TracedTalk(Talk):
    """A talk that notes when its messages came, were answered, and their answers were sent.

    A driver asks whether the talk is over once it has sent a reply, whichever model it drives for:
    that is when the reply counts as sent. An event loop may only have taken it to send it soon.

    It is all in few steps, since each costs every message something. The times lie side by side in
    memory that is written over again and again: objects, of which a hundred clients have megabytes,
    are one step less but have left the core's cache when their turn comes.
    """

    __slots__ = (
        "_answered", "_at", "_details", "_has_details", "_moves", "_over", "_received",
        "_room_size", "_rounds", "_stay", "_stretches", "_thread", "_thread_id", "_times",
    )  # fmt: skip

    def __init__(self, terms: Terms, scratch: Scratch | None, stay: Stay) -> None:
        self._over = False
        self._stay = stay
        self._times = bytearray(FIRST_ROOM)
        self._room_size = FIRST_ROOM
        self._at = 0  # where the times of the next message go
        self._rounds = 0  # how often those of the last `KEPT` messages were written over
        self._details: dict[int, Details] = {}  # by the number of the message
        self._received: float | None = None  # of a message that was answered, and not sent
        self._answered = 0.0
        self._stretches: list[Stretch] = []
        self._thread_id, self._thread = get_ident(), stay.name_thread()
        self._moves = scratch is not None and not scratch.memory  # from thread to thread, of a pool
        self._has_details = self._moves or terms.work  # each message may
        super().__init__(terms, scratch)

    @property
    def over(self) -> bool:
        """As the talk has it."""
        if self._received is not None:
            at = self._at
            put_times(self._times, at, self._received, self._answered, monotonic())
            self._received = None
            self._at = at = at + EACH
            if at == self._room_size:
                self._make_room()
        return self._over

    @over.setter
    def over(self, over: bool) -> None:
        self._over = over

    @property
    def mid_message(self) -> bool:
        """As the talk has it. Who stops the server asks, too, and no reply is sent by that."""
        return not self._over and self.inbox.end > self.inbox.start

    def received(self, size: int) -> bytes | memoryview:
        received = monotonic()
        reply = take_in(self, size)
        if reply:
            self._received = received
            self._answered = answered = monotonic()
            if answered - received > LONG_SECONDS or self._has_details:
                self._note_details(answered - received)
        return reply

    def go_on(self) -> bytes | memoryview:
        _ = self.over  # what was answered before is sent
        received = monotonic()
        reply = Talk.go_on(self)
        self._received = received
        self._answered = answered = monotonic()
        self._note_details(answered - received)
        return reply

    def answer(self, message: bytes) -> bytes:
        if not self._terms.work:
            return super().answer(message)
        stretches = Stretches()
        result = work.perform(message, stretches.sign)
        stretches.sign()
        self._stretches += stretches.found
        return self._terms.reply_prefix + result

    def _note_details(self, took: float) -> None:
        """Note what most messages do not have, of the one that was answered and took so long."""
        if self._moves and get_ident() != self._thread_id:
            self._thread_id, self._thread = get_ident(), self._stay.name_thread()
        cpu = thread_time_ns() if took > LONG_SECONDS else None
        if cpu or self._stretches or self._moves:
            self._details[self._noted()] = cpu, self._thread, self._stretches
            self._stretches = []

    def _noted(self) -> int:
        """How many messages were noted so far."""
        return self._at // EACH + self._rounds * KEPT

    def _make_room(self) -> None:
        """Have room for the times of the next message: more, or that of the last `KEPT` ones."""
        if self._room_size < LARGEST_ROOM:
            self._room_size = min(2 * self._room_size, LARGEST_ROOM)
            self._times += bytes(self._room_size - self._at)
            return
        self._at = KEPT * EACH
        self._rounds += 1
        dropped = range(KEPT, self._noted() - KEPT)
        self._details = {at: one for at, one in self._details.items() if at not in dropped}

    def messages(self) -> tuple[list[Message], int]:
        """Return the first and the last messages, and how many were left out between them."""
        _ = self.over  # notes what was sent last
        noted = self._noted()
        left_out = max(0, noted - 2 * KEPT)
        found = []
        for number in (*range(min(KEPT, noted)), *range(KEPT + left_out, noted)):
            place = number if number < KEPT else KEPT + number % KEPT
            times = TIMES.unpack_from(self._times, place * EACH)
            received, answered, sent = (round(at * 1e9) for at in times)
            cpu, thread, stretches = self._details.get(number, (None, self._thread, ()))
            found.append((received, answered, sent, cpu, thread, stretches))
        return found, left_out


class Tracing(Narration):
    """Notes what clients do, for the file, and prints nothing."""

    def __init__(self, path: str) -> None:
        super().__init__(verbose=False)
        self.listens = True
        self._path = path
        self._stays: dict[socket.socket, Stay] = {}
        self._talking: set[socket.socket] = set()  # of whom messages are noted

    def begin(self, model: str) -> None:
        """Write the first line, in place of whatever the file holds."""
        line = {
            "version": VERSION,
            "model": model,
            "python": platform.python_version(),
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
            "process": os.getpid(),
            "began": monotonic_ns(),
        }
        Path(self._path).write_text(text_of(line), encoding="utf-8")

    def connected(self, client: socket.socket) -> None:
        if len(self._stays) < MOST_STAYS:
            self._stays[client] = Stay(peer_name(client), monotonic_ns())

    def new_talk(
        self, terms: Terms, client: socket.socket | str, scratch: Scratch | None = None
    ) -> Talk:
        assert not isinstance(client, str), "datagrams are not traced"
        stay = self._stays.get(client)
        if stay is None:  # another process has accepted the client
            stay = self._stays[client] = Stay(peer_name(client), None)
        stay.begin()
        if len(self._talking) >= MOST_TALKS:
            return Talk(terms, scratch)
        self._talking.add(client)
        stay.talk = TracedTalk(terms, scratch, stay)
        return stay.talk

    def forget(self, client: socket.socket) -> None:
        """Write the line of a client that has left."""
        stay = self._stays.pop(client, None)
        if stay is not None:
            self._talking.discard(client)
            self._write(stay.line(monotonic_ns()))

    def finish(self, accepted: int) -> None:
        """Write what is left: of clients who were handed over and forgotten, and the last line."""
        for client in list(self._stays):
            self.forget(client)
        self._write({"ended": monotonic_ns(), "clients": accepted}, LARGEST_FILE + 4096)

    def _write(self, line: dict[str, object], largest: int = LARGEST_FILE) -> None:
        """Append a line; one that cannot be is lost, and the server serves on."""
        text = text_of(line).encode()
        with suppress(OSError):
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                if os.fstat(file).st_size + len(text) <= largest:
                    os.write(file, text)
            finally:
                os.close(file)


def text_of(line: dict[str, object]) -> str:
    """Return a line of the file."""
    return json.dumps(line, separators=(",", ":")) + "\n"
