"""What the command line of `concurrency_models.run` means: its options, checked, as `Settings`."""

import argparse
import math
import multiprocessing
import os
from collections.abc import Callable

from concurrency_models import __version__
from concurrency_models.parser import Parser
from concurrency_models.settings import FAMILIES, TRANSPORTS, Settings
from concurrency_models.systems import LONGEST_PATH
from concurrency_models.talk import FRAMINGS, LARGEST_LENGTH, TALK_KINDS, Terms


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="python -m concurrency_models.run",
        allow_abbrev=False,
        usage="%(prog)s [MODEL] [options]",
        description="Serve many clients over TCP the way one model of concurrency does it.",
        epilog="Try it: --framing line, and in another terminal: nc 127.0.0.1 8008",
    )
    parser.speaker = "concurrency_models"
    default = Settings()
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="the same as --model MODEL")
    add(
        "--model",
        action="append",
        dest="models_by_option",
        default=[],
        metavar="NAME",
        help="how to serve many clients, see --list (default: iterative)",
    )
    add(
        "--list",
        action="store_true",
        help="show the models and whether they can run here, and exit",
    )
    add(
        "--family",
        choices=list(FAMILIES),
        default=default.family,
        help="IPv4, IPv6, or a socket file on this machine (default: %(default)s)",
    )
    add("--host", help="address to listen on (default: 127.0.0.1, or ::1 with --family inet6)")
    add(
        "--port",
        type=whole_number(0, 65535),
        metavar="N",
        help=f"port to listen on; 0 picks a free one (default: {default.port})",
    )
    add("--path", default="", metavar="FILE", help="the socket file, with --family unix")
    add(
        "--transport",
        choices=TRANSPORTS,
        default=default.transport,
        help="connections, or single datagrams without framing (default: %(default)s)",
    )
    add(
        "--backlog",
        type=whole_number(0, 65535),
        default=default.backlog,
        metavar="N",
        help="connections the kernel queues before they are accepted (default: %(default)s)",
    )
    add(
        "--nodelay",
        choices=("on", "off"),
        default="on",
        help="TCP_NODELAY: send small replies at once, or hold each back until the client has"
        " confirmed the one before (default: %(default)s)",
    )
    add(
        "--framing",
        choices=list(FRAMINGS),
        default=default.terms.framing,
        help="how messages are told apart: a 4-byte length in front, a newline behind, or not at"
        " all (default: %(default)s)",
    )
    add(
        "--talk",
        choices=TALK_KINDS,
        default=default.terms.kind,
        help="send a greeting and close; answer one message and close; or answer messages until the"
        " client hangs up (default: %(default)s)",
    )
    add(
        "--work",
        action="store_true",
        help="let a message ask for work: 'fib N' holds the GIL, 'sha256 KIB' releases it, 'sleep"
        " MS' blocks",
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
        "--workers",
        type=whole_number(1, 10_000),
        metavar="N",
        help="threads or processes in the pool of a model that has one (default: the model's own)",
    )
    add(
        "--idle-timeout",
        type=seconds(0.001),
        metavar="S",
        help="part with a client that is silent, or leaves its replies unread, for so long"
        " (default: never)",
    )
    add(
        "--switch-interval",
        type=seconds(0.000_001),
        metavar="S",
        help="how long a thread may keep the GIL while another waits for it, in every process of"
        " the server, such as 0.0001 (default: Python's own, 0.005)",
    )
    add(
        "--message-timeout",
        type=seconds(0.001),
        metavar="S",
        help="part with a client that takes longer over one message, however steadily it sends"
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
        help=f"how processes are started: %(choices)s (default: {default_start_method()})",
    )
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add(
        "--trace",
        default=default.trace,
        metavar="FILE",
        help="write to FILE who was served when, as lines of JSON: each client's coming and going,"
        " and when its messages were received, answered and sent",
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


def model_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """Return the name of the one model that is asked for; exit with a line if there are several."""
    texts = ",".join([*options.models, *options.models_by_option]).split(",")
    names = list(dict.fromkeys(filter(None, texts))) or ["iterative"]
    if len(names) > 1:
        parser.error(
            f"a server has one model: start {' and '.join(names)} in a terminal each, with a --port"
            f" each, or compare them: python -m loadgen --model {','.join(names)}"
        )
    return names[0]


def settings_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Settings:
    """Return what the parsed command line asks for; exit with a line if it contradicts itself."""
    unix = options.family == "unix"
    if unix and not options.path:
        parser.error("--family unix needs --path, the socket file to listen on")
    if unix and options.host:
        parser.error("--family unix has no --host: only this machine sees its socket file")
    if unix and options.port:  # 0 is for any place that is free
        parser.error("--family unix has no --port: its --path says where it listens")
    if options.path and not unix:
        parser.error("--path goes with --family unix")
    if len(os.fsencode(options.path)) > LONGEST_PATH:
        parser.error(
            f"a socket file's path has {LONGEST_PATH} bytes at most; choose a shorter --path"
        )
    if options.framing == "line" and b"\n" in options.reply_prefix:
        parser.error("under --framing line a newline ends a message: the --reply-prefix has one")
    if options.transport == "udp" and unix:
        parser.error("--transport udp goes with --family inet or inet6")
    if options.transport == "udp" and options.talk != "loop":
        parser.error(f"--talk {options.talk} ends by closing, and UDP has nothing to close")
    if options.transport == "udp" and options.framing != Terms().framing:
        parser.error(
            f"--framing {options.framing} is for a stream; leave it out with --transport udp, where"
            " a datagram is a message"
        )
    if options.trace and options.transport == "udp":
        parser.error("--trace follows connections, and --transport udp has none")
    if options.trace and options.verbose:
        parser.error("--trace writes what -v would print: give one of them")
    return Settings(
        family=options.family,
        host=options.host or FAMILIES[options.family],
        port=Settings().port if options.port is None else options.port,
        path=options.path,
        transport=options.transport,
        backlog=options.backlog,
        nodelay=options.nodelay == "on",
        terms=Terms(
            framing=options.framing,
            reply_prefix=options.reply_prefix,
            max_message=options.max_message,
            kind=options.talk,
            work=options.work,
        ),
        max_clients=options.max_clients,
        idle_timeout=options.idle_timeout,
        message_timeout=options.message_timeout,
        switch_interval=options.switch_interval,
        grace=options.grace,
        workers=options.workers,
        verbose=options.verbose,
        trace=os.path.abspath(options.trace) if options.trace else "",
    )
