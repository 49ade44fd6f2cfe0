"""Experiments on who gets how much, and on how one has to look to see it."""

from dataclasses import replace

from loadgen.experiments.experiment import Case, Column, Experiment, Hypothesis, Ranking, names_of
from loadgen.experiments.quantity import Figure
from loadgen.judge.registry import LATENCY_P50, LATENCY_P99, MESSAGES
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Part, Picture, Series


def who_got_served() -> Experiment:
    """How accepts spread over workers."""
    # Work that waits: what a worker gives is then the same however busy the machine is.
    group = Group(20, work="sleep:5")
    plan, come_and_go = Plan((group,)), Plan((replace(group, messages_per_connection=10),))
    workers = ("--work", "--workers", "4")
    cases = (
        Case("reuseport", "reuseport", plan, workers),
        Case("fd-passing", "fd-passing", plan, workers),
        Case("prefork, come and go", "prefork", come_and_go, workers, label="prefork"),
    )
    fewest, most = "server.fewest_connections", "server.most_connections"
    return Experiment(
        name="who-got-served",
        question="Four worker processes share the clients. Who decides which worker gets whom?",
        load="20 lasting clients at 4 workers, each message 5 ms of blocking work; for prefork, "
        "whose workers take one client at a time, 20 that leave after 10 messages and come again.",
        expectation="With SO_REUSEPORT the kernel deals connections out by a hash of their "
        "addresses: some workers get many and some few, and a client at a crowded one is served "
        "less. Who passes descriptors sees how many each has. In a pool that shares one listener, "
        "whoever is free takes the next.",
        source="socket(7) on SO_REUSEPORT; M. Majkowski, 'Why does one NGINX worker take all the "
        "load?', 2017.",
        cases=cases,
        columns=(
            Column("connections:\nfewest", fewest),
            Column("\nmost", most),
            Column("messages:\nleast served", "least_served"),
            Column("\nmost served", "most_served"),
            Column("Jain", "fairness"),
            Column("messages\n/s", MESSAGES),
            Column("p99", LATENCY_P99),
        ),
        picture=Picture(
            tuple(
                Part(
                    title,
                    (
                        Series(fewest, "{value} at the worker with the fewest"),
                        Series(most, "{value} at the one with the most"),
                    ),
                    names_of(same),
                )
                for title, same in (
                    ("Connections of 20 lasting clients, at 4 workers", cases[:2]),
                    ("Connections of 20 that come and go", cases[2:]),
                )
            )
        ),
        ranking=Ranking(
            "With lasting clients, whose are served most evenly?",
            "fairness",
            ("reuseport", "fd-passing"),
        ),
        hypotheses=(
            Hypothesis(
                "reuseport: a hash is uneven; the fullest worker has at least 2 clients more than "
                "the emptiest",
                Figure("reuseport", most) - Figure("reuseport", fewest),
                at_least=2,
                lesson="The kernel's hash gave one worker {value} clients more than another.",
                otherwise="The kernel's hash happened to deal evenly this time; run it again.",
            ),
            Hypothesis(
                "fd-passing: no worker has more than one client more than another",
                Figure("fd-passing", most) - Figure("fd-passing", fewest),
                at_most=1,
                lesson="Passing descriptors to the worker that has the fewest left a difference of "
                "{value}.",
            ),
            Hypothesis(
                "reuseport: a client at the emptiest worker is served at least 1.3 times as often "
                "as one at the fullest",
                Figure("reuseport", "most_served") / Figure("reuseport", "least_served"),
                at_least=1.3,
                lesson="Under reuseport the luckiest client was served {value} as often as the "
                "slowest.",
            ),
            Hypothesis(
                "prefork: every worker takes its part, at least a tenth of what the busiest takes",
                Figure("prefork, come and go", fewest) / Figure("prefork, come and go", most),
                at_least=0.1,
            ),
        ),
    )


def coordinated_omission() -> Experiment:
    """The same stall, two stories."""
    # The stall falls into this window, see `specimens`.
    plan = Plan((Group(10),), duration_seconds=3.0, warmup_seconds=0.5)
    closed = Case("closed loop", "stalling-loop", plan, label="closed loop", fixed=True)
    opened = Case(
        "open loop, 1,000/s",
        "stalling-loop",
        replace(plan, groups=(Group(10, rate_per_second=1000.0),)),
        label="open loop",
        fixed=True,
    )
    due = "response_seconds.p99"
    return Experiment(
        name="coordinated-omission",
        question="A server stands still for one second. How bad does the 99th percentile look?",
        load="A server that answers at once, and stalls once for 1 s. 10 clients in a closed loop "
        "(each waits for its reply); then 1,000 messages/s that are due whatever happens.",
        expectation="In a closed loop the clients stop asking while the server stalls, so the "
        "second counts ten times among tens of thousands of messages and vanishes from p99. At a "
        "fixed rate a third of the window's messages fall due in that second, and their users "
        "wait.",
        source="G. Tene, 'How NOT to measure latency', 2013, who named it; wrk2's README.",
        cases=(closed, opened),
        columns=(
            Column("messages\n/s", MESSAGES),
            Column("from sent:\np50", LATENCY_P50),
            Column("\np99", LATENCY_P99),
            Column("\nmax", "latency_seconds.max"),
            Column("from due:\np50", "response_seconds.p50"),
            Column("\np99", due),
            Column("\nmax", "response_seconds.max"),
        ),
        picture=Picture(
            (
                Part(
                    "The 99th percentile",
                    (Series(LATENCY_P99, "{value} from sent"), Series(due, "{value} from due")),
                    (closed.name, opened.name),
                ),
            )
        ),
        ranking=Ranking(
            "Where is the 99th percentile of latency (from sent to reply) lower?",
            LATENCY_P99,
            (closed.name, opened.name),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "both saw the stall: the longest wait is near a second, closed loop",
                Figure(closed.name, "latency_seconds.max"),
                at_least=0.9,
                at_most=2,
            ),
            Hypothesis(
                "closed loop: p99 does not show it",
                Figure(closed.name, LATENCY_P99),
                at_most=0.1,
                lesson="The closed loop saw the stall and reports a p99 of {value}.",
            ),
            Hypothesis(
                "open loop, counted from when messages were due: p99 is most of a second",
                Figure(opened.name, due),
                at_least=0.5,
                lesson="Counted from when they were due, the same stall is a p99 of {value}.",
            ),
            Hypothesis(
                "the two stories differ at least tenfold",
                Figure(opened.name, due) / Figure(closed.name, LATENCY_P99),
                at_least=10,
                lesson="The same second, {value} as bad: who asks for percentiles has to ask how "
                "the load was put on.",
            ),
        ),
    )
