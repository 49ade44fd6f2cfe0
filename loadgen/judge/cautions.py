"""What not to rely on in a result, and what to do about it: a sentence each."""

from collections.abc import Sequence

from loadgen.judge import units
from loadgen.judge.figures import together, undisturbed
from loadgen.judge.names import separated
from loadgen.judge.ranks import LEAST_SECONDS, ONE_TRIAL, TOO_SHORT, headline
from loadgen.judge.registry import STOLEN_FROM_TURN
from loadgen.judge.rows import Row, Trial
from loadgen.judge.service import RATE_REACHED, rates_reached
from loadgen.judge.speeds import Speeds, TwoSpeeds, cause
from loadgen.record.result import Result

# Ten messages beyond the 99th percentile are few enough that one pause moves it.
FEWEST_MESSAGES = 1000
UNSTEADY = 0.10
DRIFT = 0.20
# Programs beside the server and the engine, or a hypervisor, that take so much of a core matter.
OTHERS_BUSY = 0.25
STOLEN = 0.05
# Clients that were answered so unevenly are worth a look: by Jain's index, or by how many times the
# messages of another one had.
UNEVEN_JAIN = 0.95
UNEVEN_TIMES = 2
# Latencies that hold so much of the engine's own waiting are no longer the server's alone.
ENGINE_WAIT = 0.2
# Connects in vain, per client, from which on how long connecting took tells of little else.
OVERFLOWING = 0.1
# A warm-up that took so much longer than asked was prolonged, and not only late.
PROLONGED_SECONDS = 0.1


def cautions(result: Result, found: Sequence[Row]) -> list[str]:
    """What not to rely on, and what to do about it: a sentence each, the gravest first."""
    said = faults(result, found)
    if result.rate_search is not None:
        # Its trials are short where that is enough, and were not to be ranked.
        return list(dict.fromkeys(said + disturbances(result, found)))
    said += _too_little(found)
    said += _short_of_rate(found)
    said += _waits_in_the_engine(found)
    said += _backlog_full(found)
    said += _no_one_speed(result, found)
    said += _unsteady(found)
    said += disturbances(result, found)
    if len(found) > 1 and all(row.unranked == ONE_TRIAL for row in found):
        said.append("one trial each shows no spread, so nothing is ranked; use --trials 3 or more")
    return list(dict.fromkeys(said))


def faults(result: Result, found: Sequence[Row]) -> list[str]:
    """What went wrong or was left out, a sentence each."""
    said: list[str] = []
    if result.cut_short:
        said.append("the run was cut short: the figures cover only what was measured until then")
    for row in found:
        for trial in row.trials:
            said += [f"{row.name}: {sentence}" for sentence in _faults(trial)]
    return said + list(result.notes)


def disturbances(result: Result, found: Sequence[Row]) -> list[str]:
    """Who else had the processors, a sentence each."""
    said = []
    here = result.environment
    cores = here.cores_to_use
    other = max((row.value("machine.other_cores") or 0.0 for row in found), default=0.0)
    if other >= OTHERS_BUSY:
        said.append(
            f"other programs used up to {other:.2f} of {here.usable_cores} cores meanwhile; close "
            "them and run again"
        )
    stolen = max((row.value("machine.stolen_cores") or 0.0 for row in found), default=0.0)
    if stolen >= STOLEN:
        said.append(
            f"the hypervisor took up to {stolen:.2f} cores away; run again when it is quieter"
        )
    runs = [trial.run for row in found for trial in row.trials]
    turns = sum(len(run.tally.turns) for run in runs if run.tally is not None)
    tell = sum(len(undisturbed(run)) for run in runs)
    if tell < turns:
        said.append(
            f"{turns - tell} of {turns} turns count for no rate, since in each of them the "
            f"hypervisor took more than {STOLEN_FROM_TURN} cores away"
        )
    # Of a cluster's machines its own notes tell.
    alone = [row for row in found if not (row.run.tally is not None and row.run.tally.machines)]
    workers = max((row.plan.workers for row in alone), default=0)
    if cores is not None and workers >= cores:
        said.append(
            f"{workers} engine worker(s) and the server share {cores:g} core(s), so each slows the "
            "other; use fewer --workers or a machine with more cores"
        )
    return said


def uneven(row: Row) -> bool | None:
    """Did a trial answer some clients far more often than others? None: nothing to tell by."""
    jains = row.measured("fairness")
    if not jains:
        return None
    ends = zip(row.measured("least_served"), row.measured("most_served"), strict=True)
    return min(jains) < UNEVEN_JAIN or any(most > UNEVEN_TIMES * least for least, most in ends)


def said_of_speeds(speeds: Speeds) -> str:
    """The speeds, with how long it had them: a clause whose subject is the server."""
    slow, fast = units.rate(speeds.slow), units.rate(speeds.fast)
    if isinstance(speeds, TwoSpeeds):
        return (
            f"ran at two speeds, {slow} messages/s for {speeds.slow_share:.0%} of the time and "
            f"{fast} for {speeds.fast_share:.0%}"
        )
    return (
        f"kept no speed: it made less than {slow} messages/s for a tenth of the time and more than "
        f"{fast} for another"
    )


def speeds_in_brief(speeds: Speeds, label: str = "") -> str:
    """The same in place of a figure, whose `label` goes behind the numbers."""
    slow, fast = units.rate(speeds.slow), units.rate(speeds.fast)
    if isinstance(speeds, TwoSpeeds):
        return f"{slow} or {fast}{label}: two speeds"
    return f"{slow} to {fast}{label}: wanders"


def prolonged_warmup(row: Row) -> float | None:
    """The longest warm-up in seconds, where clients that awaited a first reply prolonged it."""
    longest = row.value("warmup_seconds")
    asked = row.plan.warmup_seconds
    return longest if longest and asked and longest > asked + PROLONGED_SECONDS else None


def drift_of(trial: Trial) -> float | None:
    """How the rate changed from the first third of the window to the last: 0.2 is 20 % more.

    None when the window is too short to cut in three, and where it is many, in turns.
    """
    if trial.run.tally is None or trial.run.tally.turns:
        return None
    line = together(trial.run.tally.groups).timeline[:-1]  # the last slice is seldom a whole one
    third = len(line) // 3
    if third < 3:
        return None
    first, last = sum(line[:third]), sum(line[-third:])
    return last / first - 1 if first else None


def _faults(trial: Trial) -> list[str]:
    """What went wrong in one run."""
    run = trial.run
    if run.tally is None:
        return [run.problem_in_brief or "nothing was measured"]
    said = [*run.notes, *([run.tally.stopped_early] if run.tally.stopped_early else [])]
    if run.trace is not None and run.clock_doubt_ns:
        said.append(
            "its traces join clocks of several machines: what seems to be of one moment may be "
            f"{units.seconds(run.clock_doubt_ns / 1e9)} apart"
        )
    return said + [
        f"trial {run.trial} is invalid, {check.name}: {check.detail}"
        for check in trial.audit.failures
    ]


def _backlog_full(found: Sequence[Row]) -> list[str]:
    """Whom the server's kernel had no room for; the client's tries again after 1 s, 3 s, 7 s.

    A silent client on the same machine tries again itself, and sooner.
    """
    said = []
    for row in found:
        vain = max((trial.run.kernel or {}).get("ListenOverflows", 0) for trial in row.trials)
        if vain > OVERFLOWING * row.plan.clients:
            said.append(
                f"{row.name}: {vain:,} times a client found the backlog full and had to try again, "
                "for which one that talks waits a second or more; connect more slowly, with "
                "--connect-rate or --ramp, or give the server a larger --backlog"
            )
    return said


def _too_little(found: Sequence[Row]) -> list[str]:
    said = []
    short = [row.name for row in found if row.unranked == TOO_SHORT]
    if short:
        what = "too short to rank" if len(found) > 1 else "which proves little"
        said.append(
            f"less than {LEAST_SECONDS:g} s was measured, {what} "
            f"({separated(list(dict.fromkeys(short)))}); use a longer --duration, more --lives, or "
            "more --messages"
        )
    few = [
        row.name for row in found if 0 < (row.value("latency_seconds.count") or 0) < FEWEST_MESSAGES
    ]
    if few:
        said.append(
            f"p99 rests on fewer than {FEWEST_MESSAGES:,} messages, too few to rely on "
            f"({separated(list(dict.fromkeys(few)))}); use a longer --duration"
        )
    return said


def _waits_in_the_engine(found: Sequence[Row]) -> list[str]:
    shares = {row.name: row.value("engine.wait_share") or 0.0 for row in found}
    much = [f"{name} {units.share(one)}" for name, one in shares.items() if one >= ENGINE_WAIT]
    said = (
        "a part of the latency is the load generator's own: replies that came at the same time are "
        f"read one after another ({separated(much)} of the latency); use more --workers, or --rate"
    )
    return [said] if much else []


def _short_of_rate(found: Sequence[Row]) -> list[str]:
    """Which groups among several did not get their rate; of a single one its row says so."""
    said = []
    for row in found:
        for group in row.plan.groups if len(row.plan.groups) > 1 else ():
            shares = [
                rates_reached(trial.run, trial.figures).get(group.name, 1.0) for trial in row.trials
            ]
            if group.rate_per_second is not None and min(shares) < RATE_REACHED:
                said.append(
                    f"{row.name}: the group {group.name} got {min(shares):.0%} of the "
                    f"{units.rate(group.rate_per_second)} messages/s asked for"
                )
    return said


def _no_one_speed(result: Result, found: Sequence[Row]) -> list[str]:
    said = []
    for row in found:
        if row.speeds is None:
            continue
        cores = result.environment.usable_cores
        if cores is not None and row.plan.pin:
            cores -= row.plan.workers
        speeds = "two speeds" if isinstance(row.speeds, TwoSpeeds) else "many speeds"
        said.append(
            f"{row.name} had {speeds}, and its mean stands for none of them: "
            + cause(row.run.model, row.run.gil, cores, row.value("machine.stolen_cores") or 0.0)
        )
    return said


def _unsteady(found: Sequence[Row]) -> list[str]:
    said = []
    spreads = {
        row.name: row.estimate(headline(row.plan).path) for row in found if row.speeds is None
    }
    wide = [
        f"{name} +/- {units.spread(known)}"
        for name, known in spreads.items()
        if known is not None and known.spread is not None and known.spread > UNSTEADY
    ]
    if wide:
        what, more = "trials", "--trials"
        if all(row.took_turns for row in found):
            once = all(len(row.trials) == 1 for row in found)
            what, more = "turns of a life" if once else "lives", "--lives"
        said.append(
            f"{what} differ much ({separated(wide)}); close other programs, use more {more} or "
            "a longer --duration"
        )
    drifts = {
        row.name: max(known, key=abs)
        for row in found
        if row.unranked in (None, ONE_TRIAL)
        and (known := [drift for trial in row.trials if (drift := drift_of(trial)) is not None])
    }
    moved = [f"{name} {drift:+.0%}" for name, drift in drifts.items() if abs(drift) > DRIFT]
    if moved:
        said.append(
            f"the rate changed from the first to the last third of a run ({separated(moved)}); "
            "use a longer --warmup and --duration"
        )
    return said
