"""Machines for a test: network namespaces with addresses of their own, joined by a bridge.

It takes root and Linux. Nothing outside of them is touched: the bridge has a namespace as well.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from shutil import which
from typing import Final

from tests.servers import ROOT, eventually

NETWORK: Final = "10.77.0"


class Host:
    """A namespace with an address in the network, as if it were a machine."""

    def __init__(self, prefix: str, number: int) -> None:
        self.name = f"{prefix}{number}"
        self.address = f"{NETWORK}.{number}"
        self._switch = f"{prefix}0"
        self._port = f"port{number}"
        self._started: list[subprocess.Popen[str]] = []
        _ip("netns", "add", self.name)
        _ip("-n", self._switch, "link", "add", self._port, "type", "veth",
            "peer", "name", "eth0", "netns", self.name)  # fmt: skip
        _ip("-n", self._switch, "link", "set", self._port, "master", "switch", "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for interface in ("lo", "eth0"):
            _ip("-n", self.name, "link", "set", interface, "up")

    def command(self, *words: str) -> list[str]:
        """Return a command line that runs another one there."""
        return [_IP, "netns", "exec", self.name, *words]

    def start(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command there, which ends with the host."""
        process = subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._started.append(process)
        return process

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be there: sockets that this thread opens meanwhile, and threads that it starts, are."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (
            Path("/proc/thread-self/ns/net").open() as home,
            Path(f"/run/netns/{self.name}").open() as there,
        ):
            _enter(libc, there.fileno())
            try:
                yield
            finally:
                _enter(libc, home.fileno())

    def cut_off(self) -> None:
        _ip("-n", self._switch, "link", "set", self._port, "down")

    def join(self) -> None:
        _ip("-n", self._switch, "link", "set", self._port, "up")

    def processes(self, word: str = "") -> list[int]:
        """Return the ids of all that runs there, or of those with a word in their command line."""
        found = []
        for pid in map(int, _ip("netns", "pids", self.name).split()):
            with suppress(OSError):
                if word in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found

    def signal(self, number: signal.Signals, word: str = "") -> None:
        for pid in self.processes(word):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        for process in self._started:
            with process:
                process.kill()
        eventually(lambda: not self.processes(), f"something still runs on {self.name}")
        _ip("netns", "del", self.name)


@contextmanager
def hosts(count: int) -> Iterator[Sequence[Host]]:
    """So many machines on one network, for the length of a block."""
    prefix = f"lg{os.getpid()}-{next(_numbers)}-"
    _ip("netns", "add", f"{prefix}0")
    found: list[Host] = []
    try:
        _ip("-n", f"{prefix}0", "link", "add", "switch", "type", "bridge")
        _ip("-n", f"{prefix}0", "link", "set", "switch", "up")
        for number in range(1, count + 1):
            found.append(Host(prefix, number))  # noqa: PERF401 - those that are there are closed
        yield found
    finally:
        for host in found:
            host.close()
        _ip("netns", "del", f"{prefix}0")


@cache
def impossible() -> str | None:
    """Why there can be no such machines here, or None."""
    if which("ip") is None:
        return "there is no `ip` (iproute2)"
    try:
        with hosts(1):
            return None
    except subprocess.CalledProcessError as error:
        return f"no network namespaces can be joined: {error.stderr.strip()}"


def _enter(libc: ctypes.CDLL, namespace: int) -> None:
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*words: str) -> str:
    return subprocess.run([_IP, *words], check=True, capture_output=True, text=True).stdout


_numbers: Final = count()
# linux/sched.h
_CLONE_NEWNET: Final = 0x40000000
_IP: Final = which("ip") or "ip"
