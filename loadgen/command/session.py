"""The runs of one command: servers that are started, one that is there already, or both.

Several take turns, life after life, until they are known well enough; one alone, and what the
reasons in `fleet.turns` leave over, is measured in whole trials.
"""

import contextlib
import random
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from loadgen.command.enough import Enough
from loadgen.command.plans import endpoint_of, in_turns
from loadgen.command.server_options import models_of, server_options, without_request
from loadgen.fleet.ceiling import ceiling_needed, measure_ceiling
from loadgen.fleet.cores import server_cores
from loadgen.fleet.limits import port_warning
from loadgen.fleet.measure import measure
from loadgen.fleet.server import FoundServer, ModelServer, Server
from loadgen.fleet.task import Task, tasks_of
from loadgen.fleet.turns import measure_in_turns, whole_trials_because
from loadgen.judge.rows import load_of
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.result import Ceiling, Run
from loadgen.servers import candidates, interpreters
from loadgen.servers.found import find, listens, probe
from loadgen.servers.problem import TargetError
from loadgen.show import curve_tables
from loadgen.show.progress import Progress


class _Keeper:
    """A watcher that keeps each run the moment it has ended, before anybody is told of it."""

    def __init__(self, runs: list[Run], progress: Progress) -> None:
        self._runs = runs
        self._progress = progress
        self.begin, self.turn, self.event = progress.begin, progress.turn, progress.event

    def end(self, name: str, run: Run) -> None:
        self._runs.append(run)
        self._progress.end(name, run)


class Session:
    """The runs of one command, and what was learned beside them."""

    def __init__(self, asked: Namespace, plans: Sequence[Plan], seed: int) -> None:
        self.runs: list[Run] = []
        self.ceiling: Ceiling | None = None
        self.ceilings: list[Ceiling] = []
        self.cut_short = False
        self.failure: Exception | None = None
        self.notes: list[str] = []
        self.what = "compare"
        self._asked, self._plans, self._seed = asked, plans, seed
        self._plan = plans[0]
        self._stop = threading.Event()

    def run(self) -> None:
        """Do what was asked for. Ctrl-C ends it early and leaves what was measured in `runs`."""
        asked = self._asked
        if asked.model and asked.connect:
            beside = self._allowed(endpoint_of(asked))
            self._compare(models_of(asked.model), by_name=asked.model, beside=beside)
            return
        if asked.model or asked.python:
            names = asked.model or ["core"]
            self._compare(models_of(names), by_name=names)
            return
        endpoint = endpoint_of(asked)
        if endpoint is None or (asked.connect is None and not listens(endpoint)):
            why = "no server is named" if endpoint is None else f"nobody listens on {endpoint}"
            print(
                f"loadgen: {why}, so the models of the course are started here in turn and "
                "compared (--help shows other ways)",
                file=sys.stderr,
            )
            self._compare(models_of(["core"]), by_name=["core"])
            return
        self._drive(self._allowed(endpoint))

    def _compare(
        self, models: Sequence[str], by_name: Sequence[str], beside: Endpoint | None = None
    ) -> None:
        """Start each model and measure it, in turn with a server that is there already."""
        asked = self._asked
        label = None if beside else asked.label
        pythons = [interpreters.own()]
        if asked.python:
            pythons, said = interpreters.find(asked.python)
            if not pythons:
                raise TargetError("; ".join(said))
            self.notes += said
        able, said = candidates.choose(models, by_name, self._plan, pythons, label)
        self.notes += said
        servers: dict[str, Server] = {
            one.name: ModelServer(one.model, python=one.python) for one in able
        }
        if beside is not None:
            name, found = self._find(beside)
            if name in servers:
                raise PlanError(
                    f"the server at {beside} would be called {name} as well; give it a --label"
                )
            servers[name] = found
        self._hint_at_cores()
        self._measure(servers)

    def _drive(self, endpoint: Endpoint) -> None:
        """Measure a server that is there already."""
        name, found = self._find(endpoint)
        self._measure({name: found})

    def _measure(self, servers: Mapping[str, Server]) -> None:
        """Every server under every plan, until it is enough, by the names they are to go by."""
        several = len(servers) > 1
        self.what = "compare" if several else next(iter(servers))
        plans = [in_turns(plan, self._asked) for plan in self._plans] if several else self._plans
        alone = [whole_trials_because(self._life(servers, [plan], 1)) for plan in plans]
        reason = next((why for why in alone if why), None)
        if reason:
            plans = self._plans
            if several:
                self.notes.append(f"the servers took no turns but had whole trials: {reason}")
        enough = Enough(self._asked, len(servers) * len(plans), in_turns=reason is None)
        measure_once = self._measure_whole if reason else self._measure_in_turns
        with self._keeping(), self._progress(servers, enough.lives) as progress:
            keeper = _Keeper(self.runs, progress)
            for number in count(1):
                measure_once(servers, plans, number, keeper)
                if self._stop.is_set():
                    break
                over, why = enough.verdict(self.runs)
                if over:
                    self.notes += [why] if why else []
                    break
            self._find_ceiling(progress)

    def _life(
        self, servers: Mapping[str, Server], plans: Sequence[Plan], number: int
    ) -> list[Task]:
        """One life, or trial, of every server under every plan, in a random order."""
        return [self._fitted(task) for task in tasks_of(servers, plans, number, self._seed)]

    def _measure_in_turns(
        self, servers: Mapping[str, Server], plans: Sequence[Plan], number: int, keeper: _Keeper
    ) -> None:
        """A life for each load, in a random order, in which all servers take turns."""
        order = random.Random(f"{self._seed} {number}")
        for plan in order.sample(list(plans), len(plans)):
            tasks = self._life(servers, [plan], number)
            measure_in_turns(tasks, self._seed + number, keeper, self._stop)
            if self._stop.is_set():
                return

    def _measure_whole(
        self, servers: Mapping[str, Server], plans: Sequence[Plan], number: int, keeper: _Keeper
    ) -> None:
        """A trial of every server under every plan, one after the other."""
        for task in self._life(servers, plans, number):
            measure(task, keeper, self._stop)
            if self._stop.is_set():
                return

    def _fitted(self, task: Task) -> Task:
        """A task with what was asked for its kind of server."""
        asked, server = self._asked, task.server
        if not isinstance(server, ModelServer):
            return replace(task, label=asked.label)
        # A request is for somebody else's server, as is a label where there is one.
        plan = without_request(task.plan)
        told = tuple(server_options(plan, asked.server_options))
        label = None if asked.connect else asked.label
        return replace(task, plan=plan, server=replace(server, options=told), label=label)

    def _allowed(self, endpoint: Endpoint | None) -> Endpoint:
        """The endpoint as a number, if it may be loaded. Raises PlanError."""
        assert endpoint is not None, "--connect or the usual port names one"
        endpoint = endpoint.resolved()
        if not endpoint.is_loopback and not self._asked.i_may_load_this_host:
            raise PlanError(
                f"{endpoint} is not a loopback address: a load test looks like an attack to "
                "whoever runs the other end. With their consent, repeat the command with "
                "--i-may-load-this-host"
            )
        return endpoint

    def _find(self, endpoint: Endpoint) -> tuple[str, FoundServer]:
        """Who listens there and what to call it, with a note on what to mind.

        Raises TargetError when nobody does.
        """
        found = find(endpoint)
        if found.pid is None:
            probe(endpoint)
        if self._asked.request is None and (options := found.contradicts(self._plan)):
            raise PlanError(
                f"{found.name} at {endpoint} was started otherwise: repeat this with {options}"
            )
        warnings = (port_warning(plan, endpoint) for plan in self._plans)
        self.notes += dict.fromkeys(warning for warning in warnings if warning)
        name = self._asked.label or found.name
        if self._plan.pin:
            self.notes.append(f"{name} is not pinned: it was started by someone else")
        return name, FoundServer(found, endpoint)

    def _progress(self, names: Iterable[str], trials: int | None) -> Progress:
        return Progress(
            dict.fromkeys(names, None if trials is None else trials * len(self._plans)),
            quiet=self._asked.quiet,
            describe=curve_tables.describer(self._plans),
        )

    def _find_ceiling(self, progress: Progress) -> None:
        """Measure what the engine can do under each load that kept it busy."""
        if self._asked.no_ceiling:
            return
        for plan in self._plans:
            alone = len(self._plans) == 1
            runs = [run for run in self.runs if alone or load_of(run.plan) == load_of(plan)]
            if self._stop.is_set() or not ceiling_needed(runs):
                continue
            progress.note("measuring what the load generator can do at most")
            found = measure_ceiling(plan, self._stop)
            if alone:
                self.ceiling = found
            elif found is not None:
                self.ceilings.append(replace(found, plan=plan))

    def _hint_at_cores(self) -> None:
        if self._plan.pin and server_cores(self._plan) is None:
            self.notes.append(
                f"--pin: {self._plan.workers} worker(s) take all the cores there are, so the "
                "server is not pinned and shares one with them; use fewer --workers"
            )

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """A block whose end, by Ctrl-C or a fault, does not take along what was measured."""
        try:
            yield
        except KeyboardInterrupt:
            self.cut_short = True
        except Exception as failure:
            if not self.runs:
                raise
            self.failure, self.cut_short = failure, True
        self.cut_short = self.cut_short or self._stop.is_set()
