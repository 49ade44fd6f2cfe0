"""A server that is there already: who listens at an endpoint, and whether it answers."""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadgen.plan.endpoint import Endpoint
from loadgen.servers.problem import TargetError

PROBE_SECONDS = 3.0
# For the kernel's word that nobody takes datagrams at a port; silence says nothing.
DATAGRAM_PROBE_SECONDS = 0.3


@dataclass(frozen=True)
class Found:
    """A server that was there already, and what to call it.

    `pid` is the root of its process tree; None where it cannot be watched, and `note` says why.
    """

    pid: int | None
    name: str
    note: str | None = None


def find(endpoint: Endpoint) -> Found:
    """The process that listens at `endpoint`, as far as it can be seen from here."""
    if not endpoint.is_loopback and endpoint.host not in _own_addresses():
        return Found(
            None,
            str(endpoint),
            f"the server's cost is left out: {endpoint.host} is another machine",
        )
    try:
        pids = _listeners(endpoint)
    except psutil.AccessDenied:
        pids = set()
    roots = sorted(pid for pid in pids if _parent(pid) not in pids)
    if not roots:
        return Found(
            None,
            str(endpoint),
            f"the server's cost is left out: this user may not see which process listens at "
            f"{endpoint}; run as the server's user or as root",
        )
    return Found(roots[0], _name_of(roots[0]) or str(endpoint))


def listens(endpoint: Endpoint) -> bool:
    """Whether somebody listens at a local endpoint: by looking, else by connecting once."""
    with contextlib.suppress(psutil.Error):
        if _listeners(endpoint):
            return True
    try:
        probe(endpoint)
    except TargetError:
        return False
    return True


def probe(endpoint: Endpoint) -> None:
    """Connect once and close again, or send one empty datagram.

    Raises TargetError, saying what to do, when that fails. A datagram that nobody answers is no
    failure: it may have been lost.
    """
    datagrams = endpoint.transport == "udp"
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    try:
        with socket.socket(endpoint.address_family, kind) as client:
            client.settimeout(DATAGRAM_PROBE_SECONDS if datagrams else PROBE_SECONDS)
            client.connect(endpoint.sockaddr)
            if datagrams:
                client.send(b"")
                with contextlib.suppress(TimeoutError):
                    client.recv(1)
    except TimeoutError:
        raise TargetError(
            f"no answer from {endpoint} within {PROBE_SECONDS:g} s: check the address, or a "
            "firewall on the way"
        ) from None
    except (ConnectionRefusedError, FileNotFoundError):
        raise TargetError(
            f"nobody listens at {endpoint}: start a server there, such as "
            f"'python -m concurrency_models.run --model thread {_where(endpoint)}', "
            "or have one started with --model thread"
        ) from None
    except OSError as error:
        raise TargetError(f"cannot connect to {endpoint}: {error.strerror or error}") from None


def _where(endpoint: Endpoint) -> str:
    """What to tell a server of ours, so that it listens at `endpoint`."""
    if endpoint.family == "unix":
        return f"--family unix --path {endpoint.path}"
    family = "" if endpoint.family == "inet" else f"--family {endpoint.family} "
    transport = "" if endpoint.transport == "tcp" else f"--transport {endpoint.transport} "
    return f"{family}{transport}--port {endpoint.port}"


def converse(endpoint: Endpoint, request: bytes, reply_size: int) -> bytes | None:
    """Send a request and return what comes back; None when there is no connection.

    That is up to `reply_size` bytes, or what came until the server hung up or fell silent for a
    second.
    """
    received = b""
    with socket.socket(endpoint.address_family, socket.SOCK_STREAM) as client:
        client.settimeout(PROBE_SECONDS)
        try:
            client.connect(endpoint.sockaddr)
        except OSError:
            return None
        client.settimeout(1.0)
        with contextlib.suppress(OSError):
            client.sendall(request)
            while len(received) < reply_size and (data := client.recv(reply_size - len(received))):
                received += data
    return received


def _listeners(endpoint: Endpoint) -> set[int]:
    """The processes that hold a listening socket at `endpoint`; raises psutil.AccessDenied."""
    kind = "unix" if endpoint.family == "unix" else endpoint.transport
    found = set()
    for one in psutil.net_connections(kind=kind):
        if one.pid is None:
            continue
        if endpoint.family == "unix":
            if str(one.laddr) == endpoint.path:
                found.add(one.pid)
        elif one.laddr and one.laddr.port == endpoint.port:
            listening = endpoint.transport == "udp" or one.status == psutil.CONN_LISTEN
            if listening and one.laddr.ip in (endpoint.host, "0.0.0.0", "::"):
                found.add(one.pid)
    return found


def _parent(pid: int) -> int | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).ppid()
    return None


def _name_of(pid: int) -> str | None:
    """The model when it is one of our servers, else the program's name."""
    try:
        process = psutil.Process(pid)
        words = process.cmdline()
        if "concurrency_models.run" in words:
            for position, word in enumerate(words):
                if word == "--model" and position + 1 < len(words):
                    return words[position + 1]
                if word.startswith("--model="):
                    return word.partition("=")[2]
            return "iterative"
        name = process.name()
        script = next((word for word in words[1:] if word.endswith(".py")), None)
        return Path(script).name if script and name.startswith("python") else name
    except psutil.Error:
        return None


def _own_addresses() -> set[str]:
    return {
        address.address for addresses in psutil.net_if_addrs().values() for address in addresses
    }
