"""What the system allows a plan: open files and client ports, reckoned before the run."""

import resource
import sys
from pathlib import Path

from loadgen.engine.share import Share
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan

# Descriptors of a worker beside its clients': standard streams, control line, poller, imports.
OTHER_DESCRIPTORS = 32
# What Linux leaves unused of a range when all clients come from one address: the server's own port
# and whatever else runs on the machine.
USABLE_PORTS = 0.9
# Connections closed by the client keep their port for 60 s (TIME_WAIT); on loopback Linux takes it
# again after 1 s (tcp_tw_reuse). So many connections/s are reckoned with under churn.
CHURN_PER_SECOND = 50_000
TIME_WAIT_SECONDS = 60
REUSE_SECONDS = 2
MOST_SOURCES = 64


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one, for this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
        f"use fewer clients, or more workers"
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
