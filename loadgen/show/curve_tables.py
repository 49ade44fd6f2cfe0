"""Curves as text: a table per server, and a sentence on where it bends and what a client costs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from loadgen.judge import units
from loadgen.judge.curves import VARIED, Curve, Fit, talking
from loadgen.plan.plan import Plan
from loadgen.show.table import Table

_SHOWN: dict[str, Callable[[float], str]] = {
    "clients": units.count,
    "size_bytes": units.size,
    "think_seconds": units.seconds,
    "rate_per_second": lambda value: f"{units.rate(value)}/s",
}


def value_words(curve: Curve, value: float) -> str:
    """One value of what was varied, as people read it."""
    return _SHOWN[curve.by](value)


def curve_table(curve: Curve) -> Table:
    """One server's points, a line each."""
    lines = [
        (
            value_words(curve, point.value),
            units.count(point.served),
            units.rate(point.rate),
            units.spread(point.messages_per_second),
            units.seconds(point.p99_seconds),
            units.number(point.cpu_cores),
            units.size(point.memory_bytes),
            point.bound or units.NOT_MEASURED,
        )
        for point in curve.points
    ]
    headers = (
        curve.what, "served", "messages/s", "+/-", "p99", "cores busy", "memory", "limited by",
    )  # fmt: skip
    return Table(curve.name, headers, tuple(lines), words=(7,))


def sentence(curve: Curve) -> str:
    """Where throughput stops rising, where p99 is too long, and what a client costs."""
    parts = [_knee(curve), _bound(curve)]
    memory, cpu = curve.memory_bytes_per_client, curve.cpu_cores_per_client
    if memory is not None:
        parts.append(f"a client costs {units.size(memory.slope)} of memory ({_quality(memory)})")
    if cpu is not None:
        parts.append(f"and {cpu.slope:.2g} cores up to the knee ({_quality(cpu)})")
    return "; ".join(parts)


def about(found: Sequence[Curve]) -> str:
    """How the words in the sentences are meant."""
    said = (
        "Throughput stops rising at the first load that reaches 90 % of the highest, where the "
        "intervals of all before it lie below. A load is "
        "past the bound when its p99 is, or when a client was never served."
    )
    if any(curve.by == "clients" for curve in found):
        said += (
            " What a client costs is the slope of a straight line through the loads (ordinary "
            "least squares); R2 is the share of the differences that the line explains."
        )
    return said


def _knee(curve: Curve) -> str:
    if curve.knee is None:
        return "nothing was answered"
    at = next(point for point in curve.points if point.value == curve.knee)
    where = f"{_value(curve, curve.knee)} ({units.rate(at.rate)} messages/s)"
    if curve.generator_knee:
        said = f"at {where} the load generator could do no more, and the server can"
        beyond = fall(curve)
        return f"{said}; throughput {beyond}" if beyond else said
    if not curve.clear:
        best = curve.best or at
        most = f"{units.rate(best.rate)} messages/s at {_value(curve, best.value)}"
        return f"the most were {most}; where throughput stops rising, the intervals leave open"
    if curve.rising:
        return f"throughput still rises at {where}, the last load"
    beyond = fall(curve)
    return f"throughput stops rising at {where}{', and ' * bool(beyond)}{beyond}"


def fall(curve: Curve) -> str:
    """How far throughput falls again beyond its highest: a verb and what follows; or nothing."""
    best, least = curve.best, curve.lowest_beyond
    if best is None or least is None or not best.rate or least.rate is None:
        return ""
    times = units.times(least.rate / best.rate)
    where = _value(curve, least.value)
    return f"falls to {units.rate(least.rate)} at {where} ({times} times the most)"


def _bound(curve: Curve) -> str:
    bound = units.seconds(curve.p99_bound_seconds)
    if curve.past_bound is None:
        return f"p99 stays within {bound}"
    if curve.within_bound is None:
        return f"p99 is past {bound}, or somebody was not served, from the first load on"
    return (
        f"p99 stays within {bound} up to {_value(curve, curve.within_bound)} and is past it, or "
        f"somebody was not served, at {value_words(curve, curve.past_bound)}"
    )


def _value(curve: Curve, value: float) -> str:
    shown = value_words(curve, value)
    return f"{shown} client{'' if value == 1 else 's'}" if curve.by == "clients" else shown


def _quality(fit: Fit) -> str:
    said = f"{fit.points} loads"
    return said if fit.r_squared is None or fit.points < 3 else f"{said}, R2 {fit.r_squared:.2f}"


def tables_of(found: Sequence[Curve]) -> list[Table]:
    """A table for each curve, the last one with a word on how they are meant."""
    made = [curve_table(curve) for curve in found]
    if made:
        made[-1] = replace(made[-1], notes=(about(found),))
    return made


def sentences(found: Sequence[Curve]) -> list[tuple[str, str]]:
    """The name of each curve's server and its sentence."""
    return [(curve.name, sentence(curve)) for curve in found]


def describer(plans: Sequence[Plan]) -> Callable[[Plan], str] | None:
    """What tells a load among these apart, in a few words; None when there is only one."""
    if len(plans) < 2:
        return None
    place, _ = talking(plans[0])[0]
    groups = [plan.groups[place] for plan in plans]
    by = next(name for name in VARIED if len({getattr(group, name) for group in groups}) > 1)

    def describe(plan: Plan) -> str:
        value = getattr(plan.groups[place], by)
        said = f"{_SHOWN[by](value)} {_SHORT[by]}".rstrip()
        return said.removesuffix("s") if value == 1 and by == "clients" else said

    return describe


_SHORT = {
    "clients": "clients",
    "size_bytes": "messages",
    "think_seconds": "of think time",
    "rate_per_second": "",
}
