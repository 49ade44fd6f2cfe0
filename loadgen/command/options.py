"""The command line as data: what each option means, and the plan that the options amount to.

Values that make no sense are refused here, or by `Plan.validate`, with one line that says what to
write instead.
"""

import argparse
import difflib
import ipaddress
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn, TypeVar

from concurrency_models import __version__
from concurrency_models.backends import MODELS
from concurrency_models.talk import FRAMINGS, TALKS
from loadgen.judge.curves import P99_BOUND_SECONDS
from loadgen.judge.requirement import RequirementError
from loadgen.judge.requirement import parse as parse_requirement
from loadgen.plan.endpoint import FAMILIES, TRANSPORTS, Endpoint
from loadgen.plan.group import ARRIVALS, Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record import environment

USAGE_ERROR = 2
DEFAULT_HOSTS = {"inet": "127.0.0.1", "inet6": "::1"}
DEFAULT_PORT = 8008
DEFAULT_CLIENTS = 100
DEFAULT_SECONDS = 3.0
DEFAULT_TRIALS = 3
# What is not answered over TCP is late. A datagram is lost, and its client does nothing meanwhile.
DEFAULT_TIMEOUTS = {"tcp": 10.0, "udp": 1.0}
MODEL_GROUPS = ("core", "stdlib", "all")

Value = TypeVar("Value")

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.?)", re.DOTALL)
_SIZE = re.compile(r"(\d+)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit as a usage error."""
        print(f"{self.prog}: {message} (--help explains the options)", file=sys.stderr)
        raise SystemExit(USAGE_ERROR)


def make_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen`; `experiment`, `diff` and `report` have their own."""
    parser = Parser(
        prog="loadgen",
        usage="python -m loadgen [options]\n       python -m loadgen experiment NAME...\n"
        "       python -m loadgen diff A B\n       python -m loadgen report RESULT...",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Put the load of many clients on a server and tabulate what they and the server saw.\n"
            "Without --connect and --model it drives the server on 127.0.0.1:8008, and where there "
            "is\nnone, starts the five models of the course in turn and compares them."
        ),
        epilog=(
            "examples:\n"
            "  python -m loadgen --clients 100\n"
            "  python -m loadgen --model thread --model selectors --clients 1000 --trials 5\n"
            "  python -m loadgen --clients 1,10,100,1000\n"
            "  python -m loadgen --model thread --python python3.11 --python python3.13\n"
            "  python -m loadgen --model selectors --rate 5000 --arrivals poisson\n"
            "  python -m loadgen --model thread --group name=slow,clients=5,size=64KiB,think=0.1\n"
            "  python -m loadgen --connect 127.0.0.1:6379 --request 'PING\\r\\n' "
            "--reply '+PONG\\r\\n'\n"
            "  python -m loadgen --model selectors --connect 127.0.0.1:7000 --reply-prefix '' "
            "--label theirs\n"
            "  python -m loadgen experiment --list\n"
            "  python -m loadgen diff results/A results/B\n"
            "exit status: 0 every reply was right, 1 some were wrong or failed or a requirement is "
            "not met,\n2 usage, 130 cut short by Ctrl-C"
        ),
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_servers(parser.add_argument_group("what to put it on"))
    _add_load(parser.add_argument_group("the load"))
    _add_measurement(parser.add_argument_group("the measurement"))
    _add_output(parser.add_argument_group("the result"))
    return parser


def make_diff_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen diff`."""
    parser = Parser(
        prog="loadgen diff",
        usage="python -m loadgen diff A B",
        allow_abbrev=False,
        description="Two saved results side by side: what B is, as a ratio to A.",
    )
    parser.add_argument("a", metavar="A", help="a saved result: its folder, or its run.json")
    parser.add_argument("b", metavar="B", help="the one to compare with it")
    return parser


def make_report_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen report`."""
    parser = Parser(
        prog="loadgen report",
        usage="python -m loadgen report RESULT... [--output FILE]",
        allow_abbrev=False,
        description="Saved results as one HTML page with charts that needs no network; several "
        "stand side by side under the letters A, B and so on (needs the extra 'report').",
    )
    parser.add_argument(
        "results", nargs="+", metavar="RESULT", help="a saved result: its folder, or its run.json"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write it (default: report.html beside the result; with several results, in "
        "this folder)",
    )
    return parser


def _add_servers(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--connect",
        type=endpoint,
        metavar="HOST:PORT",
        help="a server that runs already, also [::1]:8008 and unix:PATH (default: 127.0.0.1:8008)",
    )
    add(
        "--model",
        action="append",
        metavar="NAME",
        help="start this model and stop it afterwards; repeatable; core, stdlib and all name "
        "several (python -m concurrency_models.run --list describes them)",
    )
    add(
        "--python",
        action="append",
        metavar="PYTHON",
        help="start the servers under this interpreter, a path or a name; repeatable, each model "
        "then runs under each; nothing needs to be installed there",
    )
    add(
        "--server-options",
        type=shlex.split,
        default=[],
        metavar="'OPTIONS'",
        help="more options for each server that is started, such as '--backlog 5'",
    )
    add(
        "--family",
        choices=FAMILIES,
        help="what servers that are started listen on: IPv4, IPv6, or a socket file, which is "
        "removed afterwards; with --connect, what its name means (inet)",
    )
    add(
        "--transport",
        choices=TRANSPORTS,
        default="tcp",
        help="connections, or single datagrams: those lost, late and doubled are counted then "
        "(tcp)",
    )
    add(
        "--talk",
        choices=TALKS,
        default="loop",
        help="what the server does with a connection: send a greeting and close it, answer one "
        "message and close it, or answer until the client hangs up; servers that are started do "
        "the same (loop)",
    )
    add("--label", metavar="NAME", help="what to call the server in tables and comparisons")
    add(
        "--i-may-load-this-host",
        action="store_true",
        help="allow an address that is not this machine's loopback: a load test looks like an "
        "attack to whoever runs the other end, so have their consent",
    )


def _add_load(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--clients",
        type=several(whole(1)),
        metavar="N[,N...]",
        help=f"how many clients talk at the same time; several numbers make a curve (default: "
        f"{DEFAULT_CLIENTS})",
    )
    length = group.add_mutually_exclusive_group()
    length.add_argument(
        "--duration",
        type=number(above=0),
        metavar="S",
        help=f"seconds to measure (default: {DEFAULT_SECONDS:g})",
    )
    length.add_argument(
        "--messages",
        type=whole(1),
        metavar="M",
        help="messages that each client sends, in place of a duration; then there is no warm-up",
    )
    add(
        "--size", type=size, default=64, metavar="BYTES", help="bytes of a message, also 64KiB (64)"
    )
    add(
        "--work",
        metavar="KIND:N",
        help="each message asks our server for work: fib:25 computes in Python and holds the GIL, "
        "sha256:KIB computes and releases it, sleep:MS blocks",
    )
    add(
        "--think",
        type=think,
        default=(0.0, "constant"),
        metavar="S",
        help="seconds between a reply and the next message; exp:S draws them at random with that "
        "mean (0)",
    )
    add(
        "--rate",
        type=number(above=0),
        metavar="R",
        help="open loop: R messages/s over all clients, however slowly the server answers; latency "
        "then counts from when a message was due",
    )
    add(
        "--arrivals",
        choices=ARRIVALS,
        default="constant",
        help="with --rate: evenly spaced, or at random like independent users (constant)",
    )
    add(
        "--churn",
        type=whole(1),
        metavar="K",
        help="close each connection after K messages and open a new one",
    )
    add(
        "--idle",
        type=whole(1),
        metavar="N",
        help="N more clients that connect, hold the connection and say nothing",
    )
    add(
        "--group",
        action="append",
        default=[],
        metavar="'name=slow,clients=5,...'",
        help="more clients that behave otherwise, with a row of their own; keys: name, clients, "
        "size, think, rate, arrivals, churn, work, request, reply; what is not given is as for the "
        "rest; repeatable",
    )
    add(
        "--sweep",
        type=sweep,
        metavar="NAME=V,V[,...]",
        help="a curve over another number: size, think or rate, such as size=64,1KiB,16KiB",
    )
    add("--framing", choices=list(FRAMINGS), default="length", help="how messages are told apart")
    add(
        "--reply-prefix",
        type=escaped,
        default=b"received: ",
        metavar="TEXT",
        help="what the server puts before the message that it sends back ('received: ')",
    )
    add(
        "--request",
        type=escaped,
        metavar="BYTES",
        help="for any other server: send exactly this; \\r \\n \\t \\0 \\\\ \\xNN as in Python",
    )
    add("--reply", type=escaped, metavar="BYTES", help="with --request: expect exactly this")
    add(
        "--ramp",
        type=number(),
        default=0.0,
        metavar="S",
        help="spread the connecting over S seconds (0)",
    )
    add("--connect-rate", type=number(above=0), metavar="R", help="connect at most R clients/s")
    add(
        "--timeout",
        type=number(above=0),
        metavar="S",
        help=f"give up on a connect or a reply after S seconds ({DEFAULT_TIMEOUTS['tcp']:g}; "
        f"{DEFAULT_TIMEOUTS['udp']:g} over UDP, where it means that a datagram was lost)",
    )


def _add_measurement(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--warmup",
        type=number(),
        default=0.5,
        metavar="S",
        help="seconds to leave out of the figures before measuring (0.5); up to 5 more while "
        "clients still get their first reply, unless it is 0",
    )
    add(
        "--trials",
        type=whole(1),
        metavar="K",
        help=f"measure each server K times, in random order ({DEFAULT_TRIALS} when comparing, "
        "else 1)",
    )
    add(
        "--workers",
        type=workers,
        default=1,
        metavar="N",
        help="processes that put the load on; auto: a core for each, one left to the server (1)",
    )
    add("--pin", action="store_true", help="keep workers and server on cores of their own")
    add(
        "--seed",
        type=whole(0),
        metavar="N",
        help="for the order of runs and all random choices (default: a new one, which is saved)",
    )
    add(
        "--no-ceiling",
        action="store_true",
        help="do not measure what the load generator could do at most",
    )
    add(
        "--require",
        action="append",
        default=[],
        type=requirement,
        metavar="'FIGURE >= X'",
        help="exit 1 unless every server reaches this, such as 'messages_per_second >= 20000' or "
        "'latency_seconds.p99 < 0.005'; repeatable",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--p99-bound",
        type=number(above=0),
        default=P99_BOUND_SECONDS,
        metavar="S",
        help=f"for a curve: up to how many seconds a p99 is good enough ({P99_BOUND_SECONDS:g})",
    )
    add("--results", default="results", metavar="DIR", help="where to save the result (results)")
    add("--no-save", action="store_true", help="do not save the result")
    add(
        "--json",
        metavar="FILE",
        help="write the result as JSON as well; '-' for standard output, tables then go to stderr",
    )
    add(
        "--export-hdr",
        metavar="FILE",
        help="write the latencies as an HdrHistogram log (needs the extra 'hdr')",
    )
    add(
        "--report",
        action="store_true",
        help="write report.html, a page with charts, beside the saved result (needs the extra "
        "'report')",
    )
    add("-q", "--quiet", action="store_true", help="show no progress")


def plans_of(options: argparse.Namespace, seed: int) -> list[Plan]:
    """The plans that the options amount to: one, or one for each point of a curve.

    Raises PlanError when one cannot be carried out, or they make no curve.
    """
    clients: Sequence[int | None] = options.clients or (None,)
    if len(clients) > 1 and options.sweep:
        raise PlanError(
            "a curve runs over one number: give several numbers of --clients, or --sweep"
        )
    name, values = options.sweep or ("clients", clients)
    plain = {**vars(options), "clients": clients[0]}
    plans = [plan_of(argparse.Namespace(**{**plain, name: value}), seed) for value in values]
    talking = [group for group in plans[0].groups if not group.silent]
    if len(plans) > 1 and len(talking) > 1:
        raise PlanError(
            "a curve needs clients that behave alike: leave out --group, or give one number"
        )
    return plans


def plan_of(options: argparse.Namespace, seed: int) -> Plan:
    """The plan that the options amount to. Raises PlanError when it cannot be carried out."""
    endpoint = endpoint_of(options)
    think_seconds, distribution = options.think
    usual = Group(
        clients=options.clients or DEFAULT_CLIENTS,
        size_bytes=options.size,
        think_seconds=think_seconds,
        think_distribution=distribution,
        rate_per_second=options.rate,
        arrivals=options.arrivals,
        # A server that closes after one message leaves no choice.
        messages_per_connection=options.churn or (None if options.talk == "loop" else 1),
        request=options.request,
        reply=options.reply,
        work=options.work,
    )
    others = [parse_group(text, usual) for text in options.group]
    if options.idle is not None:
        others.append(Group(clients=options.idle, name="idle", silent=True))
    groups = [replace(usual, name="main" if others else "all")]
    if options.clients is None and options.group:
        groups = []  # the groups that were described are all there are
    plan = Plan(
        groups=(*groups, *others),
        family=options.family or "inet" if endpoint is None else endpoint.family,
        transport=options.transport,
        talk=options.talk,
        framing=options.framing,
        reply_prefix=options.reply_prefix,
        duration_seconds=None if options.messages else options.duration or DEFAULT_SECONDS,
        messages_per_client=options.messages,
        warmup_seconds=options.warmup,
        timeout_seconds=options.timeout or DEFAULT_TIMEOUTS[options.transport],
        ramp_seconds=options.ramp,
        connect_rate=options.connect_rate,
        workers=options.workers,
        seed=seed,
        pin=options.pin,
    )
    plan.validate()
    return plan


def endpoint_of(options: argparse.Namespace) -> Endpoint | None:
    """Where a server is to be found that runs already, whether or not one does.

    As --connect says, else the usual port; None for a socket file that nobody named. Raises
    PlanError when --connect and --family contradict each other.
    """
    family = options.family or "inet"
    given: Endpoint | None = options.connect
    if given is None:
        if family not in DEFAULT_HOSTS:
            return None
        return Endpoint(family, DEFAULT_HOSTS[family], DEFAULT_PORT, transport=options.transport)
    if options.family not in (None, given.family):
        if given.family == "unix" or options.family == "unix" or _is_numeric(given.host):
            raise PlanError(f"{given} is no {family} address; leave out --family")
        given = replace(given, family=family)
    return replace(given, transport=options.transport)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def parse_group(text: str, usual: Group) -> Group:
    r"""A group as `--group` describes it: key=value pairs between commas, the rest as usual.

    Raises PlanError. A comma within a request is written \x2c.
    """
    found = replace(usual, name="", clients=0)
    for pair in text.split(","):
        key, sign, value = pair.strip().partition("=")
        if not sign or key not in _GROUP_KEYS:
            near = difflib.get_close_matches(key, _GROUP_KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"keys are {', '.join(_GROUP_KEYS)}"
            raise PlanError(f"--group: cannot read {pair!r}; write key=value, {hint}")
        try:
            found = _GROUP_KEYS[key](found, value)
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise PlanError(f"--group: {key}: {error}") from None
    if not found.name or not found.clients:
        raise PlanError(f"--group {text!r} needs a name and clients: 'name=slow,clients=5'")
    return found


def _thinking(group: Group, value: str) -> Group:
    seconds, distribution = think(value)
    return replace(
        group, think_seconds=seconds, think_distribution=distribution, rate_per_second=None
    )


_GROUP_KEYS: dict[str, Callable[[Group, str], Group]] = {
    "name": lambda group, value: replace(group, name=value),
    "clients": lambda group, value: replace(group, clients=whole(1)(value)),
    "size": lambda group, value: replace(group, size_bytes=size(value)),
    "think": _thinking,
    "rate": lambda group, value: replace(
        group, rate_per_second=number(above=0)(value), think_seconds=0.0
    ),
    "arrivals": lambda group, value: replace(group, arrivals=value),
    "churn": lambda group, value: replace(group, messages_per_connection=whole(1)(value)),
    "work": lambda group, value: replace(group, work=value),
    "request": lambda group, value: replace(group, request=escaped(value)),
    "reply": lambda group, value: replace(group, reply=escaped(value)),
}


def models_of(names: Sequence[str]) -> list[str]:
    """The models that `--model` asks for, in the registry's order, each once.

    Raises PlanError for a name that there is none of, with the nearest one.
    """
    wanted = set()
    for name in names:
        if name in MODEL_GROUPS:
            kinds = {"core": ("core",), "stdlib": ("core", "stdlib")}.get(name)
            wanted |= {one.name for one in MODELS.values() if kinds is None or one.group in kinds}
        elif name in MODELS:
            wanted.add(name)
        else:
            near = difflib.get_close_matches(name, [*MODELS, *MODEL_GROUPS], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(MODELS)}"
            raise PlanError(f"there is no model {name!r}; {hint}")
    return [name for name in MODELS if name in wanted]


def server_options(plan: Plan, more: Sequence[str]) -> list[str]:
    """What a server of ours must be told so that it answers as the plan expects."""
    largest = max(group.size_bytes for group in plan.groups)
    options = ["--framing", plan.framing, "--reply-prefix", os.fsdecode(plan.reply_prefix)]
    usual = Plan(())
    for name in ("family", "transport", "talk"):
        if getattr(plan, name) != getattr(usual, name):
            options += [f"--{name}", getattr(plan, name)]
    if largest > 1024 * 1024:  # the server's own limit
        options += ["--max-message", str(largest)]
    if any(group.work is not None for group in plan.groups):
        options.append("--work")
    return [*options, *more]


def without_request(plan: Plan) -> Plan:
    """The same load for a server of ours, to which `--request` and `--reply` mean nothing."""
    groups = (replace(group, request=None, reply=None) for group in plan.groups)
    return replace(plan, groups=tuple(groups))


def endpoint(text: str) -> Endpoint:
    """HOST:PORT, [HOST]:PORT, :PORT, or unix:PATH."""
    if text.startswith("unix:"):
        return Endpoint("unix", path=text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an address; write HOST:PORT with a port from 1 to 65535, such as "
            "127.0.0.1:8008, or unix:PATH"
        )
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    return Endpoint("inet6" if ":" in host else "inet", host, int(port))


def whole(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `least` on."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return value

    return convert


def several(convert: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """A type for argparse: values between commas, each once, in the order given."""

    def convert_all(text: str) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(convert(part.strip()) for part in text.split(",")))

    return convert_all


def sweep(text: str) -> tuple[str, tuple[object, ...]]:
    """NAME=V,V: the option to vary, and its values."""
    kinds: dict[str, Callable[[str], object]] = {
        "size": size,
        "think": think,
        "rate": number(above=0),
    }
    name, _, values = text.partition("=")
    if name == "clients":
        raise argparse.ArgumentTypeError(f"write --clients {values or '1,10,100'} for that")
    if name not in kinds:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no sweep; write {', '.join(kinds)} with values, such as size=64,1KiB"
        )
    found = several(kinds[name])(values)
    if len(found) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} has one value; a curve takes two or more")
    return name, found


def number(above: float | None = None) -> Callable[[str], float]:
    """A type for argparse: a number of 0 or more, or above `above`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        good = math.isfinite(value) and (value >= 0 if above is None else value > above)
        if not good:
            bound = "0 or more" if above is None else f"above {above:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {bound}")
        return value

    return convert


def size(text: str) -> int:
    """A number of bytes: 64, 64KiB, 1M."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 64, 64KiB or 1MiB")
    return int(found[1]) * _UNITS[found[2].upper()]


def think(text: str) -> tuple[float, str]:
    """A think time and its distribution: "0.1", or "exp:0.1" for a mean of 0.1 s."""
    kind, colon, rest = text.partition(":")
    if not colon:
        return number()(text), "constant"
    if kind != "exp":
        raise argparse.ArgumentTypeError(f"{text!r} is not a think time; write 0.1 or exp:0.1")
    return number(above=0)(rest), "exponential"


def workers(text: str) -> int:
    """A number of workers; "auto" leaves one core to the server."""
    if text == "auto":
        return max(1, (environment.usable_cores() or 1) - 1)
    return whole(1)(text)


def escaped(text: str) -> bytes:
    r"""Bytes written as text, with \r \n \t \0 \\ and \xNN as in Python."""
    parts, end = [], 0
    for found in _ESCAPE.finditer(text):
        parts.append(os.fsencode(text[end : found.start()]))
        end = found.end()
        code = found[1]
        if len(code) == 3:
            parts.append(bytes([int(code[1:], 16)]))
        elif code in _ESCAPES:
            parts.append(_ESCAPES[code])
        else:
            raise argparse.ArgumentTypeError(
                f"unknown escape \\{code} in {text!r}; there are \\r \\n \\t \\0 \\\\ and \\xNN"
            )
    parts.append(os.fsencode(text[end:]))
    return b"".join(parts)


def requirement(text: str) -> object:
    """A `Requirement`, for argparse."""
    try:
        return parse_requirement(text)
    except RequirementError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
