"""The options of `python -m loadgen`, in groups as its help shows them."""

import argparse
import shlex
from typing import Final

from concurrency_models import __version__
from concurrency_models.backends import MODELS
from concurrency_models.parser import Parser
from concurrency_models.talk import FRAMINGS, TALK_KINDS
from loadgen.command.enough import DEFAULT_MAX_SECONDS, DEFAULT_PRECISION, DEFAULT_TRIALS
from loadgen.command.plans import (
    DEFAULT_CLIENTS,
    DEFAULT_SECONDS,
    DEFAULT_TIMEOUTS,
    DEFAULT_TURN_SECONDS,
    DEFAULT_WARMUP_SECONDS,
    FEWEST_WORKERS,
    MOST_QUICK_BYTES,
    MOST_QUICK_CLIENTS,
    QUICK_TURN_SECONDS,
    QUICK_TURNS,
    TURN_WARMUP_SECONDS,
    TURNS,
)
from loadgen.command.rates import DEFAULT_RATE_SECONDS, DEFAULT_SEARCH_SECONDS
from loadgen.command.values import (
    bound,
    cluster,
    endpoint,
    escaped,
    names,
    number,
    percent,
    requirement,
    several,
    size,
    sweep,
    think,
    tls,
    whole,
    workers,
)
from loadgen.fleet.turns import MOST_CONNECTIONS
from loadgen.judge.curves import P99_BOUND_SECONDS
from loadgen.plan.endpoint import FAMILIES, TRANSPORTS
from loadgen.plan.group import ARRIVALS

OTHER_COMMANDS: Final = ("experiment", "lanes", "diff", "report")


class _UnderOneName(argparse.Action):
    """Keeps the value of an option with several names, and complains of two that differ."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,  # noqa: ARG002 - argparse passes it
    ) -> None:
        before = getattr(namespace, self.dest)
        if before not in (self.default, values):
            names = " and ".join(self.option_strings)
            parser.error(f"{names} are one option: {before} and {values} differ, give one of them")
        setattr(namespace, self.dest, values)


def make_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen`; `experiment`, `diff` and `report` have their own."""
    parser = Parser(
        prog="loadgen",
        usage="python -m loadgen [options]\n       python -m loadgen experiment NAME...\n"
        "       python -m loadgen lanes [--model NAME]...\n"
        "       python -m loadgen diff A B\n       python -m loadgen report RESULT...",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Put the load of many clients on a server and tabulate what both of them saw.\n"
            "Without --connect and --model it drives the server on 127.0.0.1:8008, and where\n"
            "there is none, starts the five models of the course and compares them.\n\n"
            "other commands, each with a --help of its own:\n"
            "  experiment NAME...    measure what a lesson is about, check what is expected\n"
            "  lanes                 draw who ran when: a lane for each client, of each model\n"
            "  diff A B              two saved results side by side\n"
            "  report RESULT...      saved results as one HTML page with charts"
        ),
        epilog=(
            "examples:\n"
            "  python -m loadgen --clients 100\n"
            "  python -m loadgen --model thread,selectors --clients 1000 --precision 2%\n"
            "  python -m loadgen --clients 1,10,100,1000\n"
            "  python -m loadgen --model thread --python python3.11 --python python3.13\n"
            "  python -m loadgen --model selectors --rate 5000 --arrivals poisson\n"
            "  python -m loadgen --model thread --find-rate 'latency_seconds.p99 < 0.01'\n"
            "  python -m loadgen --model thread --group name=slow,clients=5,think=0.1\n"
            "  python -m loadgen --connect :6379 --request 'PING\\r\\n' --reply '+PONG\\r\\n'\n"
            "  python -m loadgen --model selectors --connect :7000 --label theirs\n"
            "  python -m loadgen --cluster local:3 --clients 100\n"
            "  python -m loadgen experiment --list\n"
            "  python -m loadgen diff results/A results/B\n"
            "  python -m loadgen report results/A\n"
            "exit status: 0 every reply was right and nobody starved whom the model could\n"
            "serve (iterative serves one at a time), 1 some were wrong, failed or left\n"
            "waiting, or a requirement is not met, 2 usage, 130 cut short by Ctrl-C (what was\n"
            "measured until then is tabulated and saved; a second Ctrl-C gives that up)"
        ),
    )
    commands = {name: f"python -m loadgen {name}" for name in OTHER_COMMANDS}
    parser.commands = OTHER_COMMANDS
    parser.words = commands | {name: f"--model {name}" for name in MODELS}
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_servers(parser.add_argument_group("what to put it on"))
    _add_cluster(parser.add_argument_group("on many machines"))
    _add_load(parser.add_argument_group("the load"))
    _add_measurement(parser.add_argument_group("the measurement"))
    _add_output(parser.add_argument_group("the result"))
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
        action="extend",
        type=names,
        metavar="NAME[,NAME...]",
        help="start this model and stop it afterwards; repeatable; core, stdlib and all name "
        "several (python -m concurrency_models.run --list describes them); one that is named "
        "twice is compared with itself, as a control",
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
        choices=TALK_KINDS,
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


def _add_cluster(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--cluster",
        type=cluster,
        metavar="tcp://HOST:PORT",
        help="put the load on from the machines of a Dask cluster, whose scheduler listens there, "
        "also tls://HOST:PORT; local:N starts N workers here, each of which stands for a machine, "
        "to try it (needs the extra 'cluster')",
    )
    add(
        "--serve-on",
        metavar="HOST",
        help="start the servers on this machine of the cluster, and measure them there",
    )
    add(
        "--load-from",
        type=names,
        default=[],
        metavar="HOST[,HOST...]",
        help="put the load on from these machines of the cluster (default: all but the server's); "
        "each has as many load processes as --workers says",
    )
    add(
        "--cluster-tls",
        type=tls,
        metavar="CA,CERT,KEY",
        help="files for a scheduler at tls:// (default: as Dask's own configuration has it)",
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
        help=f"seconds to measure each server in each life or trial (default: "
        f"{QUICK_TURNS * QUICK_TURN_SECONDS:g} in quick turns, {TURNS * DEFAULT_TURN_SECONDS:g} in "
        f"others, else {DEFAULT_SECONDS:g}); a server alone has one window of that length, unless "
        "--lives or --precision say more",
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
        help="clients that behave otherwise, with a row of their own; beside those of --clients "
        "where that is given, else in their place; keys: name, clients, size, think, rate, "
        "arrivals, churn, work, request, reply; what is not given is as for the rest; repeatable",
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
        metavar="S",
        help="seconds to leave out of the figures before measuring "
        f"({TURN_WARMUP_SECONDS:g} in turns, else {DEFAULT_WARMUP_SECONDS:g}); up to 5 more while "
        "clients still get their first reply, unless it is 0",
    )
    add(
        "--turn",
        type=number(above=0),
        metavar="S",
        help="servers that are compared are all up, and their clients connected, and take turns of "
        "about so many seconds in random order, those that wait holding still "
        f"({QUICK_TURN_SECONDS:g} where our models answer at once: without --work, --think, "
        f"--rate or --churn, up to {MOST_QUICK_CLIENTS} clients that talk and "
        f"{MOST_QUICK_BYTES // 1024**2} MiB of messages; else {DEFAULT_TURN_SECONDS:g}); one alone "
        "has all of them. Whole trials are left for "
        "--messages, for --ramp and --connect-rate, which measure the connecting, and for more "
        f"than {MOST_CONNECTIONS:,} connections over all servers",
    )
    add(
        "--lives",
        "--trials",
        dest="trials",
        action=_UnderOneName,
        type=whole(1),
        metavar="K",
        help="start each server K times from nothing, since one may be born slow, and give it its "
        f"turns in each life (default: until sure; whole trials: {DEFAULT_TRIALS} when comparing, "
        "else 1)",
    )
    add(
        "--precision",
        type=percent,
        metavar="P%",
        help="stop as soon as every server's interval is this narrow either way, or the time is up "
        f"({DEFAULT_PRECISION:.0%}% in turns, where no --lives are given)",
    )
    add(
        "--max-seconds",
        type=number(above=0),
        metavar="S",
        help="begin no life that would end later than this; the first one is always measured "
        f"({DEFAULT_MAX_SECONDS:g} for each server and load, where a precision decides)",
    )
    add(
        "--workers",
        type=workers,
        default=FEWEST_WORKERS,
        metavar="N",
        help="processes that put the load on; auto: a core for each, one left to the server; "
        "either way as many as it takes to open a file for each client (1)",
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
    add(
        "--find-rate",
        action="append",
        default=[],
        type=bound,
        metavar="'FIGURE < X'",
        help="search for the highest rate of an open loop at which each server keeps within this, "
        "such as 'latency_seconds.p99 < 0.01' (which is the response time, from when a message was "
        "due); repeatable, for several bounds in one search. The last trials of a rate take "
        f"--duration ({DEFAULT_RATE_SECONDS:g} s) and are --trials ({DEFAULT_TRIALS}), it is found "
        f"to within --precision ({DEFAULT_PRECISION:.0%}%), and the search lasts --max-seconds "
        f"({DEFAULT_SEARCH_SECONDS:g} for each server, half as many more for each further bound)",
    )
    add("--help-figures", action="store_true", help="say what every FIGURE is, and exit")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--p99-bound",
        type=number(above=0),
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
        "--trace-clients",
        type=whole(0),
        default=0,
        metavar="N",
        help="trace the first N clients of each group: servers that are started write down what "
        "they do for them, which costs some time; saved as trace.json, and drawn in a report (0)",
    )
    add(
        "--export-trace",
        metavar="FILE",
        help="write the traces to FILE as well, in the Trace Event format: Perfetto and Chromium's "
        "about:tracing open it",
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
    add(
        "--all-tables",
        action="store_true",
        help="print every table, and what the columns mean; tables.md in the saved result has them "
        "all",
    )
    add("-q", "--quiet", action="store_true", help="show no progress")
