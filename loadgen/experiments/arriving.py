"""Experiments on messages, on coming in, and on what a message costs."""

from typing import Final

from loadgen.experiments.clients import BackToBack, Holders
from loadgen.experiments.experiment import Case, Column, Experiment, Hypothesis, Ranking, names_of
from loadgen.experiments.quantity import Figure, Quantity
from loadgen.judge.registry import (
    CONNECTIONS,
    CPU_CORES,
    CPU_PER_MESSAGE,
    LATENCY_P50,
    LATENCY_P99,
    MESSAGES,
    PROCESSES,
)
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

KIB: Final = 1024


def sticky() -> Experiment:
    """TCP has no messages."""

    def case(framing: str, size: int, messages: int, words: str) -> Case:
        plan = Plan(
            (Group(1, size_bytes=size),),
            framing=framing,
            duration_seconds=None,
            messages_per_client=messages,
        )
        options = ("--framing", framing)
        return Case(f"{framing}, {words}", "thread", plan, options, driver=BackToBack())

    small = [case(framing, 64, 2000, "small") for framing in ("raw", "line", "length")]
    large = [case(framing, 512 * KIB, 8, "large") for framing in ("raw", "length")]
    per_message = "probe.replies_per_message"

    def replies(name: str) -> Quantity:
        return Figure(name, "probe.replies") / Figure(name, "probe.messages")

    return Experiment(
        name="sticky",
        question="A client sends 2,000 messages one after the other. How many replies come back?",
        load="One client sends without waiting: 2,000 messages of 64 bytes, or 8 of 512 KiB, a "
        "send() for each and a send buffer of 64 KiB. The server answers what it takes for one.",
        expectation="Under raw, a message is what one recv() returns. TCP carries bytes, not "
        "messages, so small ones arrive stuck together and large ones in pieces. With framing each "
        "message has one reply, however the bytes travelled.",
        source="RFC 9293, section 2.2: TCP is a stream of bytes without record markers; Stevens, "
        "UNIX Network Programming, volume 1, section 3.9 (readn).",
        cases=(*small, *large),
        columns=(
            Column("messages\nsent", "probe.messages"),
            Column("replies", "probe.replies"),
            Column("replies per\nmessage", per_message),
            Column("answered by\nits own reply", "probe.right_alone"),
            Column("short\nsends", "probe.short_sends"),
            Column("reads that\nended mid-reply", "probe.partial_reads"),
        ),
        ranking=Ranking(
            "From which does a client get the most replies per message?",
            per_message,
            names_of((*small, *large)),
        ),
        hypotheses=(
            Hypothesis(
                "raw: small messages stick together, so there are fewer replies than messages",
                replies("raw, small"),
                at_most=0.9,
                lesson="TCP has no messages: unframed, the small ones were glued together, and "
                "many had one reply.",
                otherwise="Here the server was quick enough to read nearly every small message by "
                "itself ({value} as many replies); nothing promises that it always will.",
            ),
            Hypothesis(
                "raw: a large message comes in pieces, so there are more replies than messages",
                replies("raw, large"),
                at_least=1.5,
                lesson="A large one came in pieces, each taken for a message ({value} as many "
                "replies as messages).",
            ),
            Hypothesis(
                "line: exactly one reply for each message",
                replies("line, small"),
                at_least=1,
                at_most=1,
            ),
            Hypothesis(
                "length: exactly one reply for each message",
                replies("length, small"),
                at_least=1,
                at_most=1,
                lesson="With framing every message had one reply of its own.",
                otherwise="Framing should give one reply for each message, and it did not "
                "({value} as many): that is a fault of the server or of this program.",
            ),
            Hypothesis(
                "length: reads end in the middle of a large reply",
                Figure("length, large", "probe.partial_reads"),
                at_least=1,
                lesson="The large replies were right although reads ended in the middle of one "
                "{value} times: framing code has to put pieces together.",
            ),
            Hypothesis(
                "length: send() takes only a part of a large message",
                Figure("length, large", "probe.short_sends"),
                at_least=1,
            ),
        ),
    )


def queue_at_the_door() -> Experiment:
    """Connected is not served."""
    plan = Plan(
        (Group(20, think_seconds=0.01),),
        duration_seconds=None,
        messages_per_client=10,
        timeout_seconds=20.0,
    )
    short = Case("iterative, backlog 5", "iterative", plan, ("--backlog", "5"))
    deep = Case("iterative, backlog 128", "iterative", plan, ("--backlog", "128"))
    thread = Case("thread, backlog 128", "thread", plan, ("--backlog", "128"))
    connect, first = "connect_seconds.max", "first_reply_seconds.max"
    return Experiment(
        name="queue-at-the-door",
        question="20 clients come at once and the server takes one at a time. Who notices, when?",
        load="20 clients connect at the same time; each sends 10 messages with 10 ms between and "
        "leaves.",
        expectation="The kernel completes connections and queues them before anyone accepts, up to "
        "the backlog: connect() returns at once, and only the first reply shows the wait. Beyond "
        "the backlog the kernel drops the handshake, which the client's kernel repeats after 1 s.",
        source="listen(2) and tcp(7) of Linux; Stevens, UNIX Network Programming, volume 1, "
        "section 4.5; RFC 6298, section 2.1, for the 1 s.",
        cases=(short, deep, thread),
        columns=(
            Column("connected", "connected"),
            Column("served", "served"),
            Column("connect\np50", "connect_seconds.p50"),
            Column("\nmax", connect),
            Column("first reply\np50", "first_reply_seconds.p50"),
            Column("\nmax", first),
            Column("Listen-\nOverflows", "kernel.ListenOverflows"),
        ),
        ranking=Ranking(
            "Where does the last client wait least for its first reply?",
            first,
            names_of((short, deep, thread)),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "backlog 128: the last client to be served has long been connected",
                Figure(deep.name, first) / Figure(deep.name, connect),
                at_least=10,
                lesson="connect() says nothing about being served: with room in the queue, the "
                "longest wait for a first reply was {value} the longest connect.",
            ),
            Hypothesis(
                "backlog 5: some connect() takes a second or more",
                Figure(short.name, connect),
                at_least=0.9,
                lesson="Once the queue is full the kernel drops connections, and the client's own "
                "kernel tries again after a second or more (the longest connect: {value}).",
            ),
            Hypothesis(
                "backlog 5: the kernel counts overflows, more than with 128",
                Figure(short.name, "kernel.ListenOverflows")
                - Figure(deep.name, "kernel.ListenOverflows"),
                at_least=1,
            ),
            Hypothesis(
                "a thread for each client: nobody queues behind the others' conversations",
                Figure(deep.name, first) / Figure(thread.name, first),
                at_least=2,
                lesson="One at a time made the last client wait {value} as long as a thread for "
                "each client did.",
            ),
        ),
    )


def churn() -> Experiment:
    """What it costs to start a thread or a process for each client."""
    plan = Plan((Group(10, messages_per_connection=1),))
    methods = ("fork", "forkserver", "spawn")
    processes = [
        Case(f"process, {method}", "process", plan, ("--start-method", method))
        for method in methods
    ]
    others = [
        Case(model, model, plan)
        for model in ("iterative", "thread", "thread-pool", "prefork", "selectors")
    ]
    held = Case("iterative, one holder", "iterative", plan, driver=Holders(1))
    thread = Figure("thread", CONNECTIONS)
    return Experiment(
        name="churn",
        question="What does it cost to start a thread or a process for every client?",
        load="10 clients connect, send one message, close, and come again at once. In the last "
        "case one more client holds a connection and says nothing.",
        expectation="A thread costs tens of microseconds to start, a forked process some "
        "milliseconds, a fresh interpreter tens of milliseconds. One at a time starts nothing, so "
        "it can look best; one client that lingers shows why that must not be believed.",
        source="Stevens, UNIX Network Programming, volume 1, chapter 30 (client/server design "
        "alternatives); Python's multiprocessing, 'Contexts and start methods'.",
        cases=(*others, *processes, held),
        columns=(
            Column("connec-\ntions/s", CONNECTIONS),
            Column("first reply\np50", "first_reply_seconds.p50"),
            Column("\np99", "first_reply_seconds.p99"),
            Column("starved", "starved"),
            Column("cores\nbusy", CPU_CORES),
            Column("processes", PROCESSES),
        ),
        ranking=Ranking(
            "Which serves the most connections per second?",
            CONNECTIONS,
            names_of((*others, *processes)),
        ),
        hypotheses=(
            Hypothesis(
                "a thread for each client takes at least twice the clients of a forked process",
                thread / Figure("process, fork", CONNECTIONS),
                at_least=2,
                lesson="Starting a thread is cheap beside a fork: threads took {value} the clients "
                "of forked processes.",
            ),
            Hypothesis(
                "spawn, a fresh interpreter for each client, manages at most half of fork",
                Figure("process, spawn", CONNECTIONS) / Figure("process, fork", CONNECTIONS),
                at_most=0.5,
                lesson="A fresh interpreter for each client costs the most: spawn managed {value} "
                "what fork did.",
            ),
            Hypothesis(
                "workers started beforehand take at least twice the clients of forked processes",
                Figure("prefork", CONNECTIONS) / Figure("process, fork", CONNECTIONS),
                at_least=2,
            ),
            Hypothesis(
                "one at a time keeps up with a thread for each client while all are quick",
                Figure("iterative", CONNECTIONS) / thread,
                at_least=0.8,
                lesson="One at a time starts nothing and did {value} the connections of threads, "
                "as long as every client was quick.",
            ),
            Hypothesis(
                "one client that lingers stops one at a time for all others",
                Figure("iterative, one holder", "served"),
                at_most=0,
                lesson="That must not be believed: with one silent client in front, the others "
                "were never served.",
            ),
        ),
    )


def steady() -> Experiment:
    """Small messages and large ones."""
    sizes = {"1 KiB": KIB, "10 KiB": 10 * KIB, "100 KiB": 100 * KIB}
    models = ("process", "thread", "socketserver", "selectors")
    cases = tuple(
        Case(f"{model}, {words}", model, Plan((Group(10, size_bytes=size),)), label=model)
        for words, size in sizes.items()
        for model in models
    )

    def growth(model: str) -> Quantity:
        volume = "payload_bytes_per_second"
        return Figure(f"{model}, 100 KiB", volume) / Figure(f"{model}, 1 KiB", volume)

    def cost_per_byte(model: str, words: str) -> Quantity:
        case = f"{model}, {words}"
        return Figure(case, CPU_CORES) / Figure(case, "payload_bytes_per_second")

    def dearer(words: str) -> Quantity:
        return cost_per_byte("thread", words) - cost_per_byte("selectors", words)

    return Experiment(
        name="steady",
        question="Which model is fastest when clients stay, and does the size of messages matter?",
        load="10 clients stay connected and talk without pause: messages of 1, 10 and 100 KiB.",
        expectation="With small messages the cost is in switching between clients; with large "
        "ones all copy the same bytes, and the difference shrinks.",
        source="Follows from cost = per message + per byte: the part per byte is the kernel's "
        "copying, the same for every model.",
        cases=cases,
        columns=(
            Column("messages\n/s", MESSAGES),
            Column("data\n/s", "payload_bytes_per_second"),
            Column("latency\np50", LATENCY_P50),
            Column("\np99", LATENCY_P99),
            Column("cores\nbusy", CPU_CORES),
        ),
        ranking=Ranking(
            "With messages of 1 KiB, which answers the most per second?",
            MESSAGES,
            tuple(f"{model}, 1 KiB" for model in models),
        ),
        hypotheses=(
            *(
                Hypothesis(
                    f"{model}: messages of 100 KiB carry at least twice the bytes of 1 KiB ones",
                    growth(model),
                    at_least=2,
                    lesson="Large messages carried {value} the bytes per second of small ones "
                    "under threads: what a message costs, whatever its size, is what counts for "
                    "small ones."
                    if model == "thread"
                    else "",
                )
                for model in models
            ),
            Hypothesis(
                "a message of 1 KiB takes more CPU with threads than with an event loop",
                Figure("thread, 1 KiB", CPU_PER_MESSAGE)
                / Figure("selectors, 1 KiB", CPU_PER_MESSAGE),
                at_least=1.1,
                lesson="For a small message, threads took {value} the server's CPU of the event "
                "loop.",
            ),
            Hypothesis(
                "for each byte carried, that difference is at most half as much with 100 KiB",
                dearer("100 KiB") / dearer("1 KiB"),
                at_most=0.5,
                lesson="For each byte carried, that difference was {value} as much with large "
                "ones: all copy the same bytes, and models differ in what a message costs.",
                otherwise="For each byte carried, that difference did not shrink as expected "
                "({value} as much with large ones).",
            ),
        ),
    )
