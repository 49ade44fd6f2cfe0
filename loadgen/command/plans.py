"""The plans that the options amount to, and where a server is to be found that runs already.

What does not go together is refused here, or by `Plan.validate`, with one line that says what to
write instead.
"""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from loadgen.command.values import escaped, nearest, number, size, think, whole
from loadgen.fleet.limits import fewest_workers
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.host import is_numeric
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record import environment

DEFAULT_HOSTS = {"inet": "127.0.0.1", "inet6": "::1"}
DEFAULT_PORT = 8008
DEFAULT_CLIENTS = 100
# In place of a number of workers: as few as can hold all clients, by the files each may open.
FEWEST_WORKERS = 0
# Processes that a slip of the finger may start: with 20,000 files each, enough for 1,270,000.
MOST_WORKERS_UNASKED = 64
DEFAULT_SECONDS = 3.0
DEFAULT_WARMUP_SECONDS = 0.5
# Each server has so many turns of this length in each of its lives: what is short leaves time for
# more lives, and intervals stand on lives. Turns begin warm, since the one before
# was seconds ago, so that the warm-up is for first replies alone.
TURNS = 1
DEFAULT_TURN_SECONDS = 0.5
TURN_WARMUP_SECONDS = 0.02
# The same where a message takes milliseconds. How fast a server is gets settled anew whenever the
# load is put on, by who then runs on which core, and lasts: over 32 turns of half a second on two
# cores, the tenths of one turn agreed (their correlation was 0.5 to 0.8 for each of the five models
# of the course), and turns that followed each other did not (0.0 to 0.3). So several short ones
# tell more than one that is as long as all of them.
QUICK_TURNS = 2
QUICK_TURN_SECONDS = 0.2
# Up to where a message takes milliseconds: a turn then has tens of them from every client.
MOST_QUICK_CLIENTS = 250
MOST_QUICK_BYTES = 1 << 20
# What is not answered over TCP is late. A datagram is lost, and its client does nothing meanwhile.
DEFAULT_TIMEOUTS = {"tcp": 10.0, "udp": 1.0}


def seed_of(options: argparse.Namespace) -> int:
    """The seed that was asked for, else a new one."""
    seed: int | None = options.seed
    return random.SystemRandom().randrange(2**32) if seed is None else seed


def plans_of(options: argparse.Namespace, seed: int) -> list[Plan]:
    """The plans that the options amount to: one, or one for each point of a curve.

    Raises PlanError when one cannot be carried out, or they make no curve.
    """
    clients: Sequence[int | None] = options.clients or (None,)
    if len(clients) > 1 and options.sweep:
        raise PlanError(
            "a curve runs over one number: give several numbers of --clients, or --sweep"
        )
    name, values = options.sweep or ("clients", clients)
    plain = {**vars(options), "clients": clients[0]}
    plans = [plan_of(argparse.Namespace(**{**plain, name: value}), seed) for value in values]
    talking = [group for group in plans[0].groups if not group.silent]
    if len(plans) > 1 and len(talking) > 1:
        raise PlanError(
            "a curve needs clients that behave alike: leave out --group, or give one number"
        )
    return plans


def plan_of(options: argparse.Namespace, seed: int) -> Plan:
    """The plan that the options amount to. Raises PlanError when it cannot be carried out."""
    endpoint = endpoint_of(options)
    think_seconds, distribution = options.think
    usual = Group(
        clients=options.clients or DEFAULT_CLIENTS,
        size_bytes=options.size,
        think_seconds=think_seconds,
        think_distribution=distribution,
        rate_per_second=options.rate,
        arrivals=options.arrivals,
        # A server that closes after one message leaves no choice.
        messages_per_connection=options.churn or (None if options.talk == "loop" else 1),
        request=options.request,
        reply=options.reply,
        work=options.work,
    )
    others = [parse_group(text, usual) for text in options.group]
    if options.idle is not None:
        others.append(Group(clients=options.idle, name="idle", silent=True))
    groups = [replace(usual, name="main" if others else "all")]
    if options.clients is None and options.group:
        groups = []  # the groups that were described are all there are
    plan = Plan(
        groups=(*groups, *others),
        family=options.family or "inet" if endpoint is None else endpoint.family,
        transport=options.transport,
        talk=options.talk,
        framing=options.framing,
        reply_prefix=options.reply_prefix,
        duration_seconds=None if options.messages else options.duration or DEFAULT_SECONDS,
        messages_per_client=options.messages,
        warmup_seconds=DEFAULT_WARMUP_SECONDS if options.warmup is None else options.warmup,
        timeout_seconds=options.timeout or DEFAULT_TIMEOUTS[options.transport],
        ramp_seconds=options.ramp,
        connect_rate=options.connect_rate,
        workers=_workers(options.workers, [*groups, *others]),
        seed=seed,
        pin=options.pin,
        trace_clients=options.trace_clients,
    )
    plan.validate()
    return plan


def _workers(asked: int | None, groups: Sequence[Group]) -> int:
    """As many as asked for, or as few as can open a file for each client.

    None is for a worker for each core but one, which is left to the server, and for each client
    that talks, where that is more.
    """
    if asked:
        return asked
    needed = fewest_workers(sum(group.clients for group in groups))
    fewest = min(needed, MOST_WORKERS_UNASKED)
    if asked == FEWEST_WORKERS:
        return fewest
    talking = sum(group.clients for group in groups if not group.silent)
    return max(fewest, min(int(environment.cores_to_use() or 1) - 1, talking))


def one_window(options: argparse.Namespace) -> bool:
    """Whether a server alone is to be measured in one go: for so long, and no more was said.

    Whoever gives a time wants to see that time pass, in the charts over time as well.
    """
    return options.duration is not None and options.trials is None and options.precision is None


def in_turns(plan: Plan, options: argparse.Namespace, ours: bool) -> Plan:
    """The plan for a server that takes turns: of the length that was asked for, or that suits it.

    `ours` is for models of this kit, all of which answer at once.
    """
    if plan.duration_seconds is None:
        return plan
    quick = ours and _is_quick(plan)
    turn = options.turn or (QUICK_TURN_SECONDS if quick else DEFAULT_TURN_SECONDS)
    seconds = options.duration or (QUICK_TURNS if quick else TURNS) * turn
    return replace(
        plan,
        duration_seconds=seconds,
        warmup_seconds=TURN_WARMUP_SECONDS if options.warmup is None else options.warmup,
        turns=max(1, round(seconds / turn)),
    )


def _is_quick(plan: Plan) -> bool:
    """Whether clients get many replies within tenths of a second, as far as it lies with the load.

    What comes by the clock, after a pause or work, or on a connection of its own does not.
    """
    talking = [group for group in plan.groups if not group.silent]
    sizes = sum(group.clients * group.size_bytes for group in talking)
    return (
        plan.talking <= MOST_QUICK_CLIENTS
        and sizes <= MOST_QUICK_BYTES
        and not any(
            group.open_loop
            or group.think_seconds
            or group.work is not None
            or group.messages_per_connection is not None
            for group in talking
        )
    )


def endpoint_of(options: argparse.Namespace) -> Endpoint | None:
    """Where a server is to be found that runs already, whether or not one does.

    As --connect says, else the usual port; None for a socket file that nobody named. Raises
    PlanError when --connect and --family contradict each other.
    """
    family = options.family or "inet"
    given: Endpoint | None = options.connect
    if given is None:
        if family not in DEFAULT_HOSTS:
            return None
        return Endpoint(family, DEFAULT_HOSTS[family], DEFAULT_PORT, transport=options.transport)
    if options.family not in (None, given.family):
        if given.family == "unix" or options.family == "unix" or is_numeric(given.host):
            raise PlanError(f"{given} is no {family} address; leave out --family")
        given = replace(given, family=family)
    return replace(given, transport=options.transport)


def parse_group(text: str, usual: Group) -> Group:
    r"""A group as `--group` describes it: key=value pairs between commas, the rest as usual.

    Raises PlanError. A comma within a request is written \x2c.
    """
    found = replace(usual, name="", clients=0)
    for pair in text.split(","):
        key, sign, value = pair.strip().partition("=")
        if not sign or key not in _GROUP_KEYS:
            near = nearest(key, _GROUP_KEYS)
            hint = f"did you mean {near}?" if near else f"keys are {', '.join(_GROUP_KEYS)}"
            raise PlanError(f"--group: cannot read {pair!r}; write key=value, {hint}")
        try:
            found = _GROUP_KEYS[key](found, value)
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise PlanError(f"--group: {key}: {error}") from None
    if not found.name or not found.clients:
        raise PlanError(f"--group {text!r} needs a name and clients: 'name=slow,clients=5'")
    return found


def _thinking(group: Group, value: str) -> Group:
    seconds, distribution = think(value)
    return replace(
        group, think_seconds=seconds, think_distribution=distribution, rate_per_second=None
    )


_GROUP_KEYS: dict[str, Callable[[Group, str], Group]] = {
    "name": lambda group, value: replace(group, name=value),
    "clients": lambda group, value: replace(group, clients=whole(1)(value)),
    "size": lambda group, value: replace(group, size_bytes=size(value)),
    "think": _thinking,
    "rate": lambda group, value: replace(
        group, rate_per_second=number(above=0)(value), think_seconds=0.0
    ),
    "arrivals": lambda group, value: replace(group, arrivals=value),
    "churn": lambda group, value: replace(group, messages_per_connection=whole(1)(value)),
    "work": lambda group, value: replace(group, work=value),
    "request": lambda group, value: replace(group, request=escaped(value)),
    "reply": lambda group, value: replace(group, reply=escaped(value)),
}
