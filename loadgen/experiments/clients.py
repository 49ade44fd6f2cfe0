"""Clients that the engine does not have, since nobody measures with them: they are here to be seen.

Each is a `Driver` (see `task`): it stands in for the engine or acts beside it, counts what the
engine has no name for, and is bounded in time and bytes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from concurrency_models.talk import HEADER_SIZE, frame
from loadgen.engine.process import raise_descriptor_limit
from loadgen.fleet.conductor import Stop, run_load
from loadgen.fleet.events import Event, WindowClosed, WindowOpened
from loadgen.fleet.place import LoadError
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.tally import GroupTally, Tally

READ_SIZE = 65_536
# Small buffers, so that the pipe to a client that does not read is full soon.
SMALL_BUFFER = 65_536
LOOK_SECONDS = 0.05
# Of the clients that are to be silent, so many ask at the same time. Were 10,000 threads to wake at
# once, their fight for the GIL would take from seconds to over a minute; that is another question.
TOGETHER = 100


@dataclass(frozen=True)
class BackToBack:
    """One client that sends its messages one after the other without waiting for replies.

    Each message is a `send` of its own. The client reads meanwhile, says goodbye after the last
    message and reads to the end. The plan gives size, framing and number of messages. Counts:
    `replies`, `replies_per_message`, `right_alone` (messages that got a reply of their own),
    `short_sends` (the pipe took a part of a message) and, where replies have ends,
    `partial_reads` (a read brought the beginning of a reply without its end).
    """

    def put_on(
        self,
        plan: Plan,
        endpoint: Endpoint,
        *,
        on_event: Callable[[Event], None],
        stop: Stop,
    ) -> tuple[Tally, dict[str, float]]:
        count = plan.messages_per_client or 1
        size = plan.groups[0].size_bytes
        messages = [b"%08d" % number + b"." * (size - 8) for number in range(count)]
        started = time.monotonic()
        with _new_socket(endpoint) as client:
            # A pipe that is soon full, so that send() takes a large message in pieces.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            client.settimeout(plan.timeout_seconds)
            _connect(client, endpoint)
            client.setblocking(False)
            connected = time.monotonic()
            on_event(WindowOpened(connected))
            stream = _Stream(client, plan, connected + plan.timeout_seconds)
            stream.exchange(messages, stop)
            finished = time.monotonic()
            on_event(WindowClosed(finished))
        replies = stream.replies()
        alone = {plan.reply_prefix + message for message in messages} & set(replies)
        counted = {
            "messages": float(stream.begun),
            "replies": float(len(replies)),
            "replies_per_message": len(replies) / count,
            "right_alone": float(len(alone)),
            "short_sends": float(stream.short_sends),
        }
        if plan.framing != "raw":
            counted["partial_reads"] = float(stream.partial_reads)
        group = GroupTally(plan.groups[0].name, clients=1, connected=1, connections=1)
        group.intended, group.answered = stream.begun, len(alone)
        # After the end of the talk, what was not answered by itself never will be.
        group.waiting = 0 if stream.ended else stream.begun - len(alone)
        group.wrong = stream.begun - group.answered - group.waiting
        group.served, group.starved = (1, 0) if alone else (0, 1)
        group.answered_in_window = group.answered
        group.answered_per_client = [group.answered]
        group.bytes_sent = stream.sent_bytes
        group.bytes_received = len(stream.received)
        reply_size = len(frame(plan.framing, plan.reply_prefix + messages[0]))
        group.expected_bytes_received = reply_size * group.answered
        group.payload_bytes_in_window = (2 * size + len(plan.reply_prefix)) * group.answered
        group.connect.record(round((connected - started) * 1e9))
        tally = Tally(
            [group],
            started=started,
            connecting_seconds=connected - started,
            window_started=connected,
            window_seconds=finished - connected,
            cut_short=stop.is_set(),
        )
        return tally, counted


class _Stream:
    """Both directions of one connection at the same time, since each may fill up."""

    def __init__(self, client: socket.socket, plan: Plan, deadline: float) -> None:
        self._client = client
        self._plan = plan
        self._deadline = deadline
        self.received = bytearray()
        self.sent_bytes = self.begun = 0
        self.short_sends = self.partial_reads = 0
        self.ended = False
        self._message_size = 0
        self._whole = 0  # bytes of replies that have arrived with their ends

    def exchange(self, messages: list[bytes], stop: Stop) -> None:
        """Send everything, say goodbye, read until the server says it too; or time is up."""
        waiting = [memoryview(frame(self._plan.framing, one)) for one in reversed(messages)]
        self._message_size = waiting[0].nbytes
        with contextlib.suppress(ConnectionError):
            while not self.ended and time.monotonic() < self._deadline and not stop.is_set():
                writers = [self._client] if waiting else []
                able = select.select([self._client], writers, [], LOOK_SECONDS)
                if able[0]:
                    self._receive()
                while able[1] and waiting and self._send(waiting):
                    pass
                if able[1] and not waiting:
                    self._client.shutdown(socket.SHUT_WR)

    def _send(self, waiting: list[memoryview]) -> bool:
        """One send of what is left of the next message; False when the pipe is full."""
        message = waiting.pop()
        fresh = message.nbytes == self._message_size
        try:
            sent = self._client.send(message)
        except BlockingIOError:
            waiting.append(message)
            return False
        self.begun += fresh
        self.sent_bytes += sent
        if sent < len(message):
            self.short_sends += 1
            waiting.append(message[sent:])
            return False
        return True

    def _receive(self) -> None:
        try:
            data = self._client.recv(READ_SIZE)
        except BlockingIOError:
            return
        self.ended = not data
        self.received += data
        if data and self._plan.framing != "raw":
            while (end := self._end_of_reply(self._whole)) is not None:
                self._whole = end
            self.partial_reads += self._whole < len(self.received)

    def _end_of_reply(self, start: int) -> int | None:
        """Where the framed reply that begins at `start` ends, None when it is not whole."""
        if self._plan.framing == "line":
            return self.received.find(b"\n", start) + 1 or None
        body = start + HEADER_SIZE
        if len(self.received) < body:
            return None
        end = body + int.from_bytes(self.received[start:body], "big")
        return end if len(self.received) >= end else None

    def replies(self) -> list[bytes]:
        """The replies that came: whole ones, or under raw what stands between two prefixes."""
        if self._plan.framing == "raw":
            prefix = self._plan.reply_prefix
            return [prefix + piece for piece in bytes(self.received).split(prefix)[1:]]
        found, start = [], 0
        while (end := self._end_of_reply(start)) is not None:
            reply = bytes(self.received[start:end])
            found.append(reply[:-1] if self._plan.framing == "line" else reply[HEADER_SIZE:])
            start = end
        return found


@dataclass(frozen=True)
class NeverReads:
    """Beside the plan's clients, one that sends messages and reads no reply, up to `most_bytes`.

    Counts: `unread_client_bytes`, what the server took from it.
    """

    most_bytes: int = 64 * 1024 * 1024
    message_bytes: int = 1000

    def put_on(
        self,
        plan: Plan,
        endpoint: Endpoint,
        *,
        on_event: Callable[[Event], None],
        stop: Stop,
    ) -> tuple[Tally, dict[str, float]]:
        done = threading.Event()
        sent = 0

        def flood(client: socket.socket) -> None:
            nonlocal sent
            stream = memoryview(frame(plan.framing, bytes(self.message_bytes)) * 64)
            with contextlib.suppress(OSError):
                while not done.is_set() and sent < self.most_bytes:
                    if select.select([], [client], [], LOOK_SECONDS)[1]:
                        sent += client.send(stream[sent % len(stream) :])

        with _new_socket(endpoint) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            client.settimeout(plan.timeout_seconds)
            _connect(client, endpoint)
            client.setblocking(False)
            thread = threading.Thread(target=flood, args=(client,), name="never reads")
            thread.start()
            try:
                tally = run_load(plan, endpoint, on_event=on_event, stop=stop)
            finally:
                done.set()
                thread.join()
        return tally, {"unread_client_bytes": float(sent)}


@dataclass(frozen=True)
class Holders:
    """Clients that came first, hold their connections and say nothing, beside the plan's clients.

    All are connected before the load begins, so that they stand in front in the server's queue. One
    that `asks` has sent a message by then and got its reply: the server has taken it in. Counts:
    `holders`, and `holders_left`, those that the server has not hung up on at the end.
    """

    count: int
    asks: bool = False

    def put_on(
        self,
        plan: Plan,
        endpoint: Endpoint,
        *,
        on_event: Callable[[Event], None],
        stop: Stop,
    ) -> tuple[Tally, dict[str, float]]:
        raise_descriptor_limit()
        with contextlib.ExitStack() as stack:
            clients: list[socket.socket] = []
            while len(clients) < self.count:
                together = []
                for _ in range(min(TOGETHER, self.count - len(clients))):
                    client = stack.enter_context(_new_socket(endpoint))
                    client.settimeout(plan.timeout_seconds)
                    _connect(client, endpoint)
                    together.append(client)
                if self.asks:
                    _ask(together, plan)
                clients += together
            tally = run_load(plan, endpoint, on_event=on_event, stop=stop)
            # The server has nothing to say to them: what can be read is its goodbye.
            poller = select.poll()
            for client in clients:
                poller.register(client, select.POLLIN)
            gone = len(poller.poll(0))
        return tally, {"holders": float(self.count), "holders_left": float(self.count - gone)}


def _ask(clients: list[socket.socket], plan: Plan) -> None:
    """Have every client send a message, and wait for all the replies."""
    request = frame(plan.framing, b"here")
    reply = frame(plan.framing, plan.reply_prefix + b"here")
    try:
        for client in clients:
            client.sendall(request)
        for client in clients:
            if client.recv(len(reply), socket.MSG_WAITALL) != reply:
                raise LoadError("a client that came first got no right reply")
    except TimeoutError:
        raise LoadError(
            f"a client that came first was not served within {plan.timeout_seconds:g} s"
        ) from None
    except OSError as error:
        raise LoadError(f"a client that came first was lost: {error.strerror}") from None


def _new_socket(endpoint: Endpoint) -> socket.socket:
    try:
        return socket.socket(endpoint.address_family)
    except OSError as error:
        raise LoadError(f"cannot open one more connection: {error.strerror}") from None


def _connect(client: socket.socket, endpoint: Endpoint) -> None:
    try:
        client.connect(endpoint.sockaddr)
    except OSError as error:
        raise LoadError(f"cannot connect to {endpoint}: {error.strerror or error}") from None
