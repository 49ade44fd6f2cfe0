"""The command `python -m loadgen`: from the options to runs, tables, a saved result and a status.

Whatever was measured is tabulated and saved, however the command ends.
"""

import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from concurrency_models import __version__
from loadgen.cluster.cluster import cluster
from loadgen.command.finishing import Finishing
from loadgen.command.machines import check_cluster, wanted_of
from loadgen.command.parser import make_parser
from loadgen.command.plans import plans_of, seed_of
from loadgen.command.present import check_report, present
from loadgen.command.rates import check_search
from loadgen.command.server_options import check_server_options, joined, models_of
from loadgen.command.session import Session
from loadgen.command.status import INTERRUPTED
from loadgen.fleet.limits import descriptor_problem
from loadgen.fleet.measure import now
from loadgen.judge.curves import P99_BOUND_SECONDS
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record import environment
from loadgen.record.files import check_file, check_folder
from loadgen.record.result import RecordError, Result
from loadgen.show import export
from loadgen.show.figures_help import help_figures


def main(words: Sequence[str]) -> int:
    """Run the command line `words`; return the exit status.

    Raises PlanError, TargetError or RecordError, and KeyboardInterrupt when it was stopped before
    anything was measured.
    """
    asked = make_parser().parse_args(joined(words))
    if asked.help_figures:
        sys.stdout.write(help_figures())
        return 0
    _check_combinations(asked)
    check_report(asked)
    if not asked.no_save:
        check_folder(Path(asked.results))
    for file in (asked.json, asked.export_hdr, asked.export_trace):
        if file not in (None, "-"):
            check_file(Path(file))
    if asked.export_hdr and (problem := export.missing()):
        raise RecordError(problem)
    seed = seed_of(asked)
    plans = plans_of(asked, seed)
    if asked.find_rate:
        check_search(asked, plans)
    _check_use(asked, plans)
    wanted = wanted_of(asked)
    for plan in plans if wanted is None else ():
        if problem := descriptor_problem(plan):
            raise PlanError(problem)

    began = now()
    here = environment.describe()
    with Finishing() as finishing, ExitStack() as stack:
        machines = None if wanted is None else stack.enter_context(cluster(wanted))
        session = Session(asked, plans, seed, here, machines)
        session.run()
        stack.close()
        if not session.runs:
            raise session.failure or KeyboardInterrupt
        finishing.begin()
        result = Result(
            version=__version__,
            what=_slug(session.what),
            command=("python", "-m", "loadgen", *words),
            began=began,
            finished=now(),
            seed=seed,
            environment=here,
            runs=tuple(session.runs),
            ceiling=session.ceiling,
            ceilings=tuple(session.ceilings),
            cut_short=session.cut_short,
            notes=tuple(session.notes),
            p99_bound_seconds=((asked.p99_bound or P99_BOUND_SECONDS) if len(plans) > 1 else None),
            rate_search=session.rate_search,
        )
        status = present(asked, result)
    if session.failure is not None:
        raise session.failure
    return INTERRUPTED if finishing.interrupted else status


def _check_combinations(asked: Namespace) -> None:
    """Refuse options that contradict each other. Raises PlanError."""
    if asked.connect and asked.python:
        raise PlanError(
            "--python is for servers that are started, and --connect drives one that runs already; "
            "give one of them"
        )
    if asked.label and not asked.connect and len(set(models_of(asked.model or []))) > 1:
        raise PlanError("--label names one server; give it with a single --model or --connect")
    if asked.transport == "udp" and asked.framing != Plan(()).framing:
        raise PlanError(
            f"--framing {asked.framing} is for a stream; leave it out with --transport udp, where "
            "a datagram is a message"
        )
    if asked.export_trace and not asked.trace_clients:
        raise PlanError("--export-trace writes what --trace-clients N asks for; give both")
    check_cluster(asked)
    check_server_options(asked.server_options)
    if asked.request is not None and not asked.connect:
        raise PlanError("--request is for a server that is not ours; say where with --connect")


def _check_use(asked: Namespace, plans: Sequence[Plan]) -> None:
    """Refuse options that mean nothing to the loads. Raises PlanError."""
    groups = [group for plan in plans for group in plan.groups]
    paced = bool(asked.find_rate) or any(group.open_loop for group in groups)
    if not paced and any(group.arrivals != Group(1).arrivals for group in groups):
        raise PlanError(
            "arrivals are of messages that are due by the clock; give a --rate as well, or leave "
            "out --arrivals"
        )
    if asked.p99_bound is not None and len(plans) == 1:
        raise PlanError(
            "--p99-bound is for a curve: give several numbers of --clients, or --sweep, or leave "
            "out the bound"
        )


def _slug(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "run"
