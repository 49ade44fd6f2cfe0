"""What a machine lacks for its part of a load, asked there before the start."""

from collections.abc import Sequence
from dataclasses import replace

from loadgen.engine.share import Share
from loadgen.fleet.limits import descriptor_problem, ephemeral_ports, source_addresses
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan


def part_of(plan: Plan, endpoint: Endpoint, numbers: Sequence[int]) -> Plan:
    """The plan of those workers alone."""
    shares = [Share(plan, endpoint, number) for number in numbers]
    groups = [
        replace(group, clients=sum(len(share.clients_of(group)) for share in shares))
        for group in plan.groups
    ]
    return replace(plan, groups=tuple(group for group in groups if group.clients))


def shortage(plan: Plan, endpoint: Endpoint, numbers: Sequence[int]) -> str | None:
    """Why this machine cannot have those workers of a plan, and what to do about it, or None."""
    part = part_of(plan, endpoint, numbers)
    if (problem := descriptor_problem(plan)) is not None:
        return problem
    low, high = ephemeral_ports()
    available = high - low + 1
    if endpoint.family == "unix" or source_addresses(part, endpoint) or part.clients <= available:
        return None
    return (
        f"its {part.clients} clients need a port each, and it has {available} for one address "
        f"({low} to {high}): use fewer clients, more machines, or widen "
        "net.ipv4.ip_local_port_range"
    )
