"""The command `python -m concurrency_models.run`: one server, one model, until Ctrl-C."""

import argparse
import difflib
import errno
import math
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

from concurrency_models.backends import MODELS
from concurrency_models.server import Server, Settings, address_text, open_listener
from concurrency_models.talk import FRAMINGS, LARGEST_LENGTH, Terms

USAGE_ERROR: Final = 2
FAILURE: Final = 1
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as the command line `arguments` say; return the exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.list:
        print_models()
        return 0
    model = MODELS.get(options.model)
    if model is None:
        near = difflib.get_close_matches(options.model, MODELS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(MODELS)}"
        parser.error(f"there is no model {options.model!r}; {hint} (--list describes them)")
    if missing := model.unavailable():
        return complain(f"the model {model.name!r} cannot run here: {missing}")
    settings = settings_of(options)
    try:
        listener = open_listener(settings)
    except OSError as error:
        return complain(explain(error, settings))
    multiprocessing.set_start_method(options.start_method)
    serve = model.load()
    with listener:
        server = Server(settings, listener)
        stop_on_signals(server)
        where = address_text(listener.getsockname())
        print(f"{model.name}: listening on {where} (Ctrl-C stops)", flush=True)
        started = time.monotonic()
        serve(server)
    uptime = time.monotonic() - started
    clients = "1 client" if server.accepted == 1 else f"{server.accepted} clients"
    print(f"{model.name}: served {clients} in {uptime:.1f} s", flush=True)
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m concurrency_models.run",
        description="Serve many clients over TCP the way one model of concurrency does it.",
        epilog="Try it: --framing line, and in another terminal: nc 127.0.0.1 8008",
    )
    default = Settings()
    add = parser.add_argument
    add(
        "--model",
        default="iterative",
        metavar="NAME",
        help="how to serve many clients, see --list (default: %(default)s)",
    )
    add(
        "--list",
        action="store_true",
        help="show the models and whether they can run here, and exit",
    )
    add("--host", default=default.host, help="address to listen on (default: %(default)s)")
    add(
        "--port",
        type=whole_number(0, 65535),
        default=default.port,
        metavar="N",
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    add(
        "--backlog",
        type=whole_number(0, 65535),
        default=default.backlog,
        metavar="N",
        help="connections the kernel queues before they are accepted (default: %(default)s)",
    )
    add(
        "--framing",
        choices=list(FRAMINGS),
        default=default.terms.framing,
        help="how messages are told apart: a 4-byte length in front, a newline behind, or not at"
        " all (default: %(default)s)",
    )
    add(
        "--reply-prefix",
        type=os.fsencode,
        default=default.terms.reply_prefix,
        metavar="TEXT",
        help="what the server puts before the message that it sends back (default: 'received: ')",
    )
    add(
        "--max-message",
        type=whole_number(1, LARGEST_LENGTH),
        metavar="BYTES",
        default=default.terms.max_message,
        help="longest message that is answered (default: %(default)s)",
    )
    add(
        "--max-clients",
        type=whole_number(1, 10_000_000),
        metavar="N",
        help="clients served at a time; the others wait in the kernel's queue (default: no limit)",
    )
    add(
        "--idle-timeout",
        type=seconds(0.001),
        metavar="S",
        help="part with a client that is silent, or leaves its replies unread, for so long"
        " (default: never)",
    )
    add(
        "--grace",
        type=seconds(0.0),
        default=default.grace,
        metavar="S",
        help="seconds that stopping may take (default: %(default)g)",
    )
    add(
        "--start-method",
        choices=multiprocessing.get_all_start_methods(),
        metavar="METHOD",
        default=default_start_method(),
        help="how processes are started: %(choices)s (default: %(default)s)",
    )
    add("-v", "--verbose", action="store_true", help="print a line for each connection and message")
    return parser


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`, both included."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return number

    return parse


def seconds(least: float) -> Callable[[str], float]:
    """Return a parser of times of `least` seconds or more, up to a day."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= 86_400:  # false for nan as well
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number of seconds from {least:g} to 86400"
            )
        return number

    return parse


def default_start_method() -> str:
    """Return `fork` where the platform has it, as it is by far the cheapest: 4 ms to spawn's 87."""
    methods = multiprocessing.get_all_start_methods()
    return "fork" if "fork" in methods else methods[0]


def settings_of(options: argparse.Namespace) -> Settings:
    """Return what the parsed command line asks for."""
    return Settings(
        host=options.host,
        port=options.port,
        backlog=options.backlog,
        terms=Terms(
            framing=options.framing,
            reply_prefix=options.reply_prefix,
            max_message=options.max_message,
        ),
        max_clients=options.max_clients,
        idle_timeout=options.idle_timeout,
        grace=options.grace,
        verbose=options.verbose,
    )


def print_models() -> None:
    """Print a table of the models: name, how it serves, whether it can run here."""
    width = max(map(len, MODELS))
    how = max(len(model.summary) for model in MODELS.values())
    print(f"{'model':{width}}  {'how it serves':{how}}  here")
    for model in MODELS.values():
        print(f"{model.name:{width}}  {model.summary:{how}}  {model.unavailable() or 'available'}")


def stop_on_signals(server: Server) -> None:
    """Let Ctrl-C and SIGTERM stop the server in order, and a second one end it at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if server.stopping:
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(INTERRUPTED)
        server.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.set_wakeup_fd(server.wake_descriptor, warn_on_full_buffer=False)


def complain(text: str) -> int:
    """Print a line about what went wrong on standard error; return the exit status."""
    print(f"concurrency_models: {text}", file=sys.stderr)
    return FAILURE


def explain(error: OSError, settings: Settings) -> str:
    """Return what kept us from listening, and what to do about it."""
    host, port = settings.host, settings.port
    if isinstance(error, socket.gaierror):
        return f"the host {host!r} does not resolve; --host takes a name or address of this machine"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use: another server is listening there;"
            " stop it, or choose a --port (0 picks a free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs root's rights; choose a --port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; --host 127.0.0.1 always is"
    return f"cannot listen on {host} port {port}: {error.strerror}"


def command() -> NoReturn:
    """Run as the console script: `main`, with its result as the exit status."""
    sys.exit(main())


if __name__ == "__main__":
    command()
