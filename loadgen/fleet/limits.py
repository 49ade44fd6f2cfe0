"""What the system allows a plan: open files and client ports, reckoned before the run."""

import math
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from loadgen.engine.share import Share
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan

# Descriptors of a worker beside its clients': standard streams, control line, poller, imports.
OTHER_DESCRIPTORS = 32
# The same of a server's process, whose listeners and pipes to workers count as well.
SERVER_DESCRIPTORS = 200
# A server's processes never get equal shares of its clients: so much of its descriptors each counts
# on using. Of 100,000 that SO_REUSEPORT dealt to seven, the fullest had 2 % more than the mean.
EVENNESS = 0.9
# What Linux leaves unused of a range when all clients come from one address: the server's own port
# and whatever else runs on the machine.
USABLE_PORTS = 0.9
# Connections closed by the client keep their port for 60 s (TIME_WAIT); on loopback Linux takes it
# again after 1 s (tcp_tw_reuse). So many connections/s are reckoned with under churn.
CHURN_PER_SECOND = 50_000
TIME_WAIT_SECONDS = 60
REUSE_SECONDS = 2
MOST_SOURCES = 128


def fewest_workers(clients: int) -> int:
    """How many load workers so many clients take at least, by the files each may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 1
    return -(-clients // max(1, hard - OTHER_DESCRIPTORS))


@dataclass(frozen=True)
class ServerRoom:
    """What a server's processes need so that all clients of a plan fit in.

    `workers` is how many processes to spread them over, None for as many as it would have;
    `open_files` is what each has to be allowed, None for what it is; `note` says in a sentence why
    the server is not as it would be by itself, or why that will not do.
    """

    workers: int | None = None
    open_files: int | None = None
    note: str | None = None


def server_room(clients: int, processes: int | None, fixed: bool = False) -> ServerRoom:
    """How to make room for so many clients in a server of so many processes, each with any number.

    `processes` is None where all clients are in one; `fixed` where the number is not ours to raise.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _needed_in_each(clients, processes)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return ServerRoom()
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return ServerRoom(open_files=needed)
    if processes is not None and not fixed:
        each = round((hard - SERVER_DESCRIPTORS) * EVENNESS)
        if each > 0:
            workers = -(-clients // each)
            told = f"--workers {workers}, since a process may open {hard:,} files"
            return ServerRoom(workers, hard, f"the server was given {told}")
    where = "one process" if processes in (None, 1) else f"{processes} processes"
    return ServerRoom(
        open_files=hard,
        note=f"{clients:,} clients in {where} of the server need {needed:,} open files in each,"
        f" but the hard limit is {hard:,}: who finds no room waits; raise it with "
        f"`ulimit -Hn {needed}` (as root)"
        + ("" if processes is None else ", or give the server more --workers"),
    )


def _needed_in_each(clients: int, processes: int | None) -> int:
    share = clients if processes is None else math.ceil(clients / processes / EVENNESS)
    return share + SERVER_DESCRIPTORS


def descriptor_problem(plan: Plan) -> str | None:
    """Why the limit of open files does not allow the plan and what to do about it, or None."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(Share(plan, Endpoint("inet"), number).clients for number in range(plan.workers))
    needed = most + OTHER_DESCRIPTORS
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return None
    return (
        f"{plan.clients} clients over {plan.workers} workers need {needed} open files in a "
        f"process, but the hard limit is {hard}: raise it with `ulimit -Hn {needed}` (as root), "
        f"use fewer clients, or more workers ({fewest_workers(plan.clients)} will do)"
    )


def ephemeral_ports() -> tuple[int, int]:
    """The range of ports that the kernel takes for clients, both ends included."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        # RFC 6335: the range for dynamic ports where the kernel says no other.
        return 49152, 65535
    return int(low), int(high)


def ports_needed(plan: Plan, endpoint: Endpoint) -> int:
    """Ports held at the busiest moment, those in TIME_WAIT included; an estimate under churn."""
    lasting = plan.clients
    if all(group.messages_per_connection is None for group in plan.groups):
        return lasting
    held_for = REUSE_SECONDS if endpoint.is_loopback else TIME_WAIT_SECONDS
    return lasting + CHURN_PER_SECOND * held_for


def source_addresses(plan: Plan, endpoint: Endpoint) -> tuple[str, ...]:
    """Addresses of 127.0.0.0/8 to connect from when one address has too few ports; else ()."""
    if endpoint.family != "inet" or endpoint.transport != "tcp" or not endpoint.is_loopback:
        return ()
    if not sys.platform.startswith("linux"):
        # Elsewhere only 127.0.0.1 is configured.
        return ()
    low, high = ephemeral_ports()
    per_source = int((high - low + 1) * USABLE_PORTS)
    sources = -(-ports_needed(plan, endpoint) // per_source)
    if sources <= 1:
        return ()
    return tuple(f"127.0.1.{number + 1}" for number in range(min(sources * 2, MOST_SOURCES)))


def port_warning(plan: Plan, endpoint: Endpoint) -> str | None:
    """Why connects may fail for want of ports, and what to do about it, or None."""
    if endpoint.family == "unix":
        return None
    low, high = ephemeral_ports()
    available = high - low + 1
    needed = ports_needed(plan, endpoint)
    if source_addresses(plan, endpoint) or needed <= available * USABLE_PORTS:
        return None
    return (
        f"up to {needed} client ports may be held at once, those in TIME_WAIT included, and this "
        f"machine has {available} for one address ({low} to {high}): connections may fail with "
        "EADDRNOTAVAIL; "
        "use fewer clients or a lower rate, or widen net.ipv4.ip_local_port_range"
    )
