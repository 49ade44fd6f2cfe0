"""A bounded pool of threads that never keeps the program from ending.

`concurrent.futures.ThreadPoolExecutor` waits at exit for whatever its threads are doing; a server
whose grace is over must not.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable

from concurrency_models.server import Server


class ThreadPool:
    """Up to `size` daemon threads, each started when the ones before it are all busy."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tasks: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._unfinished = 0

    def submit(self, task: Callable[[], object]) -> None:
        """Have a thread call `task`, which must not raise, as soon as one is free.

        Raises RuntimeError, and does not take the task, when a thread should be started for it and
        the machine has none to give.
        """
        with self._lock:
            if self._threads == self._unfinished and self._threads < self._size:
                threading.Thread(target=self._work, daemon=True).start()
                self._threads += 1
            self._unfinished += 1
        self._tasks.put(task)

    def _work(self) -> None:
        while True:
            self._tasks.get()()
            with self._lock:
                self._unfinished -= 1


def start_threads(server: Server, threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Start threads that serve, and return them: fewer where the machine has no more to give.

    Where it has none at all, it waits for the first until the server stops.
    """
    started: list[threading.Thread] = []
    for thread in threads:
        while not server.stopping:
            try:
                thread.start()
            except RuntimeError as error:
                server.shortage.pause_after(error)
                if started:
                    return started
                time.sleep(server.shortage.seconds_left())
            else:
                started.append(thread)
                break
    return started
