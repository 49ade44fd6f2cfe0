"""A server that is started here as a subprocess, and always stopped.

It is asked to stop, given its grace, and then killed with all its descendants; should this program
be killed instead, the kernel (Linux) asks it to stop. What it printed is kept, and shown when it
does not start.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import psutil

from loadgen.plan.endpoint import Endpoint
from loadgen.record.trace import ServerTrace
from loadgen.servers import interpreters
from loadgen.servers.problem import TargetError

START_SECONDS = 20.0
# The server's own grace is 5 s; then it ends by itself or not at all.
STOP_SECONDS = 8.0
_KEPT_LINES = 200
_READY = re.compile(
    r"listening on (?:unix:(?P<path>.+?)(?: \(|\s*$)"
    r"|\[?(?P<host>[^\]\s]+?)\]?:(?P<port>\d+)(?P<udp> for datagrams)?(?:\s|$))"
)
_BY_WORKER = re.compile(r"accepted .*\(by worker: ([0-9 ]+)\)")
# linux/prctl.h
_PR_SET_PDEATHSIG = 1


class ServerProcess:
    """A server as a subprocess, as a context manager: started on entering, stopped on leaving.

    `command` must print a line with "listening on HOST:PORT" when it is ready. `cores` are the
    processors it may run on, None for all; `open_files` is how many descriptors it may have open,
    None for as many as we may; `library` is the folder in which its Python finds our servers, None
    for ours. Raises TargetError on entering when it does not get ready; its last words are in the
    text.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        cores: Sequence[int] | None = None,
        open_files: int | None = None,
        library: str | None = None,
    ) -> None:
        self.name = name
        self.endpoint = Endpoint("inet")
        self.trace: ServerTrace | None = None
        """What it has written down, once it has stopped, where it was asked to."""
        self._command = list(command)
        self._cores = cores
        self._open_files = open_files
        self._library = library
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> list[str]:
        """The last lines that the server printed, on either stream."""
        return list(self._lines)

    def __enter__(self) -> "ServerProcess":
        if shutil.which(self._command[0]) is None:
            raise TargetError(f"cannot start {self.name}: there is no program {self._command[0]}")
        try:
            self._process = subprocess.Popen(
                [*_launcher(self._cores, self._open_files), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=interpreters.variables(self._library),
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C is ours to act on: the figures come first
            )
        except OSError as error:
            raise TargetError(
                f"cannot start {self.name} with {self._command[0]}: {error.strerror}"
            ) from None
        self._reader = threading.Thread(target=self._read, name="server output", daemon=True)
        self._reader.start()
        try:
            self._ready.wait(START_SECONDS)
            if not self.endpoint.host and not self.endpoint.path:
                raise TargetError(self._last_words())
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def connections_by_worker(self) -> tuple[int, ...] | None:
        """How many connections each of its workers got, as it says when it has been stopped."""
        found = (_BY_WORKER.search(line) for line in reversed(self._lines))
        counts = next((match[1] for match in found if match), None)
        return None if counts is None else tuple(map(int, counts.split()))

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask the server to stop, wait, and kill whatever is left of its tree. May be repeated."""
        if self._process is None:
            return
        family = _descendants(self._process.pid)
        try:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        finally:  # also on a second Ctrl-C during the wait
            family += _descendants(self._process.pid)
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(1.0)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip("\n"))
            if not self._ready.is_set() and (found := parse_ready_line(line)):
                self.endpoint = found
                self._ready.set()
        self._ready.set()  # it ended: there is nothing left to wait for

    def _last_words(self) -> str:
        assert self._process is not None
        said = "\n".join(f"    {line}" for line in list(self._lines)[-20:])
        with contextlib.suppress(subprocess.TimeoutExpired):  # its output may end just before it
            self._process.wait(1.0)
        status = self._process.poll()
        what = (
            f"was not ready after {START_SECONDS:g} s"
            if status is None
            else f"ended with status {status} before it was ready"
        )
        heard = f"it said:\n{said}" if said else "it said nothing"
        return f"the server {self.name} {what}; {heard}"


@contextlib.contextmanager
def place_for(family: str) -> Iterator[list[str]]:
    """Options that make a server listen where nobody else does.

    For unix that is a socket file in a folder of its own, which is gone when the block ends,
    whatever became of the server; else there is nothing to say, as any free port will do.
    """
    if family != "unix":
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="loadgen-") as folder:
        yield ["--path", str(Path(folder, "socket"))]


def parse_ready_line(line: str) -> Endpoint | None:
    """The endpoint in a line with "listening on HOST:PORT", "[HOST]:PORT" or "unix:PATH"."""
    found = _READY.search(line)
    if found is None:
        return None
    if found["path"]:
        return Endpoint("unix", path=found["path"])
    family = "inet6" if ":" in found["host"] else "inet"
    transport = "udp" if found["udp"] else "tcp"
    return Endpoint(family, found["host"], int(found["port"]), transport=transport)


def model_command(model: str, options: Sequence[str], python: str = sys.executable) -> list[str]:
    """The command that starts one of our models on a free port.

    -P keeps the current folder's files from being imported in place of the library's.
    """
    return [python, "-P", "-m", "concurrency_models.run", "--model", model, "--port", "0", *options]


# Ties the server's life to ours and then becomes the server. A program of its own, since what runs
# between fork and exec in this process must not be Python while other threads run.
_LAUNCHER = """
import ctypes, os, resource, sys
parent, cores, open_files, *command = sys.argv[1:]
ctypes.CDLL(None).prctl({pdeathsig}, {sigterm})
if os.getppid() != int(parent):
    sys.exit(1)
if cores:
    os.sched_setaffinity(0, map(int, cores.split(",")))
if open_files:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(open_files), int(open_files)))
os.execv(command[0], command)
"""


def _launcher(cores: Sequence[int] | None, open_files: int | None) -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    program = _LAUNCHER.format(pdeathsig=_PR_SET_PDEATHSIG, sigterm=int(signal.SIGTERM))
    listed = ",".join(map(str, cores or ()))
    limit = "" if open_files is None else str(open_files)
    return [sys.executable, "-I", "-S", "-c", program, str(os.getpid()), listed, limit]


def _descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []
