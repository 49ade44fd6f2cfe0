"""Experiments on messages, on coming in, and on what a message costs."""

from typing import Final

from loadgen.experiments.clients import BackToBack, Holders
from loadgen.experiments.experiment import (
    Case,
    Column,
    Experiment,
    Hypothesis,
    Ranking,
    bars,
    names_of,
)
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
from loadgen.record.lesson import Part, Picture, Series

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
        picture=Picture(
            tuple(
                Part(title, (Series("probe.replies", says, "probe.messages"),), names_of(same))
                for title, says, same in (
                    (
                        "2,000 messages of 64 bytes, one after the other",
                        "{value} replies to {of} messages",
                        small,
                    ),
                    ("8 messages of 512 KiB", "{value} replies to {of} messages", large),
                )
            )
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
                "many shared one reply.",
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


def nagle() -> Experiment:
    """A reply in two pieces, and what TCP_NODELAY is for."""
    plan = Plan((Group(10),))
    whole = (
        Case("one piece", "thread", plan, label="one piece"),
        Case(
            "one piece, --nodelay off",
            "thread",
            plan,
            ("--nodelay", "off"),
            label="one piece, Nagle",
        ),
    )
    pieces = (
        Case("two pieces, TCP_NODELAY", "two-pieces-nodelay", plan),
        Case("two pieces", "two-pieces", plan),
    )
    at_once, held_back = (Figure(case.name, LATENCY_P50) for case in pieces)
    return Experiment(
        name="nagle",
        question="A server writes each reply in two pieces. What does that do to its clients?",
        load="10 clients talk without pause. Our thread model sends each reply whole, with "
        "TCP_NODELAY and without; two specimens send its front and its message one by one, with "
        "TCP_NODELAY and, as sockets are by default, without.",
        expectation="Nagle's algorithm holds a small piece back until everything before it has "
        "been confirmed, and the client, which has nothing to send before it has the whole reply, "
        "puts that off for 40 ms (Linux). A reply that is sent whole waits for nothing.",
        source="RFC 896 (Nagle 1984); RFC 1122, section 4.2.3.2, delayed ACK; tcp(7), TCP_NODELAY.",
        cases=(*whole, *pieces),
        columns=(
            Column("messages\n/s", MESSAGES),
            Column("latency\np50", LATENCY_P50),
            Column("\np99", LATENCY_P99),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture(
            (bars("How long half of the replies took", LATENCY_P50, (*whole, *pieces)),)
        ),
        ranking=Ranking(
            "Where do clients wait least for a reply (median)?",
            LATENCY_P50,
            names_of((*whole, *pieces)),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "two pieces: half of the replies wait for a delayed confirmation, 40 ms",
                held_back,
                at_least=0.035,
                at_most=0.2,
                lesson="Written in two pieces, half of the replies took {value} or more, while "
                "nobody did anything: each side waited for the other.",
                otherwise="Here clients confirm at once, so that two pieces cost no wait "
                "({value}).",
            ),
            Hypothesis(
                "that is at least 10 times as long as with TCP_NODELAY",
                held_back / at_once,
                at_least=10,
                lesson="That is {value} as long as with TCP_NODELAY.",
            ),
            Hypothesis(
                "one piece: Nagle's algorithm makes no reply wait",
                Figure(whole[1].name, LATENCY_P50),
                at_most=0.02,
                lesson="A reply that is sent whole waits for nothing even without it ({value}).",
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
            Column("first\nreply\np50", "first_reply_seconds.p50"),
            Column("\n\nmax", first),
            Column("Listen-\nOverflows", "kernel.ListenOverflows"),
        ),
        picture=Picture(lanes=names_of((short, deep, thread))),
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
            Column("first\nreply\np50", "first_reply_seconds.p50"),
            Column("\n\np99", "first_reply_seconds.p99"),
            Column("starved", "starved"),
            Column("cores\nbusy", CPU_CORES),
            Column("CPU per\nconnection", CPU_PER_MESSAGE),
            Column("processes", PROCESSES),
        ),
        picture=Picture(
            (
                bars(
                    "What a client costs the server, start and all: CPU for each connection",
                    CPU_PER_MESSAGE,
                    (*others, *processes, held),
                    nothing="nobody was served",
                ),
            )
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

    def cost(model: str, words: str) -> Quantity:
        return Figure(f"{model}, {words}", CPU_PER_MESSAGE)

    return Experiment(
        name="steady",
        question="Which model is fastest when clients stay, and does the size of messages matter?",
        load="10 clients stay connected and talk without pause: messages of 1, 10 and 100 KiB.",
        expectation="A message costs something whatever its size, and something for each byte. "
        "Models differ in the first, in how they switch between clients; the second is the "
        "kernel's copying, the same for all. So the larger the messages, the less they differ, "
        "where each keeps its memory: a server that asks for it anew for each large message is "
        "busy with page faults.",
        source="Follows from cost = per message + per byte. Measured for this kit: once it kept "
        "each client's memory, a message of 100 KiB took a fifth of the time.",
        cases=cases,
        columns=(
            Column("messages\n/s", MESSAGES),
            Column("data\n/s", "payload_bytes_per_second"),
            Column("latency\np50", LATENCY_P50),
            Column("\np99", LATENCY_P99),
            Column("CPU per\nmessage", CPU_PER_MESSAGE),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture(
            tuple(
                bars(
                    f"Messages of {words}, answered per second",
                    MESSAGES,
                    [case for case in cases if case.name.endswith(f", {words}")],
                )
                for words in sizes
            )
        ),
        ranking=Ranking(
            "With messages of 1 KiB, which answers the most per second?",
            MESSAGES,
            tuple(f"{model}, 1 KiB" for model in models),
        ),
        hypotheses=(
            *(
                Hypothesis(
                    f"{model}: messages of 100 KiB carry at least 3 times the bytes of 1 KiB ones",
                    growth(model),
                    at_least=3,
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
                cost("thread", "1 KiB") / cost("selectors", "1 KiB"),
                at_least=1.1,
                lesson="For a small message, threads took {value} the server's CPU of the event "
                "loop.",
            ),
            *(
                Hypothesis(
                    f"{model}: a message of 100 KiB takes at most 15 times the CPU of one of 1 KiB",
                    cost(model, "100 KiB") / cost(model, "1 KiB"),
                    at_most=15,
                    lesson="A hundred times the bytes took {value} the CPU in the event loop."
                    if model == "selectors"
                    else "",
                    otherwise=f"Under {model} a large message took {{value}} the CPU of a small "
                    "one, more than its bytes explain: look for memory that is asked for anew.",
                )
                for model in models
            ),
            Hypothesis(
                "with 100 KiB, threads take at most 1.6 times the CPU of an event loop",
                cost("thread", "100 KiB") / cost("selectors", "100 KiB"),
                at_most=1.6,
                lesson="With large messages threads took {value} the CPU of the loop: both copy "
                "the same bytes.",
            ),
        ),
    )
