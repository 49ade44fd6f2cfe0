"""Experiments on work: who waits while the server computes, hashes or waits itself."""

from typing import Final

from loadgen.experiments.experiment import (
    Case,
    Column,
    Experiment,
    Hypothesis,
    Ranking,
    bars,
    names_of,
)
from loadgen.experiments.quantity import Figure
from loadgen.judge.registry import CPU_CORES, LATENCY_P50, LATENCY_P99, MESSAGES, THREADS
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Picture

# It pauses, so that the others have the server to themselves when its next message comes: without
# a pause it often gets the GIL back before anyone else has noticed that it was free.
_QUICK: Final = Group(1, name="quick", think_seconds=0.010)


def gil_duel() -> Experiment:
    """Who makes whom wait for the GIL."""
    models = ("thread", "process", "selectors")
    cases = tuple(
        Case(
            model if not hogs else f"{model}, {hogs} fib",
            model,
            Plan((_QUICK, Group(hogs, name="fib", work="fib:27")) if hogs else (_QUICK,)),
            ("--work",),
            label=model,
        )
        for model in models
        for hogs in (0, 1, 2)
    )
    p50 = "groups.quick.latency_seconds.p50"

    return Experiment(
        name="gil-duel",
        question="One client is quick, others ask for arithmetic. Who makes the quick one wait?",
        load="One client sends small messages, each 10 ms after the last reply, beside 0, 1 and 2 "
        "that keep asking for fib(27), some tens of milliseconds of pure Python.",
        expectation="In one process one thread at a time runs Python. Whenever the calculation "
        "has the GIL, the quick client's thread waits the switch interval of 5 ms before it may "
        "have it; in an event loop it waits for the whole calculation, every time. Processes have "
        "a GIL each.",
        source="Python's sys.setswitchinterval (5 ms); D. Beazley, 'Understanding the Python GIL', "
        "PyCon 2010.",
        cases=cases,
        columns=(
            Column("quick client:\np50", p50),
            Column("\np99", "groups.quick.latency_seconds.p99"),
            Column("\nmax", "groups.quick.latency_seconds.max"),
            Column("fib\n/s", "groups.fib.messages_per_second"),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture(
            (bars("How long the quick client waits for a reply (median)", p50, cases),)
        ),
        ranking=Ranking(
            "Beside one client that asks for fib, where does the quick one wait least (median)?",
            p50,
            tuple(f"{model}, 1 fib" for model in models),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "threads: half of the quick client's messages wait out the switch interval",
                Figure("thread, 1 fib", p50),
                at_least=0.0045,
                at_most=0.03,
                lesson="Under threads the median wait of the quick client became {value}: the "
                "switch interval of 5 ms, and what it takes to get a core.",
            ),
            Hypothesis(
                "event loop: half of its messages wait for most of a calculation",
                Figure("selectors, 1 fib", p50),
                at_least=0.012,
                lesson="In the event loop it waited for the whole calculation ({value}).",
            ),
            Hypothesis(
                "processes: beside one calculation it waits a third as long as with threads, or "
                "less",
                Figure("thread, 1 fib", p50) / Figure("process, 1 fib", p50),
                at_least=3,
                lesson="With a process each it hardly waited, under threads {value} as long: each "
                "process has a GIL of its own.",
            ),
        ),
    )


def gil_free() -> Experiment:
    """Work that releases the GIL."""

    def case(name: str, model: str, hogs: int, work: str, *others: Group) -> Case:
        plan = Plan((*others, Group(hogs, name="hog", work=work)))
        return Case(name, model, plan, ("--work",), label=model)

    fib, sha = "fib:27", "sha256:4096"
    alone = (
        case("thread, 1 fib", "thread", 1, fib),
        case("thread, 2 fib", "thread", 2, fib),
        case("thread, 1 sha256", "thread", 1, sha),
        case("thread, 2 sha256", "thread", 2, sha),
        case("process, 2 fib", "process", 2, fib),
    )
    beside = (
        case("thread, quick + 1 fib", "thread", 1, fib, _QUICK),
        case("thread, quick + 1 sha256", "thread", 1, sha, _QUICK),
    )
    rate = "groups.hog.messages_per_second"
    p50 = "groups.quick.latency_seconds.p50"
    return Experiment(
        name="gil-free",
        question="Does the GIL slow down every kind of computing?",
        load="One and two clients keep asking for work: fib(27) in Python, or SHA-256 of 4 MiB in "
        "C; then one of each beside a quick client with small messages and pauses of 10 ms.",
        expectation="hashlib releases the GIL while it hashes more than 2,047 bytes, so two "
        "threads hash on two cores, and nobody waits for them; two that run Python share one.",
        source="Python's hashlib, note on the release of the GIL; the thread state and the GIL in "
        "the C API's manual.",
        cases=(*alone, *beside),
        columns=(
            Column("work done\n/s", rate),
            Column("\np50", "groups.hog.latency_seconds.p50"),
            Column("quick client:\np50", p50),
            Column("\np99", "groups.quick.latency_seconds.p99"),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture(
            (
                bars("fib, in Python: work done per second", rate, [alone[0], alone[1], alone[4]]),
                bars("SHA-256, in C: work done per second", rate, alone[2:4]),
                bars("How long a quick client beside it waits for a reply (median)", p50, beside),
            )
        ),
        ranking=Ranking("Which keeps the most cores busy?", CPU_CORES, names_of(alone)),
        hypotheses=(
            Hypothesis(
                "fib: a second thread adds next to nothing",
                Figure("thread, 2 fib", rate) / Figure("thread, 1 fib", rate),
                at_most=1.3,
                cores=2,
                lesson="Two threads that run Python did {value} the work of one.",
            ),
            Hypothesis(
                "sha256: two threads keep more than one core busy",
                Figure("thread, 2 sha256", CPU_CORES) / Figure("thread, 2 fib", CPU_CORES),
                at_least=1.15,
                cores=2,
                lesson="Two that hash in C got {value} the CPU of two that run Python: the GIL is "
                "free meanwhile.",
            ),
            Hypothesis(
                "beside fib a quick client waits at least 3 times as long as beside a hash",
                Figure("thread, quick + 1 fib", p50) / Figure("thread, quick + 1 sha256", p50),
                at_least=3,
                lesson="A quick client waited {value} as long beside fib as beside a hash.",
            ),
            Hypothesis(
                "fib: two processes do more than two threads",
                Figure("process, 2 fib", rate) / Figure("thread, 2 fib", rate),
                at_least=1.2,
                cores=2,
                lesson="Processes bring the second core to Python as well: {value} the work.",
            ),
        ),
    )


def sleepy_backend() -> Experiment:
    """Throughput is workers / delay."""
    clients, delay = 32, 0.010
    plan = Plan((Group(clients, work="sleep:10", messages_per_connection=5),))

    def case(name: str, model: str, *options: str) -> Case:
        return Case(name, model, plan, ("--work", *options))

    cases = (
        case("thread-pool of 4", "thread-pool", "--workers", "4"),
        case("thread-pool of 16", "thread-pool", "--workers", "16"),
        case("thread", "thread"),
        case("selectors", "selectors"),
        case("selectors-pool of 16", "selectors-pool", "--workers", "16"),
    )
    return Experiment(
        name="sleepy-backend",
        question="The server waits for a database, 10 ms each time. How many answers per second?",
        load="32 clients, each message 10 ms of blocking work for the server; a new connection "
        "every 5 messages, so that all get a turn.",
        expectation="Waiting needs no CPU but it needs a place to wait: throughput = workers / "
        "delay, 400/s with 4 and 1,600/s with 16. An event loop that blocks has one place "
        "(100/s); a pool behind it cures that.",
        source="Little's law: L = rate x time (Little 1961); Welsh, Culler and Brewer, 'SEDA', "
        "2001, for pools behind an event loop.",
        cases=cases,
        columns=(
            Column("messages\n/s", MESSAGES),
            Column("latency\np50", LATENCY_P50),
            Column("\np99", LATENCY_P99),
            Column("threads", THREADS),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture((bars("Messages answered per second", MESSAGES, cases),)),
        ranking=Ranking("Which answers the most per second?", MESSAGES, names_of(cases)),
        hypotheses=(
            Hypothesis(
                "a pool of 4: at most 4 / 10 ms, and not far below",
                Figure("thread-pool of 4", MESSAGES),
                at_least=0.6 * 4 / delay,
                at_most=1.05 * 4 / delay,
                lesson="Four places to wait gave {value}: throughput is workers / delay.",
            ),
            Hypothesis(
                "a pool of 16 does at least 2.5 times as much",
                Figure("thread-pool of 16", MESSAGES) / Figure("thread-pool of 4", MESSAGES),
                at_least=2.5,
            ),
            Hypothesis(
                "an event loop that blocks: at most 1 / 10 ms",
                Figure("selectors", MESSAGES),
                at_least=0.6 / delay,
                at_most=1.05 / delay,
                lesson="The event loop waits in the one place that it has ({value}).",
            ),
            Hypothesis(
                "a pool behind the loop does at least 5 times as much",
                Figure("selectors-pool of 16", MESSAGES) / Figure("selectors", MESSAGES),
                at_least=5,
                lesson="A pool behind it made that {value} as much.",
            ),
            Hypothesis(
                "a thread for each of the 32 clients does at least 4 times as much as a pool of 4",
                Figure("thread", MESSAGES) / Figure("thread-pool of 4", MESSAGES),
                at_least=4,
            ),
        ),
    )
