"""The load generator that people write first: a process per client, each with a blocking socket.

Usage: python -m tests.benchmarks.blocking_clients PORT CLIENTS SECONDS; prints messages/s. It
verifies replies and keeps latencies as the engine does, so that the ratio is of the way to wait,
not of the work done.
"""

import array
import multiprocessing
import socket
import sys
import time
from multiprocessing.synchronize import Barrier

SIZE = 64
WARMUP_SECONDS = 0.3


def converse(
    port: int, seconds: float, barrier: Barrier, totals: "multiprocessing.Queue[int]"
) -> None:
    """Be one client; the messages of its window go into `totals`."""
    request = SIZE.to_bytes(4, "big") + bytes(SIZE)
    latencies = array.array("q")
    with socket.create_connection(("127.0.0.1", port)) as server:
        barrier.wait()
        opens = time.monotonic_ns() + round(WARMUP_SECONDS * 1e9)
        closes = opens + round(seconds * 1e9)
        now = time.monotonic_ns()
        while now < closes:
            sent = now
            server.sendall(request)
            if server.recv(65536) != request:
                raise SystemExit("a wrong reply")
            now = time.monotonic_ns()
            if sent >= opens:
                latencies.append(now - sent)
    totals.put(len(latencies))


def main() -> None:
    """Run as many processes as clients and print what they managed together."""
    port, clients, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    context = multiprocessing.get_context("fork")
    barrier, totals = context.Barrier(clients), context.Queue()
    processes = [
        context.Process(target=converse, args=(port, seconds, barrier, totals), daemon=True)
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    messages = sum(totals.get(timeout=60 + seconds) for _ in processes)
    for process in processes:
        process.join()
    print(messages / seconds)


if __name__ == "__main__":
    main()
