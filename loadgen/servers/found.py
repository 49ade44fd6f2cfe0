"""A server that is there already: who listens at an endpoint, and whether it answers."""

import argparse
import contextlib
import os
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from concurrency_models.backends import MODELS
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.servers.problem import TargetError

PROBE_SECONDS = 3.0
# For the kernel's word that nobody takes datagrams at a port; silence says nothing.
DATAGRAM_PROBE_SECONDS = 0.3


@dataclass(frozen=True)
class Found:
    """A server that was there already, and what to call it.

    `pid` is the root of its process tree; None where it cannot be watched, and `note` says why.
    `words` are what one of our servers was told as it was started.
    """

    pid: int | None
    name: str
    note: str | None = None
    words: tuple[str, ...] = ()

    def contradicts(self, plan: Plan) -> str | None:
        """The options with which a load would be one that this server answers; None if it is one.

        Only of our own servers it can be told how they talk.
        """
        if not self.words:
            return None
        told = _talk_options().parse_known_args(self.words)[0]
        wanted = {
            "--framing": (told.framing, plan.framing),
            "--talk": (told.talk, plan.talk),
            "--reply-prefix": (told.reply_prefix, os.fsdecode(plan.reply_prefix)),
        }
        unlike = [(option, own) for option, (own, asked) in wanted.items() if own != asked]
        return " ".join(f"{option} {shlex.quote(own)}" for option, own in unlike) or None


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
    line = _command_line(roots[0])
    words = _ours(line)
    name = _model_of(words) if words else _program_of(roots[0], line)
    return Found(roots[0], name or str(endpoint), words=words)


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


def _command_line(pid: int) -> list[str]:
    """The words that started a process; none where they may not be seen."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).cmdline()
    return []


def _ours(line: list[str]) -> tuple[str, ...]:
    """What a server of ours was told, its model first where that one's file was run; else nothing.

    `line` is the command line that started it.
    """
    for position, word in enumerate(line):
        file = Path(word)
        if file.name in ("concurrency_models.run", "concurrency_models", "concurrency-models"):
            return tuple(line[position + 1 :]) or ("iterative",)
        if file.parent.name == "backends":
            models = [model.name for model in MODELS.values() if f"{model.module}.py" == file.name]
            return (*models, *line[position + 1 :]) if models else ()
    return ()


def _talk_options() -> argparse.ArgumentParser:
    """A parser of those options of a server of ours that say how it talks."""
    parser = argparse.ArgumentParser(add_help=False)
    usual = Plan(())
    parser.add_argument("--framing", default=usual.framing)
    parser.add_argument("--talk", default=usual.talk)
    parser.add_argument("--reply-prefix", default=os.fsdecode(usual.reply_prefix))
    return parser


def _model_of(words: tuple[str, ...]) -> str:
    """The model of a server of ours that was told this."""
    named = (word.removeprefix("--model=") for word in words)
    return next((name for name in named if name in MODELS), "iterative")


def _program_of(pid: int, words: list[str]) -> str | None:
    """The name of the program that runs there, of a script its own."""
    try:
        name = psutil.Process(pid).name()
        script = next((word for word in words[1:] if word.endswith(".py")), None)
        return Path(script).name if script and name.startswith("python") else name
    except psutil.Error:
        return None


def _own_addresses() -> set[str]:
    return {
        address.address for addresses in psutil.net_if_addrs().values() for address in addresses
    }
