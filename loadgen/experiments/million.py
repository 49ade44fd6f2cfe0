"""The experiment on a crowd as large as the machine holds: towards a million connections."""

from loadgen.experiments.experiment import (
    Case,
    Column,
    Crowd,
    Experiment,
    Hypothesis,
    Ranking,
    bars,
    names_of,
)
from loadgen.experiments.quantity import Figure, Quantity
from loadgen.experiments.weighing import (
    Weighing,
    room_of_loops,
    room_of_one_loop,
    room_of_processes,
    room_of_threads,
)
from loadgen.judge.registry import LATENCY_P99, MESSAGES, PROCESSES, THREADS
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Picture

SERVER_EACH = "probe.server_bytes_each"
GENERATOR_EACH = "probe.generator_bytes_each"
KERNEL_EACH = "probe.kernel_bytes_each"
LATENCY_P50 = "latency_seconds.p50"


def c1m() -> Experiment:
    """C10K was in 1999."""
    # They pause, so that what they notice is the crowd and not their own rate.
    busy = Plan((Group(10, name="busy", think_seconds=0.020),), timeout_seconds=120.0)
    deep = ("--backlog", "4096")

    def pair(model: str, crowd: Crowd, *options: str) -> tuple[Case, Case]:
        alone = Case(f"{model}, alone", model, busy, options, label=f"{model}, alone")
        many = Case(
            f"{model}, crowd",
            model,
            busy,
            options,
            label=f"{model}, crowd",
            driver=Weighing(),
            crowd=crowd,
        )
        return alone, many

    loops = Crowd(100_000, 10_000, room_of_loops)
    pairs = {
        "reuseport": pair("reuseport", loops, *deep),
        "fd-passing": pair("fd-passing", loops, *deep),
        "selectors": pair("selectors", Crowd(100_000, 10_000, room_of_one_loop), *deep),
        "thread": pair("thread", Crowd(100_000, 10_000, room_of_threads)),
        "process": pair("process", Crowd(1_000, 250, room_of_processes)),
    }
    crowds = [crowd for _, crowd in pairs.values()]

    def each(model: str, path: str) -> Quantity:
        return Figure(f"{model}, crowd", path)

    def slower(model: str) -> Quantity:
        return each(model, LATENCY_P50) / Figure(f"{model}, alone", LATENCY_P50)

    return Experiment(
        name="c1m",
        question="How many connections can one machine hold, and what does each of them weigh?",
        load="10 clients that talk, with pauses of 20 ms, alone; then beside 100,000 that connect "
        "and say nothing (10,000 with --quick, as many as --idle says): event loops in as many "
        "processes as the files that each may open make necessary. One loop and a thread for each "
        "client get no more than one process can hold, a process for each client 1,000 (250).",
        expectation="In event loops the kernel's part of a connection, a socket, a file and "
        "buffers that are empty at each end, is several times what Python keeps of it. So a "
        "million takes memory and descriptors and hardly any CPU, and the busy clients do not "
        "notice. A thread for each takes its stack besides, a process a hundred times as much.",
        source="D. Kegel, 'The C10K problem', 1999; WhatsApp, '1 million is so 2011', 2012, and "
        "Phoenix, 'The road to 2 million websocket connections', 2015, on machines with 24 to 40 "
        "cores.",
        cases=tuple(case for two in pairs.values() for case in two),
        columns=(
            Column("silent,\ncame", "probe.clients"),
            Column("\nheld", "probe.held"),
            Column("bytes each:\nserver", SERVER_EACH),
            Column("\ngenerator", GENERATOR_EACH),
            Column("\nkernel", KERNEL_EACH),
            Column("busy clients:\nmessages/s", MESSAGES),
            Column("\np50", LATENCY_P50),
            Column("\np99", LATENCY_P99),
            Column("threads", THREADS),
            Column("processes", PROCESSES),
        ),
        picture=Picture((bars("Bytes of the server's own for a connection", SERVER_EACH, crowds),)),
        ranking=Ranking(
            "Which takes the least memory of its own for a silent connection?",
            SERVER_EACH,
            names_of(crowds),
            more_is_better=False,
        ),
        hypotheses=(
            *(
                Hypothesis(
                    f"{model}: all who came are held, at the server's end as well",
                    each(model, "probe.held") / each(model, "probe.clients"),
                    at_least=0.99,
                )
                for model in pairs
            ),
            Hypothesis(
                "reuseport: a connection takes at most 4 KiB of the server's memory",
                each("reuseport", SERVER_EACH),
                at_most=4096,
                lesson="A silent connection took the server {value} bytes of its own.",
            ),
            Hypothesis(
                "reuseport: the kernel takes at least twice as much for it",
                each("reuseport", KERNEL_EACH) / each("reuseport", SERVER_EACH),
                at_least=2,
                lesson="For both of its ends the kernel took {value} as much.",
            ),
            Hypothesis(
                "thread: at least four times the memory of the loops",
                each("thread", SERVER_EACH) / each("reuseport", SERVER_EACH),
                at_least=4,
                lesson="With a thread of its own it took {value} what it took in a loop.",
            ),
            Hypothesis(
                "process: at least a hundred times the memory of the loops",
                each("process", SERVER_EACH) / each("reuseport", SERVER_EACH),
                at_least=100,
                lesson="With a process of its own, {value}.",
            ),
            *(
                Hypothesis(
                    f"{model}: the busy clients wait at most 5 times as long beside the crowd",
                    slower(model),
                    at_most=5,
                    lesson="The busy clients' median was {value} what it was without the crowd."
                    if model == "reuseport"
                    else "",
                )
                for model in ("reuseport", "fd-passing", "selectors")
            ),
        ),
    )
