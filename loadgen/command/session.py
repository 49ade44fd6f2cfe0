"""The runs of one command: servers that are started, one that is there already, or both.

They take turns, life after life, until they are known well enough. What the reasons in
`fleet.turns` leave over is measured in whole trials, and so is a server alone that was given a time
to run.
"""

import contextlib
import random
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from loadgen.cluster.cluster import Cluster
from loadgen.command.enough import Enough, half_intervals
from loadgen.command.plans import endpoint_of, in_turns, one_window
from loadgen.command.rates import RateFinder, search_of
from loadgen.command.server_options import models_of, server_options, without_request
from loadgen.fleet.ceiling import ceiling_needed, measure_ceiling
from loadgen.fleet.conductor import interrupt_sets
from loadgen.fleet.cores import server_cores
from loadgen.fleet.limits import port_warning
from loadgen.fleet.measure import Keeper, measure
from loadgen.fleet.server import FoundServer, ModelServer, Server
from loadgen.fleet.task import Task, tasks_of
from loadgen.fleet.turns import measure_in_turns, whole_trials_because
from loadgen.judge import units
from loadgen.judge.rows import load_of
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.rate_search import RateSearch
from loadgen.plan.validation import PlanError
from loadgen.record.environment import Environment
from loadgen.record.result import Ceiling, Run
from loadgen.servers import candidates, interpreters
from loadgen.servers.found import find, listens, probe
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.problem import TargetError
from loadgen.show import curve_tables, rate_tables
from loadgen.show.progress import Progress


class Session:
    """The runs of one command, and what was learned beside them."""

    def __init__(
        self,
        asked: Namespace,
        plans: Sequence[Plan],
        seed: int,
        here: Environment,
        machines: Cluster | None = None,
    ) -> None:
        self.runs: list[Run] = []
        self.ceiling: Ceiling | None = None
        self.ceilings: list[Ceiling] = []
        self.cut_short = False
        self.failure: Exception | None = None
        self.rate_search: RateSearch | None = None
        self.notes: list[str] = []
        self.what = "compare"
        self._asked, self._seed, self._here = asked, seed, here
        self._machines = machines
        if machines is not None:
            plans = [machines.with_workers(plan, asked.workers) for plan in plans]
        self._plans = plans
        self._plan = plans[0]
        # What servers that we start are to be called, by the names that they have here.
        self._labels: dict[str, str | None] = {}
        self._stop = threading.Event()

    def run(self) -> None:
        """Do what was asked for. Ctrl-C ends it early and leaves what was measured in `runs`.

        So does the loss of a machine, which is a `failure` then.
        """
        if self._machines is None:
            self._run()
            return
        self.notes += self._machines.notes(self._plan)
        for plan in self._plans:
            self._machines.refuse(plan)
        self._machines.when_lost(self._stop.set)
        self._run()
        if (lost := self._machines.lost) is not None:
            self.failure = TargetError(f"{lost}, and so the load was not put on as asked")

    def _run(self) -> None:
        asked = self._asked
        if self._plan.trace_clients:
            self.notes.append(
                "a trace was kept: servers of ours noted each message, which costs them some time, "
                "and traced clients are a little slower than others"
            )
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
        pythons, said = self._interpreters()
        if not pythons:
            raise TargetError("; ".join(said))
        self.notes += said
        able, said = candidates.choose(models, by_name, self._plan, pythons, label)
        self.notes += said
        servers: dict[str, Server] = {
            one.name: ModelServer(one.model, python=one.python) for one in able
        }
        self._labels = {one.name: one.label for one in able}
        if beside is not None:
            name, found = self._find(beside)
            if name in servers:
                raise PlanError(
                    f"the server at {beside} would be called {name} as well; give it a --label"
                )
            servers[name] = found
        self._hint_at_cores()
        self._measure(servers)

    def _interpreters(self) -> tuple[list[Interpreter], list[str]]:
        """Those that servers are to run under, where they are to run, and a line for each other."""
        words = self._asked.python
        if self._machines is not None:
            return self._machines.interpreters(words)
        return interpreters.find(words) if words else ([interpreters.own()], [])

    def _drive(self, endpoint: Endpoint) -> None:
        """Measure a server that is there already."""
        name, found = self._find(endpoint)
        self._measure({name: found})

    def _measure(self, servers: Mapping[str, Server]) -> None:
        """Every server under every plan, until it is enough, by the names they are to go by."""
        several = len(servers) > 1
        self.what = "compare" if several else next(iter(servers))
        if self._asked.find_rate:
            self._find_rates(servers)
            return
        ours = all(isinstance(server, ModelServer) for server in servers.values())
        plans: Sequence[Plan] = [in_turns(plan, self._asked, ours) for plan in self._plans]
        keeping = [whole_trials_because(self._life(servers, [plan], 1)) for plan in plans]
        reason = next((why for why in keeping if why), None)
        if not several and one_window(self._asked):
            reason = reason or "one window was asked for"
        if reason:
            plans = self._plans
            if several:
                self.notes.append(f"the servers took no turns but had whole trials: {reason}")
        else:
            self._note_who_ran_already(servers)
        enough = Enough(self._asked, len(servers) * len(plans), in_turns=reason is None)
        measure_once = self._measure_whole if reason else self._measure_in_turns
        with self._keeping(), self._progress(servers, enough.lives) as progress:
            keeper = Keeper(progress, self.runs)
            for number in count(1):
                measure_once(servers, plans, number, keeper)
                if self._stop.is_set():
                    break
                for name, known in half_intervals(keeper.by_name).items():
                    progress.know(name, units.spread(known))
                over, why = enough.verdict(keeper.by_name)
                if over:
                    self.notes += [why] if why else []
                    break
            self._find_ceiling(progress)

    def _note_who_ran_already(self, servers: Mapping[str, Server]) -> None:
        self.notes += [
            f"{name} ran already, so each life was only new connections to it: started anew, it "
            "might be faster or slower than this says"
            for name, server in servers.items()
            if isinstance(server, FoundServer)
        ]

    def _find_rates(self, servers: Mapping[str, Server]) -> None:
        """Search for the highest rate of each server, until it is found or the time is up."""
        plan, asked = self._plan, self._asked
        self._note_who_ran_already(servers)
        with (
            self._keeping(),
            Progress(
                dict.fromkeys(servers),
                quiet=asked.quiet,
                describe=rate_tables.trial_words,
                known_as="between",
            ) as progress,
        ):
            if not asked.no_ceiling and self._machines is None:
                progress.note("measuring what the load generator can do at most")
                self.ceiling = measure_ceiling(plan, self._stop)
            self.rate_search = search_of(asked, plan, self.ceiling)
            finder = RateFinder(
                asked, plan, self.rate_search, list(servers), (self.ceiling, self._here)
            )

            def heed(name: str, run: Run) -> None:
                finder.take(name, run)
                progress.know(name, finder.words(name))

            keeper = Keeper(progress, self.runs, heed)
            for number in count(1):
                plans = finder.next_plans()
                if not plans or self._stop.is_set():
                    break
                if number > 1 and (why := finder.time_is_up()):
                    self.notes.append(why)
                    break
                seed = self._seed + number
                order = random.Random(f"{self._seed} {number}")
                tasks = [
                    self._fitted(Task(name, servers[name], replace(plan, seed=seed), number))
                    for name, plan in order.sample(list(plans.items()), len(plans))
                ]
                # Those that cannot all be up have their lives one after the other.
                lives = [[task] for task in tasks] if whole_trials_because(tasks) else [tasks]
                for life in lives:
                    self._live(life, seed, keeper)

    def _life(
        self, servers: Mapping[str, Server], plans: Sequence[Plan], number: int
    ) -> list[Task]:
        """One life, or trial, of every server under every plan, in a random order."""
        return [self._fitted(task) for task in tasks_of(servers, plans, number, self._seed)]

    def _measure_in_turns(
        self, servers: Mapping[str, Server], plans: Sequence[Plan], number: int, keeper: Keeper
    ) -> None:
        """A life for each load, in a random order, in which all servers take turns."""
        order = random.Random(f"{self._seed} {number}")
        for plan in order.sample(list(plans), len(plans)):
            tasks = self._life(servers, [plan], number)
            self._live(tasks, self._seed + number, keeper)
            if self._stop.is_set():
                return

    def _live(self, tasks: Sequence[Task], seed: int, keeper: Keeper) -> None:
        """One life of servers that take turns; Ctrl-C is noted until all of it is gone."""
        with interrupt_sets(self._stop):
            measure_in_turns(tasks, seed, keeper, self._stop)

    def _measure_whole(
        self, servers: Mapping[str, Server], plans: Sequence[Plan], number: int, keeper: Keeper
    ) -> None:
        """A trial of every server under every plan, one after the other."""
        for task in self._life(servers, plans, number):
            with interrupt_sets(self._stop):
                measure(task, keeper, self._stop)
            if self._stop.is_set():
                return

    def _fitted(self, task: Task) -> Task:
        """A task with what was asked for its kind of server."""
        asked, server = self._asked, task.server
        if self._machines is not None:
            task = replace(task, place=self._machines.place)
        if not isinstance(server, ModelServer):
            return replace(task, label=asked.label)
        # A request is for somebody else's server, as is a label where there is one.
        plan = without_request(task.plan)
        told = tuple(server_options(plan, asked.server_options))
        label = self._labels.get(task.name)
        model = replace(server, options=told)
        placed = model if self._machines is None else self._machines.server(model)
        return replace(task, plan=plan, server=placed, label=label)

    def _allowed(self, endpoint: Endpoint | None) -> Endpoint:
        """The endpoint as a number, if it may be loaded. Raises PlanError."""
        assert endpoint is not None, "--connect or the usual port names one"
        endpoint = endpoint.resolved()
        if endpoint.is_loopback and self._machines is not None:
            self._machines.check_servers_here()
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
        if self._asked.no_ceiling or self._machines is not None:
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
