"""The machines of one command: chosen, checked, kept in touch with, and let go."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from loadgen.cluster.address import ClusterAddress, is_this_machine
from loadgen.cluster.facts import facts
from loadgen.cluster.machine import Machine, Pulse
from loadgen.cluster.placed import LoadMachines, length_of, tally_of
from loadgen.cluster.placement import Place, Tls, placement
from loadgen.cluster.served import RemoteServer
from loadgen.cluster.wire import Address
from loadgen.fleet.place import LoadError
from loadgen.fleet.server import ModelServer, Server
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.result import Run
from loadgen.servers import interpreters
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.problem import TargetError


@dataclass(frozen=True)
class Wanted:
    """What was asked for: which cluster, which machine serves and which put the load on.

    `serving` is None where the server is not the cluster's, `loading` empty for all others.
    `allowed` says that addresses beyond loopback may be used.
    """

    where: ClusterAddress
    serving: str | None = None
    loading: tuple[str, ...] = ()
    tls: Tls | None = None
    allowed: bool = False


class Cluster:
    """Machines with an agent each: those that put the load on, and the one that serves, if any."""

    def __init__(self, loading: Sequence[Machine], serving: Machine | None) -> None:
        self.loading = loading
        self.serving = serving
        self.place = LoadMachines(loading)

    @property
    def machines(self) -> list[Machine]:
        alone = self.serving if self._serves_alone else None
        return [*self.loading, *([] if alone is None else [alone])]

    @property
    def lost(self) -> str | None:
        """Which machine was lost and what became of it, as a sentence; None while all are there."""
        return next((f"{one.name} {one.lost}" for one in self.machines if one.lost), None)

    @property
    def _serves_alone(self) -> bool:
        return self.serving is not None and self.serving not in self.loading

    def with_workers(self, plan: Plan, each: int | None) -> Plan:
        """The plan with so many workers on each machine; None for as many as it has cores.

        The server's machine keeps one for the server. There are at least as many as the plan has,
        and no more than clients that talk unless it has.
        """
        if each is None:
            cores = [
                int(machine.facts["cores"] or 1) - (machine is self.serving)
                for machine in self.loading
            ]
            each = min(cores)
        each = max(1, each, -(-plan.workers // len(self.loading)))
        return replace(plan, workers=max(plan.workers, min(each * len(self.loading), plan.talking)))

    def server(self, model: ModelServer) -> Server:
        """A model as it is to be started: on the machine that serves, else here."""
        return (
            model if self.serving is None else RemoteServer(model, self.serving, self.with_server)
        )

    def interpreters(self, words: Sequence[str] | None) -> tuple[list[Interpreter], list[str]]:
        """The interpreters that people name, where servers are started; None for the usual one.

        With a line for each that fails. Raises TargetError when they cannot be started for this
        load, or asked for.
        """
        if self.serving is None:
            self.check_servers_here()
            return interpreters.find(words) if words else ([interpreters.own()], [])
        try:
            found: tuple[list[Interpreter], list[str]] = self.serving.ask("interpreters", words)
        except LoadError as error:
            raise TargetError(str(error)) from None
        return found

    def check_servers_here(self) -> None:
        """Raise PlanError where a server on our loopback is beyond those who are to load it."""
        far = [machine.name for machine in self.loading if not is_this_machine(machine.host)]
        if far:
            raise PlanError(
                f"{', '.join(far)} cannot reach a server on this machine's loopback; have it "
                "started on a machine of the cluster with --serve-on HOST, or name an address that "
                "they can reach with --connect HOST:PORT"
            )

    def refuse(self, plan: Plan) -> None:
        """Raise PlanError where a machine has not got what its part of the plan takes.

        TargetError where it cannot be asked.
        """
        # To a port that nobody has yet, of the server's machine or of ours.
        host = "127.0.0.1" if self.serving is None else self.serving.host
        try:
            problem = self.place.problem(plan, Endpoint(plan.family, host, 1))
        except LoadError as error:
            raise TargetError(str(error)) from None
        if problem is not None:
            raise PlanError(problem)

    def when_lost(self, act: Callable[[], None]) -> None:
        """Have `act` called, in another thread, when a machine is lost; now, if one is already."""
        for machine in self.machines:
            machine.on_lost = act
        if self.lost is not None:
            act()

    def notes(self, plan: Plan) -> list[str]:
        """What to mind about the machines under a plan, a sentence each."""
        said = []
        each = -(-plan.workers // len(self.loading))
        for machine in self.loading:
            cores = machine.facts["cores"]
            if cores is not None and each > cores:
                said.append(
                    f"{machine.name} has {cores:g} core(s) for {each} load workers, so that each "
                    "slows the others; use fewer --workers or more machines"
                )
        hardware = {machine.facts["hardware"] for machine in self.machines}
        if len(hardware) < len(self.machines):
            said.append(
                "some of these machines are one: they share its cores, and figures of the whole "
                "machine count for all of them"
            )
        return said

    def with_server(self, run: Run) -> Run:
        """The run with the server's machine told from those of its load."""
        tally, serving = run.tally, self.serving
        if tally is None or serving is None:
            return run
        hardware = serving.facts["hardware"]
        beside = {one.name for one in self.machines if one.facts["hardware"] == hardware}
        found = tally.machines
        if self._serves_alone:
            found = [tally_of(serving, [], {}, length_of([tally])), *found]
        tally.machines = [
            replace(one, serves=one.name == serving.name, beside_server=one.name in beside)
            for one in found
        ]
        return run


@contextmanager
def cluster(wanted: Wanted) -> Iterator[Cluster]:
    """Have the machines ready for the length of a block; nothing is left running on them.

    Raises PlanError for what may not be or makes no sense, TargetError for what cannot be reached.
    """
    if not is_this_machine(wanted.where.host):
        _require_consent(wanted, wanted.where.host)
    key = secrets.token_bytes(32)
    with ExitStack() as stack:
        with placement(wanted.where, wanted.tls) as dask:
            serving, loading = _chosen(wanted, dask.places)
            for place in {*loading, *([serving] if serving else [])}:
                if not is_this_machine(place.host):
                    _require_consent(wanted, place.host)
            places = list(dict.fromkeys([*([serving] if serving else []), *loading]))
            ports = dask.launch(places, key)
        addresses = {place.name: (place.host, ports[place.name]) for place in places}
        names = [place.name for place in loading]
        yield stack.enter_context(joined(addresses, key, names, serving.name if serving else None))


@contextmanager
def joined(
    addresses: Mapping[str, Address], key: bytes, loading: Sequence[str], serving: str | None
) -> Iterator[Cluster]:
    """Get in touch with the agents at these addresses, for the length of a block.

    `loading` and `serving` are names among theirs. Raises TargetError.
    """
    with ExitStack() as stack:
        try:
            machines = {
                name: stack.enter_context(closing(Machine(name, address, key)))
                for name, address in addresses.items()
            }
            _refuse_versions(machines.values())
        except LoadError as error:
            raise TargetError(str(error)) from None
        stack.enter_context(Pulse(list(machines.values()))).wait()
        found = Cluster(
            [machines[name] for name in loading], machines[serving] if serving else None
        )
        if found.lost is not None:
            raise TargetError(found.lost)
        yield found


def _require_consent(wanted: Wanted, host: str) -> None:
    if wanted.allowed:
        return
    open_words = (
        ""
        if wanted.where.encrypted
        else "; and what is said to this cluster is not encrypted, so that whoever reads along can "
        "have its machines do anything"
    )
    raise PlanError(
        f"{host} is not a loopback address: a load test looks like an attack to whoever runs the "
        f"machines and the network between them{open_words}. With their consent, repeat this with "
        "--i-may-load-this-host"
    )


def _chosen(wanted: Wanted, places: Sequence[Place]) -> tuple[Place | None, list[Place]]:
    """The machine that serves, if one is to, and those that put the load on."""
    serving = None if wanted.serving is None else _named(wanted.serving, places)
    if wanted.loading:
        loading = [_named(name, places) for name in wanted.loading]
        return serving, list(dict.fromkeys(loading))
    loading = [place for place in places if place is not serving]
    if not loading:
        raise PlanError(
            "the only machine of the cluster is the server's, so none is left to put the load on; "
            f"add one, or have it do both with --load-from {wanted.serving}"
        )
    return serving, loading


def _named(name: str, places: Sequence[Place]) -> Place:
    """The place that people call so: by its name, its address, a worker's name or a host's."""
    for place in places:
        if name in (place.name, place.host, *place.also):
            return place
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        addresses = set()
    for place in places:
        if place.host in addresses:
            return place
    known = ", ".join(" or ".join((one.name, *one.also)) for one in places)
    raise PlanError(f"the cluster has no machine {name!r}; it has {known}")


def _refuse_versions(machines: Iterable[Machine]) -> None:
    own = facts("")
    for machine in machines:
        for what, there, here in (
            ("this kit", machine.facts["kit"], own["kit"]),
            ("Python", machine.facts["implementation"], own["implementation"]),
            ("Python", machine.facts["python"], own["python"]),
        ):
            if there != here:
                raise TargetError(
                    f"{machine.name} has {what} {there}, and here is {here}: what differs would be "
                    "measured too; install the same on all machines"
                )
