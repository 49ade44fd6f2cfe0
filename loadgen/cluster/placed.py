"""Load workers on the machines of a cluster: a `fleet.place.Place`."""

from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import Connection

from loadgen.cluster.machine import Machine
from loadgen.cluster.offset import Offsets
from loadgen.engine.clock import SECOND
from loadgen.engine.share import Share
from loadgen.fleet.here import how_it_ended
from loadgen.fleet.place import LoadError, Started
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.machine import MachineTally
from loadgen.record.tally import Tally


class LoadMachines:
    """Several machines, among which the workers of a plan are dealt in turn."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self._machines = machines

    def problem(self, plan: Plan, endpoint: Endpoint) -> str | None:
        for place, machine in enumerate(self._machines):
            numbers = range(place, plan.workers, len(self._machines))
            if numbers and (lacks := machine.ask("shortage", plan, endpoint, numbers)) is not None:
                return f"{machine.name}: {lacks}"
        return None

    def start(self, share: Share) -> Started:
        machine = self._machines[share.worker % len(self._machines)]
        return RemoteWorker(f"load worker {share.worker + 1} on {machine.name}", machine)

    def by_machine(
        self, tallies: Sequence[tuple[Started, Tally]], openings: Mapping[int, int]
    ) -> list[MachineTally]:
        lasted = length_of(tally for _, tally in tallies)
        own: dict[Machine, list[Tally]] = {machine: [] for machine in self._machines}
        for started, tally in tallies:
            assert isinstance(started, RemoteWorker)
            own[started.machine].append(tally)
        return [tally_of(machine, some, openings, lasted) for machine, some in own.items()]


class RemoteWorker:
    """A worker process on a machine of a cluster, as its agent has started it."""

    def __init__(self, name: str, machine: Machine) -> None:
        self.name = name
        self.machine = machine
        self._number, self._line = machine.open_worker()

    @property
    def line(self) -> Connection:
        return self._line

    @property
    def clock(self) -> Offsets:
        return self.machine.clock

    def lost(self) -> str | None:
        lost = self.machine.lost
        return None if lost is None else f"was lost: the machine {lost}"

    def how_it_ended(self) -> str:
        try:
            return how_it_ended(self.machine.ask("how it ended", self._number))
        except LoadError as error:
            return f"was lost: {error}"

    def end(self) -> None:
        """Close the line; the agent sees to the rest, now or when it ends itself."""
        self._line.close()
        if self.machine.lost is None:
            try:
                self.machine.ask("end", self._number)
            except LoadError as error:
                self.machine.lose(str(error))


def tally_of(
    machine: Machine,
    tallies: Sequence[Tally],
    openings: Mapping[int, int],
    lasted: tuple[float, float],
) -> MachineTally:
    """A machine's part of a run, which lasted from one moment of our clock to another, in s.

    That is of the load that its workers put on, and what is known of its clock meanwhile.
    """
    late = [
        opened - openings[number] / SECOND
        for tally in tallies
        for number, opened in _openings(tally)
        if number in openings
    ]
    groups = [group for tally in tallies for group in tally.groups]
    cpu = [tally.engine_cpu_seconds for tally in tallies if tally.engine_cpu_seconds is not None]
    shares = (tally.busiest_worker_cpu for tally in tallies)
    began, ended = (round(one * SECOND) for one in lasted)
    quickest = machine.clock.quickest_ns
    return MachineTally(
        machine.name,
        workers=len(tallies),
        messages=sum(group.answered_in_window for group in groups),
        payload_bytes=sum(group.payload_bytes_in_window for group in groups),
        engine_cpu_seconds=sum(cpu) if cpu else None,
        busiest_worker_cpu=max((one for one in shares if one is not None), default=None),
        round_trip_seconds=None if quickest is None else quickest / SECOND,
        offset_seconds=machine.clock.at(ended).ns / SECOND,
        uncertainty_seconds=machine.clock.doubt_between(began, ended) / SECOND,
        drift=machine.clock.drift,
        opened_late_seconds=max(late, key=abs, default=None),
        link_bits_per_second=machine.facts["link_bits_per_second"],
        cores=machine.facts["cores"],
        lost=machine.lost,
    )


def length_of(tallies: Iterable[Tally]) -> tuple[float, float]:
    """From the first start to the last end of some workers' tallies, in s of our clock."""
    every = list(tallies)
    ends = [tally.window_ended or tally.started + tally.connecting_seconds for tally in every]
    return min(tally.started for tally in every), max(ends)


def _openings(tally: Tally) -> list[tuple[int, float]]:
    """When a worker's windows opened, by their rounds; the only one of a run has the round 0."""
    if tally.turns:
        return [(turn.round, turn.started) for turn in tally.turns]
    return [] if tally.window_started is None else [(0, tally.window_started)]
