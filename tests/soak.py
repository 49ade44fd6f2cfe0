"""Every model under clients as a day in production has them, for as long as one likes.

    python -m tests.soak --minutes 3

Each server is started, visited by clients of all kinds at once, and stopped at some moment or other
or killed, again and again; then what was lost, printed or left behind is put in a table. What each
client does follows from the seed. The exit status is 1 where anything was lost or left.
"""

import argparse
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tabulate import tabulate

from concurrency_models.settings import POOL_THREADS
from concurrency_models.talk import frame
from tests.clients import Client, answer, check_served, never_read, readable
from tests.servers import SUBJECTS, ServerProcess, Subject, eventually, serving

CLIENTS: Final = 16
"""How many clients there are at a time; a pool that has fewer workers leaves the rest waiting."""

LIFE_SECONDS: Final = 4.0
"""How long a server lives at the most, from when clients come."""

MOST_GROWTH_MIB: Final = 24.0
"""How much more memory (PSS) a server may hold once all have left than before they came."""

SERVER: Final = ("--idle-timeout", "3", "--grace", "5", "--backlog", "256")


@dataclass
class Record:
    """What happened to one model, over all lives of its server."""

    model: str
    lives: int = 0
    clients: int = 0
    answered: int = 0
    lost: int = 0
    descriptors: int = 0
    zombies: int = 0
    threads: int = 0
    growth_mib: float = 0.0
    lines: int = 0
    faults: list[str] = field(default_factory=list)
    """Sentences about what went wrong besides."""

    def problems(self) -> list[str]:
        """Return a sentence for each thing that was lost or left."""
        found = [f"{self.model}: {fault}" for fault in self.faults]
        counts = {
            "replies were lost": self.lost,
            "descriptors are left": self.descriptors,
            "zombies are left": self.zombies,
            "threads are left": self.threads,
            "lines were printed": self.lines,
        }
        found += [f"{self.model}: {count} {what}" for what, count in counts.items() if count]
        if self.growth_mib > MOST_GROWTH_MIB:
            found.append(f"{self.model}: {self.growth_mib:.0f} MiB more memory than before")
        return found


class Crowd:
    """Clients of all kinds at once, until `leave`; each in a thread, by turns whatever comes.

    name: what their choices follow from, besides their number.
    """

    def __init__(self, server: ServerProcess, record: Record, name: str) -> None:
        self.server = server
        self.record = record
        self.stopping = False
        """Whether the server may have hung up on anybody, as it was told to."""
        self._leaving = threading.Event()
        self._counting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._visit, args=(random.Random(f"{name} {number}"),))
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Have everybody end what they are at, and come no more."""
        self._leaving.set()
        for thread in self._threads:
            thread.join()

    def _visit(self, rng: random.Random) -> None:
        while not self._leaving.is_set():
            behave = rng.choice(KINDS)
            try:
                with Client(self.server.address) as client:
                    self._count(clients=1)
                    behave(self, client, rng)
            except (OSError, EOFError, AssertionError) as error:
                self._judge(behave.__name__, error)
                if self.stopping:
                    return

    def _judge(self, kind: str, error: Exception) -> None:
        """Count as lost what a client had a right to."""
        half = isinstance(error, EOFError) and error.args and error.args[0]
        wrong = isinstance(error, AssertionError | TimeoutError)
        if half or wrong or not self.stopping:
            self._count(lost=1)
            with self._counting:
                self.record.faults.append(f"{kind}: {type(error).__name__} {str(error)[:60]}")

    def _count(self, *, clients: int = 0, answered: int = 0, lost: int = 0) -> None:
        with self._counting:
            self.record.clients += clients
            self.record.answered += answered
            self.record.lost += lost

    # What clients do

    def churn(self, client: Client, rng: random.Random) -> None:
        """Ask some questions, and go."""
        for _ in range(rng.randint(1, 20)):
            message = rng.randbytes(rng.choice((0, 1, 64, 1000, 100_000)))
            right = client.ask(message) == answer(message)
            assert right, "another answer"
            self._count(answered=1)

    def stay_silent(self, client: Client, rng: random.Random) -> None:
        """Hear the server say nothing, unasked, and say nothing either, for a while."""
        assert not readable([client], 0) or self.stopping, "it speaks, or hangs up, first"
        self._leaving.wait(rng.uniform(0, 0.5))

    def dribble(self, client: Client, rng: random.Random) -> None:
        """Send a message byte by byte."""
        message = rng.randbytes(rng.randint(1, 30))
        for byte in frame("length", message):
            client.socket.sendall(bytes([byte]))
            self._leaving.wait(rng.uniform(0, 0.01))
        assert client.receive() == answer(message), "another answer"
        self._count(answered=1)

    def send_garbage(self, client: Client, rng: random.Random) -> None:
        """Send bytes that are no messages; whatever comes back, if anything, will do."""
        with suppress(ConnectionError):
            client.socket.sendall(rng.randbytes(rng.randint(1, 50_000)))
            client.hang_up()
            client.read_to_end()

    def reset(self, client: Client, rng: random.Random) -> None:
        """Vanish with a message begun, or answers unread."""
        client.socket.sendall(frame("length", rng.randbytes(1000))[: rng.randint(1, 1004)])
        client.reset()

    def never_read(self, client: Client, rng: random.Random) -> None:
        """Send and never read, until the server takes no more; then leave without a word."""
        with suppress(ConnectionError, BlockingIOError):
            never_read(client, limit=rng.choice((1 << 16, 4 << 20)))

    def ask_and_hang_up(self, client: Client, rng: random.Random) -> None:
        """Send all at once, end the sending side, and read to the end."""
        messages = [rng.randbytes(rng.randint(0, 200)) for _ in range(rng.randint(1, 50))]
        client.send(*messages)
        client.hang_up()
        for message in messages:
            assert client.receive() == answer(message), "another answer"
            self._count(answered=1)
        assert client.read_to_end() == b"", "more than the answers"


KINDS: Final[Sequence[Callable[[Crowd, Client, random.Random], None]]] = (
    Crowd.churn,
    Crowd.churn,
    Crowd.stay_silent,
    Crowd.dribble,
    Crowd.send_garbage,
    Crowd.reset,
    Crowd.never_read,
    Crowd.ask_and_hang_up,
)


@dataclass(frozen=True)
class Holding:
    """What a server has at some moment, in all its processes."""

    processes: int
    threads: float
    descriptors: float
    pss_mib: float


def holding(server: ServerProcess) -> Holding:
    return Holding(
        len(server.processes()),
        server.total(lambda process: process.num_threads()),
        server.descriptors(),
        server.total(lambda process: process.memory_full_info().pss) / 2**20,
    )


def live(subject: Subject, record: Record, name: str, seconds: float) -> None:
    """Let a server live for so long at the most, and end one way or other."""
    rng = random.Random(name)
    killed = rng.random() < 0.15
    amid = rng.random() < 0.5
    expect = -signal.SIGKILL if killed and amid else 0
    with serving(*subject.arguments, *SERVER, warns=True, expect=expect) as server:
        record.lives += 1
        check_served(server.address)
        processes = len(server.processes())
        eventually(lambda: len(server.processes()) <= processes, "a process is left")
        before = holding(server)
        crowd = Crowd(server, record, name)
        try:
            time.sleep(seconds * rng.uniform(0.3, 0.6))
            with server.frozen():  # and finds much at once
                time.sleep(0.05)
            time.sleep(seconds * rng.uniform(0.1, 0.4))
            crowd.stopping = amid
            if killed and amid:
                server.process.kill()
                server.exit_status()
            elif amid:
                server.stop(rng.choice((signal.SIGTERM, signal.SIGINT)))
        finally:
            crowd.stopping |= server.process.poll() is not None
            crowd.leave()
        if not amid:
            compare(server, before, record)
    record.lines += len(server.err.lines)
    record.faults += server.err.lines[:3]


def compare(server: ServerProcess, before: Holding, record: Record) -> None:
    """Judge what is left once all clients have gone."""
    after = before

    def is_as_before() -> bool:
        nonlocal after
        after = holding(server)
        return not (descriptors_left() or threads_left() or server.zombies())

    def descriptors_left() -> int:  # libuv opens one for good when the first clients come
        return max(0, round(after.descriptors - before.descriptors) - 1)

    def threads_left() -> int:  # a pool keeps those that it has started
        allowed = POOL_THREADS * before.processes
        return max(0, round(after.threads - before.threads) - allowed)

    with suppress(AssertionError):  # what is left is in the table
        eventually(is_as_before, "something is left")
    record.descriptors += descriptors_left()
    record.threads += threads_left()
    record.zombies += len(server.zombies())
    record.growth_mib = max(record.growth_mib, after.pss_mib - before.pss_mib)


def soak(subject: Subject, seed: int, seconds: float) -> Record:
    """Start servers of one model again and again for so many seconds; one at the least."""
    record = Record(str(subject))
    end = time.monotonic() + seconds
    while not record.lives or end - time.monotonic() > 1:
        left = min(max(end - time.monotonic(), 0.5), LIFE_SECONDS)
        try:
            live(subject, record, f"{seed} {subject} {record.lives}", left)
        except AssertionError as error:
            record.faults.append(" ".join(str(error).split())[:200] or "a check failed")
    return record


def show(records: Sequence[Record], seed: int) -> str:
    """Return the table of what was found."""
    rows = [
        [
            one.model, one.lives, one.clients, one.answered, one.lost, one.descriptors, one.zombies,
            one.threads, round(one.growth_mib, 1), one.lines,
        ]
        for one in records
    ]  # fmt: skip
    headers = [
        "model", "lives", "clients", "answered", "lost", "descriptors", "zombies", "threads",
        "MiB more", "lines",
    ]  # fmt: skip
    return f"{tabulate(rows, headers)}\n(seed {seed})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak as the command line says; return the exit status."""
    names = [str(subject) for subject in SUBJECTS]
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="all in all (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--model", nargs="+", choices=names, default=names, metavar="MODEL")
    options = parser.parse_args(arguments)
    records: list[Record] = []
    status = 0
    try:
        for number, name in enumerate(options.model, start=1):
            subject = SUBJECTS[names.index(name)]
            print(f"{number} of {len(options.model)}: {name}", file=sys.stderr, flush=True)
            seconds = 60 * options.minutes / len(options.model)
            records.append(soak(subject, options.seed, seconds))
    except KeyboardInterrupt:
        status = 130
    print(show(records, options.seed))
    for problem in (problem for record in records for problem in record.problems()):
        print(f"soak: {problem}", file=sys.stderr)
        status = status or 1
    return status


if __name__ == "__main__":
    sys.exit(main())
