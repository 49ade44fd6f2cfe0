"""What is going on, on stderr: a live table on a terminal, a line per run elsewhere.

Drawn in the parent and never in a worker, and only when there is news: at most four times a
second, since a redraw costs about 7 ms.
"""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from loadgen.fleet.events import Event, Snapshot, WindowClosed, WindowOpened
from loadgen.judge import units
from loadgen.judge.figures import figures
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.show.wrapping import WIDTH

SECONDS_BETWEEN_DRAWINGS = 0.25
# Where there is no terminal, connecting is worth a line once it takes so long, and then every time.
SECONDS_BETWEEN_LINES = 10.0
_BARS = " ▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 24


class Subject:
    """What is known so far about one server: a line of the live table."""

    def __init__(self, name: str, runs: int | None) -> None:
        self.name = name
        self.runs = runs
        self.state = "waiting"
        self.done = 0
        self.load = ""
        self.served = ""
        self.rate: float | None = None
        self.p99: float | None = None
        self.rates: list[float] = []
        # How far the server is known by now, in words.
        self.known = ""


class Progress:
    """Shows how far the work is, as a context manager; a `Watcher` of runs.

    `runs` has the servers in the order to list them, and how many runs each will have; None where
    that will turn out. `describe` gives a few words on a run's load where several are put on.
    `known_as` heads the column of what `know` says. `tell` says in a few words what came out of a
    run; without it, rate and p99 are told. Nothing is shown when `quiet`.
    """

    def __init__(
        self,
        runs: Mapping[str, int | None],
        *,
        quiet: bool,
        describe: Callable[[Plan], str] | None = None,
        known_as: str = "+/-",
        tell: Callable[[Run], str] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        # A name is what it is: [x] is no markup and :x: no picture.
        self._console = Console(file=self._stream, markup=False, emoji=False)
        self._subjects = {name: Subject(name, count) for name, count in runs.items()}
        counts = [count for count in runs.values() if count is not None]
        self._total = sum(counts) if len(counts) == len(runs) else None
        # Which turn is going on, in words, where servers take turns.
        self._turn = ""
        self._describe = describe or (lambda _: "")
        self._known_as = known_as
        self._tell = tell or self._rate_and_latency
        self._finished = 0
        self.current: Subject | None = None
        self._plan: Plan | None = None
        self._opened: float | None = None
        self._drawn = 0.0
        self._said = 0.0
        self._lines = not quiet and not self._console.is_terminal
        self._live: Live | None = None
        if not quiet and self._console.is_terminal:
            self._live = Live(
                self._table(), console=self._console, auto_refresh=False, transient=True
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, name: str, plan: Plan) -> None:
        """A run is about to start: first of all its server."""
        self.current = self._subjects[name]
        self.current.state = "starting"
        self.current.rates = []
        self._plan, self._opened = plan, None
        self._said = time.monotonic()
        self._draw(at_once=True)

    def turn(self, name: str, life: int, number: int) -> None:
        """A server's turn is about to start, among those that take turns."""
        if self.current is not None and self.current.name != name:
            self.current.state = "holding still"
        self.current = self._subjects[name]
        self.current.state = "its turn"
        self._turn = f"life {life}, round {number}"
        self._opened = None
        self._draw(at_once=True)

    def event(self, event: Event) -> None:
        """News of the run from the load generator."""
        subject, plan = self.current, self._plan
        if subject is None or plan is None:
            return
        match event:
            case WindowOpened():
                self._opened = time.monotonic()
            case WindowClosed():
                subject.state = "finishing"
            case Snapshot():
                subject.rate, subject.p99 = event.rate, event.p99
                subject.served = f"{event.served:,}/{plan.talking:,}"
                subject.load = self._describe(plan)
                subject.rates = [*subject.rates[1 - _SPARK_WIDTH :], event.rate]
                if subject.state != "finishing" and not self._turn:
                    subject.state = self._state(event, plan)
                if event.connected < plan.clients:
                    self._say_connecting(subject, event, plan)
        self._draw()

    def end(self, name: str, run: Run) -> None:
        """A run has ended, well or not."""
        self._finished += 1
        subject = self._subjects[name]
        self._turn = ""
        found = figures(run)
        subject.done += 1
        clock = found.response_seconds or found.latency_seconds
        subject.rate, subject.p99 = found.messages_per_second, clock.p99
        subject.load = self._describe(run.plan)
        if found.served is not None:
            subject.served = f"{found.served:,}/{run.plan.talking:,}"
        more = subject.runs is None or subject.done < subject.runs
        subject.state = "did not run" if run.tally is None else "waiting" if more else "done"
        if self._lines:
            said = "did not run" if run.tally is None else self._tell(run) or "nothing measured"
            load = self._describe(run.plan)
            what = subject.name + (f", {load}" if load else "")
            if subject.runs != 1 and (not load or run.trial > 1):
                what += f", {'life' if run.plan.turns else 'trial'} {run.trial}"
            of = "" if self._total is None else f"/{self._total}"
            self.say(f"[{self._finished}{of}] {what}: {said}")
        self.current = None
        self._draw(at_once=True)

    def _rate_and_latency(self, run: Run) -> str:
        found = figures(run)
        if found.messages_per_second is None:  # cut short before its window
            return ""
        clock = found.response_seconds or found.latency_seconds
        said = f"{units.rate(found.messages_per_second)} messages/s, p99 {units.seconds(clock.p99)}"
        if found.starved:
            said += f", served {found.served:,}/{run.plan.talking:,}"
        return said

    def know(self, name: str, words: str) -> None:
        """How far a server is known by now: half its interval, or between which rates it is."""
        self._subjects[name].known = words
        self._draw(at_once=True)

    def note(self, text: str) -> None:
        """Say what is done between the runs."""
        if self._live is not None:
            self._live.update(self._table(text), refresh=True)

    def say(self, line: str) -> None:
        """Print a line for good."""
        print(line, file=self._stream, flush=True)

    def _say_connecting(self, subject: Subject, now: Snapshot, plan: Plan) -> None:
        if self._lines and time.monotonic() >= self._said + SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.say(f"{subject.name}: {_connecting(now, plan)}")

    def _state(self, now: Snapshot, plan: Plan) -> str:
        if plan.messages_per_client is not None:
            return f"{now.answered / (plan.talking * plan.messages_per_client):.0%} of the messages"
        if self._opened is not None:
            passed = min(time.monotonic() - self._opened, plan.duration_seconds or 0)
            return f"measuring, {passed:.1f} of {plan.duration_seconds:g} s"
        if now.connected < plan.clients:
            return _connecting(now, plan)
        return "warming up"

    def _draw(self, at_once: bool = False) -> None:
        if self._live is None:
            return
        now = time.monotonic()
        if at_once or now - self._drawn >= SECONDS_BETWEEN_DRAWINGS:
            self._drawn = now
            self._live.update(self._table(), refresh=True)

    def _table(self, note: str = "") -> Table:
        table = Table(
            box=None,
            caption=note or self._caption(),
            caption_justify="left",
            pad_edge=False,
        )
        table.add_column("server", no_wrap=True)
        table.add_column("state", min_width=19)
        loads = any(subject.load for subject in self._subjects.values())
        if loads:
            table.add_column("load", no_wrap=True)
        table.add_column("served", justify="right", min_width=7)
        table.add_column("messages/s", justify="right", min_width=10)
        if any(subject.known for subject in self._subjects.values()):
            table.add_column(self._known_as, justify="right")
        table.add_column("p99", justify="right", min_width=8)
        if not self._console.options.ascii_only and self._console.width >= WIDTH:
            table.add_column("", min_width=_SPARK_WIDTH, no_wrap=True)
        for subject in self._subjects.values():
            running = subject is self.current
            cells = [
                subject.name,
                subject.state + self._run_of(subject, running),
                *([subject.load] if loads else []),
                subject.served,
                units.rate(subject.rate),
                *([subject.known] if any(one.known for one in self._subjects.values()) else []),
                units.seconds(subject.p99),
                spark(subject.rates),
            ]
            table.add_row(*cells[: len(table.columns)], style="bold" if running else None)
        return table

    def _caption(self) -> str:
        load = self._describe(self._plan) if self._plan is not None else ""
        run = self._turn or f"run {self._finished + 1}"
        if not self._turn and self._total is not None:
            run = f"run {min(self._finished + 1, self._total)} of {self._total}"
        return f"{run}: {load}" if load else run

    def _run_of(self, subject: Subject, running: bool) -> str:
        if subject.runs == 1 or (subject.done == 0 and not running):
            return ""
        number = subject.done + 1 if running else subject.done
        return f" ({number})" if subject.runs is None else f" ({number}/{subject.runs})"


def _connecting(now: Snapshot, plan: Plan) -> str:
    return f"connecting, {now.connected:,} of {plan.clients:,}"


def spark(rates: list[float]) -> str:
    """Rates over time as a line of bars, the highest one full."""
    highest = max(rates, default=0.0)
    if highest <= 0:
        return ""
    return "".join(_BARS[round(rate / highest * (len(_BARS) - 1))] for rate in rates)
