"""The command `python -m loadgen lanes`: who ran when, drawn of each model in a run of its own.

A picture and never a measurement: a trace costs time, and a quarter of a second proves no rate.
"""

import argparse
import shlex
import string
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from concurrency_models import __version__
from concurrency_models.parser import Parser
from concurrency_models.talk import FRAMINGS
from loadgen.command.server_options import (
    check_server_options,
    joined,
    models_of,
    server_options,
)
from loadgen.command.status import FAILURE, INTERRUPTED
from loadgen.command.values import number, whole
from loadgen.fleet.conductor import interrupt_sets
from loadgen.fleet.measure import Silent, measure, now
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task
from loadgen.judge.analysis import analyse
from loadgen.judge.lanes import lanes_of, seconds_to_show
from loadgen.plan.endpoint import FAMILIES
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.files import check_file
from loadgen.record.result import RecordError, Result, Run
from loadgen.servers import candidates, interpreters
from loadgen.servers.problem import TargetError
from loadgen.show import report
from loadgen.show.lanes import picture
from loadgen.show.wrapping import columns

MOST_CLIENTS = 20
WARMUP_SECONDS = 0.1


def make_parser() -> argparse.ArgumentParser:
    """The parser of `python -m loadgen lanes`."""
    parser = Parser(
        prog="loadgen lanes",
        usage="python -m loadgen lanes [--model NAME]... [options]",
        allow_abbrev=False,
        description="Draw who ran when: each model serves some clients that ask for work and some "
        "quick ones that do not, for a moment, and each client has a lane. Nothing is measured "
        "that could be compared.",
    )
    add = parser.add_argument
    add(
        "--model",
        action="append",
        metavar="NAME",
        help="draw this model; repeatable; core, stdlib and all name several (core)",
    )
    add(
        "--python",
        action="append",
        metavar="PYTHON",
        help="run the servers under this interpreter, a path or a name; repeatable",
    )
    add(
        "--clients",
        type=whole(0),
        default=2,
        metavar="N",
        help="clients that ask for work, one message after the other (2)",
    )
    add(
        "--quick",
        type=whole(0),
        default=1,
        metavar="N",
        help="clients that ask for none, and think before each message (1)",
    )
    add(
        "--work",
        default="fib:26",
        metavar="KIND:N",
        help="what is asked for: fib:N computes in Python and holds the GIL, sha256:KIB computes "
        "and releases it, sleep:MS blocks (fib:26)",
    )
    add(
        "--think",
        type=number(),
        default=0.01,
        metavar="S",
        help="seconds between a quick client's reply and its next message (0.01)",
    )
    add(
        "--duration",
        type=number(above=0),
        default=0.25,
        metavar="S",
        help="seconds to draw (0.25)",
    )
    add("--family", choices=FAMILIES, default="inet", help="what servers listen on (inet)")
    add(
        "--talk",
        choices=("loop", "once"),
        default="loop",
        help="one connection for all messages of a client, or one for each (loop)",
    )
    add("--framing", choices=list(FRAMINGS), default="length", help="how messages are told apart")
    add(
        "--server-options",
        type=shlex.split,
        default=[],
        metavar="'OPTIONS'",
        help="more options for each server, such as '--workers 2'",
    )
    add(
        "--report",
        metavar="FILE",
        help="write the picture as an HTML page as well (needs the extra 'report')",
    )
    return parser


def main(words: Sequence[str]) -> int:
    """Run the command line `words`, which come after "lanes"; return the exit status.

    Raises PlanError, TargetError when no server can be started, or RecordError when a page cannot
    be written.
    """
    parser = make_parser()
    asked = parser.parse_args(joined(words))
    if not 1 <= asked.clients + asked.quick <= MOST_CLIENTS:
        parser.error(f"a picture has from 1 to {MOST_CLIENTS} clients")
    if asked.report and (problem := report.missing()):
        raise RecordError(problem)
    if asked.report:
        check_file(Path(asked.report))
    check_server_options(asked.server_options)
    plan = plan_of(asked)
    plan.validate()
    began = now()
    names = asked.model or ["core"]
    pythons = [interpreters.own()]
    said: list[str] = []
    if asked.python:
        pythons, said = interpreters.find(asked.python)
        if not pythons:
            raise TargetError("; ".join(said))
    models = list(dict.fromkeys(models_of(names)))
    able, left_out = candidates.choose(models, names, plan, pythons)
    for line in (*said, *left_out):
        print(f"loadgen: {line}", file=sys.stderr)
    stop = threading.Event()
    runs: dict[str, Run] = {}
    for one in able:
        options = tuple(server_options(plan, asked.server_options))
        server = ModelServer(one.model, options, one.python)
        try:
            with interrupt_sets(stop):
                run = measure(Task(one.name, server, plan), Silent(), stop)
        except KeyboardInterrupt:
            stop.set()
        if stop.is_set():
            break
        runs[one.name] = run
    if stop.is_set() and not runs:
        raise KeyboardInterrupt
    seconds = seconds_to_show(runs.values())
    found = {
        name: lanes for name, run in runs.items() if seconds and (lanes := lanes_of(run, seconds))
    }
    for name, run in runs.items():
        if name not in found:
            why = run.problem or "there was no time to see anything, give a longer --duration"
            print(f"loadgen: {name}: {why}", file=sys.stderr)
    if found:
        print(picture(found, columns()), flush=True)
    if found and asked.report:
        result = Result(
            version=__version__,
            what="lanes",
            command=("python", "-m", "loadgen", "lanes", *words),
            began=began,
            finished=now(),
            seed=plan.seed,
            environment=environment.describe(),
            runs=tuple(runs.values()),
        )
        report.write_report([analyse(result)], Path(asked.report), only="running")
    if stop.is_set():
        return INTERRUPTED
    return 0 if len(found) == len(able) else FAILURE


def plan_of(asked: argparse.Namespace) -> Plan:
    """The load to draw: each client is a group of its own, and so has a name of its own."""
    letters = string.ascii_uppercase[: asked.clients]
    quick = ["quick"] if asked.quick == 1 else [f"quick {one + 1}" for one in range(asked.quick)]
    once = 1 if asked.talk == "once" else None
    usual = Group(1, messages_per_connection=once)
    return Plan(
        (
            *(replace(usual, name=letter, work=asked.work) for letter in letters),
            *(replace(usual, name=name, think_seconds=asked.think) for name in quick),
        ),
        family=asked.family,
        talk=asked.talk,
        framing=asked.framing,
        duration_seconds=asked.duration,
        warmup_seconds=WARMUP_SECONDS,
        trace_clients=1,
    )
