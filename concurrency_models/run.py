"""The command `python -m concurrency_models.run`: one server, one model, until Ctrl-C."""

import argparse
import errno
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Final, NoReturn

from concurrency_models.arguments import default_start_method, make_parser, model_of, settings_of
from concurrency_models.backends import EFFECTS, MODELS, Model, RegistryError, forgotten_row
from concurrency_models.listener import address_text, listening
from concurrency_models.narration import say
from concurrency_models.server import Server
from concurrency_models.settings import FAMILIES, Settings
from concurrency_models.shortage import SHORTAGES

FAILURE: Final = 1
INTERRUPTED: Final = 130

CLOSING_SECONDS: Final = 0.5
"""How long after the grace a server that keeps to it may still be closing up."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as the command line `arguments` say; return the exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.list:
        print_models()
        return 0
    name = model_of(parser, options)
    model = MODELS.get(name)
    if model is None:
        import difflib  # noqa: PLC0415 - for a mistake alone; forked children need not map it

        if forgotten := forgotten_row(name):
            parser.error(forgotten)
        near = difflib.get_close_matches(name, MODELS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(MODELS)}"
        parser.error(f"there is no model {name!r}; {hint} (--list describes them)")
    if missing := model.unavailable():
        return complain(f"the model {model.name!r} cannot run here: {missing}")
    settings = settings_of(parser, options)
    if settings.transport not in model.transports:
        able = ", ".join(name for name, other in MODELS.items() if "udp" in other.transports)
        parser.error(f"{model.name!r} needs connections; --transport udp goes with {able}")
    if settings.family not in model.families:
        parser.error(f"{model.name!r} needs --family {' or '.join(model.families)}")
    for line in without_effect(model, options):
        complain(line)
    multiprocessing.set_start_method(options.start_method or default_start_method())
    try:
        serve = model.import_serve(settings.transport)
    except RegistryError as error:
        return complain(str(error))
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(listening(settings, share_port=model.share_port))
        except OSError as error:
            return complain(explain(error, settings))
        try:
            server = Server(settings, listener)
        except OSError as error:
            return complain(explain_shortage(error, model.name))
        stop_on_signals(server)
        where = address_text(listener.getsockname())
        what = " for datagrams" if settings.transport == "udp" else ""
        line = f"{model.name}: listening on {where}{what} (Ctrl-C stops)"
        ready = False

        def announce() -> None:
            nonlocal ready
            ready = True
            say(line)

        server.when_ready(announce)
        try:
            server.narration.begin(model.name)
        except OSError as error:
            return complain(f"cannot write the trace {settings.trace!r}: {error.strerror}")
        started = time.monotonic()
        try:
            serve(server)
        except OSError as error:
            if ready:
                raise
            return complain(explain_shortage(error, model.name))
        server.narration.finish(server.accepted)
    uptime = time.monotonic() - started
    # Of a client that was accepted, only the client knows whether it was served.
    did = "answered {} datagram" if settings.transport == "udp" else "accepted {} client"
    did = did.format(server.accepted) + ("" if server.accepted == 1 else "s")
    spread = ""
    if server.accepted_by_worker is not None:
        spread = f" (by worker: {' '.join(map(str, server.accepted_by_worker))})"
    say(f"{model.name}: {did} in {uptime:.1f} s{spread}")
    return 0


def without_effect(model: Model, options: argparse.Namespace) -> list[str]:
    """Return a sentence for each option that was given and means nothing to the model.

    They are no reason to end: a comparison starts all its servers with the same options.
    """
    given = {"--workers": options.workers, "--start-method": options.start_method}
    said = []
    for option, value in given.items():
        if value is not None and option not in model.takes:
            able = ", ".join(name for name, other in MODELS.items() if option in other.takes)
            said.append(
                f"{option} means nothing to {model.name!r}; it goes with what"
                f" {EFFECTS[option]}: {able}"
            )
    return said


def print_models() -> None:
    """Print the models, as wide as the terminal: name, how it serves, why it cannot run here."""
    width = max(map(len, MODELS)) + 2
    columns = shutil.get_terminal_size().columns
    for model in MODELS.values():
        text = f"{model.name:{width}}{model.summary}"
        if missing := model.unavailable():
            text += f"; not here: {missing}"
        say(textwrap.fill(text, columns, subsequent_indent=" " * width))


def stop_on_signals(server: Server) -> None:
    """Let Ctrl-C and SIGTERM stop the server in order, and a second one end it at once.

    The grace holds whatever the server is at: a loop that is deep in some client's work would not
    look at its deadline.
    """

    def end(status: int) -> None:
        server.end_at_once()
        os._exit(status)

    def cut_off() -> None:
        server.warn(f"the grace of {server.settings.grace:g} s is over: work was cut off")
        end(0)

    def stop(_number: int, _frame: FrameType | None) -> None:
        if server.stopping:
            end(INTERRUPTED)
        watchdog = threading.Timer(server.settings.grace + CLOSING_SECONDS, cut_off)
        watchdog.daemon = True
        with suppress(RuntimeError):  # no thread to be had: then the first to end makes room
            watchdog.start()
        server.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.set_wakeup_fd(server.self_pipe.writer.fileno(), warn_on_full_buffer=False)


def complain(text: str) -> int:
    """Print a line about what went wrong on standard error; return the exit status."""
    print(f"concurrency_models: {text}", file=sys.stderr)
    return FAILURE


def explain(error: OSError, settings: Settings) -> str:
    """Return what kept us from listening, and what to do about it."""
    host, port, path = settings.host, settings.port, settings.path
    if isinstance(error, socket.gaierror):
        kind = "IPv6" if settings.family == "inet6" else "IPv4"
        return f"{host!r} is no {kind} address and no name of one; --host takes one of this machine"
    if error.errno == errno.EADDRINUSE:
        where = f"{path!r}" if path else f"port {port} on {host}"
        other = "--path" if path else "--port (0 picks a free one)"
        return (
            f"{where} is in use: another server listens there; stop it, or choose another {other}"
        )
    if error.errno == errno.EEXIST:
        what = "folder" if os.path.isdir(path) else "file"
        return f"{path!r} is a {what}, and no socket: it stays as it is; choose another --path"
    if error.errno == errno.EACCES and not path:
        return f"port {port} needs root's rights; choose a --port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        own = FAMILIES[settings.family]
        return f"{host} is no address of this machine; --host {own} always is"
    where = f"the socket file {path!r}" if path else f"{host} port {port}"
    return f"cannot listen on {where}: {error.strerror}"


def explain_shortage(error: OSError, model: str) -> str:
    """Return what there was too little of to start serving; raise any other error again."""
    if error.errno not in SHORTAGES:
        raise error
    return f"{model} cannot start: out of {SHORTAGES[error.errno]}"


def command() -> NoReturn:
    """Run as the console script: `main`, with its result as the exit status."""
    sys.exit(main())


if __name__ == "__main__":
    command()
