"""The experiments, in the order in which a course would use them.

Bounds are wide, since what is claimed must hold on a noisy machine with two cores: a claim is about
which way and by how much roughly, never about the last ten per cent.
"""

from dataclasses import replace
from typing import Final

from ..plan import Group, Plan
from .clients import BackToBack, Holders, NeverReads
from .experiment import Case, Column, Experiment, Hypothesis, Ranking, names_of
from .quantity import Figure, Quantity

KIB: Final = 1024

_RATE: Final = "messages_per_second"
_CONNECTIONS: Final = "connections_per_second"
_P50: Final = "latency_seconds.p50"
_P99: Final = "latency_seconds.p99"
_CPU: Final = "server.cpu_cores"
_COST: Final = "server.cpu_seconds_per_message"
_MEMORY: Final = "server.memory_bytes"
_THREADS: Final = "server.threads"
_PROCESSES: Final = "server.processes"


def _sticky() -> Experiment:
    def case(framing: str, size: int, messages: int, words: str) -> Case:
        plan = Plan(
            (Group(1, size_bytes=size),),
            framing=framing,
            duration_seconds=None,
            messages_per_client=messages,
        )
        options = ("--framing", framing)
        return Case(f"{framing}, {words}", "thread", plan, options, load=BackToBack())

    small = [case(framing, 64, 2000, "small") for framing in ("raw", "line", "length")]
    large = [case(framing, 512 * KIB, 8, "large") for framing in ("raw", "length")]
    per_message = "probe.replies_per_message"
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
            Column("messages\nsent", "intended"),
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
                Figure("raw, small", per_message),
                at_most=0.9,
                lesson="TCP has no messages: unframed, the small ones were glued together "
                "({value} replies for each message).",
                otherwise="Here the server was quick enough to read nearly every small message by "
                "itself ({value} replies each); nothing promises that it always will.",
            ),
            Hypothesis(
                "raw: a large message comes in pieces, so there are more replies than messages",
                Figure("raw, large", per_message),
                at_least=1.5,
                lesson="A large one came in pieces, each taken for a message ({value} replies "
                "each).",
            ),
            Hypothesis(
                "line: exactly one reply for each message",
                Figure("line, small", per_message),
                at_least=1,
                at_most=1,
            ),
            Hypothesis(
                "length: exactly one reply for each message",
                Figure("length, small", per_message),
                at_least=1,
                at_most=1,
                lesson="With framing every message had one reply of its own.",
                otherwise="Framing should give one reply for each message, and it did not "
                "({value}): that is a fault of the server or of this program.",
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


def _queue_at_the_door() -> Experiment:
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
                lesson="Once the queue is full the kernel drops newcomers, and the client's own "
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


def _churn() -> Experiment:
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
    held = Case("iterative, one holder", "iterative", plan, load=Holders(1))
    thread = Figure("thread", _CONNECTIONS)
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
            Column("connec-\ntions/s", _CONNECTIONS),
            Column("first reply\np50", "first_reply_seconds.p50"),
            Column("\np99", "first_reply_seconds.p99"),
            Column("starved", "starved"),
            Column("cores\nbusy", _CPU),
            Column("processes", _PROCESSES),
        ),
        ranking=Ranking(
            "Which serves the most connections per second?",
            _CONNECTIONS,
            names_of((*others, *processes)),
        ),
        hypotheses=(
            Hypothesis(
                "a thread for each client takes at least twice the clients of a forked process",
                thread / Figure("process, fork", _CONNECTIONS),
                at_least=2,
                lesson="Starting a thread is cheap beside a fork: threads took {value} the clients "
                "of forked processes.",
            ),
            Hypothesis(
                "spawn, a fresh interpreter for each client, manages at most half of fork",
                Figure("process, spawn", _CONNECTIONS) / Figure("process, fork", _CONNECTIONS),
                at_most=0.5,
                lesson="A fresh interpreter for each client costs the most: spawn managed {value} "
                "what fork did.",
            ),
            Hypothesis(
                "workers started beforehand take at least twice the clients of forked processes",
                Figure("prefork", _CONNECTIONS) / Figure("process, fork", _CONNECTIONS),
                at_least=2,
            ),
            Hypothesis(
                "one at a time keeps up with a thread for each client while all are quick",
                Figure("iterative", _CONNECTIONS) / thread,
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


def _steady() -> Experiment:
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
        return Figure(case, _CPU) / Figure(case, "payload_bytes_per_second")

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
            Column("messages\n/s", _RATE),
            Column("data\n/s", "payload_bytes_per_second"),
            Column("latency\np50", _P50),
            Column("\np99", _P99),
            Column("cores\nbusy", _CPU),
        ),
        ranking=Ranking(
            "With messages of 1 KiB, which answers the most per second?",
            _RATE,
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
                Figure("thread, 1 KiB", _COST) / Figure("selectors, 1 KiB", _COST),
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


# It pauses, so that the others have the server to themselves when its next message comes: without
# a pause it often gets the GIL back before anyone else has noticed that it was free.
_QUICK: Final = Group(1, name="quick", think_seconds=0.010)


def _gil_duel() -> Experiment:
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
        "that keep asking for fib(27), some 50 ms of pure Python.",
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
            Column("cores\nbusy", _CPU),
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


def _gil_free() -> Experiment:
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
            Column("cores\nbusy", _CPU),
        ),
        ranking=Ranking("Which keeps the most cores busy?", _CPU, names_of(alone)),
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
                Figure("thread, 2 sha256", _CPU) / Figure("thread, 2 fib", _CPU),
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


def _sleepy_backend() -> Experiment:
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
            Column("messages\n/s", _RATE),
            Column("latency\np50", _P50),
            Column("\np99", _P99),
            Column("threads", _THREADS),
            Column("cores\nbusy", _CPU),
        ),
        ranking=Ranking("Which answers the most per second?", _RATE, names_of(cases)),
        hypotheses=(
            Hypothesis(
                "a pool of 4: at most 4 / 10 ms, and not far below",
                Figure("thread-pool of 4", _RATE),
                at_least=0.6 * 4 / delay,
                at_most=1.05 * 4 / delay,
                lesson="Four places to wait gave {value}: throughput is workers / delay.",
            ),
            Hypothesis(
                "a pool of 16 does at least 2.5 times as much",
                Figure("thread-pool of 16", _RATE) / Figure("thread-pool of 4", _RATE),
                at_least=2.5,
            ),
            Hypothesis(
                "an event loop that blocks: at most 1 / 10 ms",
                Figure("selectors", _RATE),
                at_least=0.6 / delay,
                at_most=1.05 / delay,
                lesson="The event loop waits in the one place that it has ({value}).",
            ),
            Hypothesis(
                "a pool behind the loop does at least 5 times as much",
                Figure("selectors-pool of 16", _RATE) / Figure("selectors", _RATE),
                at_least=5,
                lesson="A pool behind it made that {value} as much.",
            ),
            Hypothesis(
                "a thread for each of the 32 clients does at least 4 times as much as a pool of 4",
                Figure("thread", _RATE) / Figure("thread-pool of 4", _RATE),
                at_least=4,
            ),
        ),
    )


def _idle_crowd() -> Experiment:
    # They pause, so that what is measured is the crowd and not their own rate.
    plan = Plan((Group(10, name="busy", think_seconds=0.020),), timeout_seconds=60.0)

    def case(model: str, words: str, idle: int, quick: int) -> Case:
        return Case(
            f"{model}, {words} idle",
            model,
            plan,
            ("--backlog", "4096"),
            label=f"{model}, {words} idle",
            open_files=idle + 200,
            load=Holders(idle, asks=True),
            quick_load=Holders(quick, asks=True),
        )

    def pair(model: str, many: int, quick: int) -> tuple[Case, Case]:
        # The few are there in both: what one more connection costs is then a difference.
        return case(model, "few", 100, 100), case(model, "many", many, quick)

    models = ("process", "thread", "selectors", "asyncio-protocol")
    cases = (
        *pair("process", 1000, 250),
        *pair("thread", 10_000, 1000),
        *pair("selectors", 10_000, 1000),
        *pair("asyncio-protocol", 10_000, 1000),
    )
    p50 = "latency_seconds.p50"

    def each(model: str, path: str) -> Quantity:
        many, less = f"{model}, many idle", f"{model}, few idle"
        crowd = Figure(many, "probe.holders") - Figure(less, "probe.holders")
        return (Figure(many, path) - Figure(less, path)) / crowd

    return Experiment(
        name="idle-crowd",
        question="Most connections say nothing most of the time. What does holding one cost?",
        load="10 clients that talk, with pauses of 20 ms, beside 100 that were served once and "
        "then hold their connections in silence; then beside many: 10,000 for threads and loops "
        "(1,000 with --quick), 1,000 for processes (250).",
        expectation="A silent connection costs a process or a thread where each client has its "
        "own, and a few kilobytes in an event loop: with 10,000 of them that decides.",
        source="D. Kegel, 'The C10K problem', 1999; epoll(7): the cost of waiting depends on what "
        "is ready, not on how much is watched.",
        cases=cases,
        columns=(
            Column("silent,\nheld", "probe.holders_left"),
            Column("busy clients:\np50", p50),
            Column("\np99", "latency_seconds.p99"),
            Column("memory", _MEMORY),
            Column("threads", _THREADS),
            Column("processes", _PROCESSES),
        ),
        ranking=Ranking(
            "With many silent connections, which takes the least memory?",
            _MEMORY,
            tuple(f"{model}, many idle" for model in models[1:]),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "thread: one thread for each connection",
                each("thread", _THREADS),
                at_least=0.9,
                at_most=1.1,
            ),
            Hypothesis(
                "process: one process for each connection",
                each("process", _PROCESSES),
                at_least=0.9,
                at_most=1.1,
            ),
            Hypothesis(
                "selectors: the same one thread, however many are connected",
                Figure("selectors, many idle", _THREADS),
                at_most=1,
                lesson="The event loop held all of them in {value} thread.",
            ),
            Hypothesis(
                "a connection takes at least twice the memory with a thread than in the loop",
                each("thread", _MEMORY) / each("selectors", _MEMORY),
                at_least=2,
                lesson="One more silent connection took {value} the memory with a thread of its "
                "own.",
            ),
            Hypothesis(
                "a connection takes at least 10 times the memory with a process than in the loop",
                each("process", _MEMORY) / each("selectors", _MEMORY),
                at_least=10,
                lesson="With a process of its own it took {value} that of the loop.",
            ),
            Hypothesis(
                "selectors: the busy clients wait at most 5 times as long beside the crowd",
                Figure("selectors, many idle", p50) / Figure("selectors, few idle", p50),
                at_most=5,
                lesson="The loop's busy clients waited {value} as long beside the crowd as without "
                "it: epoll does not look at those that say nothing.",
            ),
        ),
    )


def _pool_starvation() -> Experiment:
    workers = 8
    plan = Plan((Group(10),))

    def case(name: str, model: str, *options: str) -> Case:
        return Case(name, model, plan, options, load=Holders(workers))

    size = ("--workers", str(workers))
    cases = (
        case("thread-pool", "thread-pool", *size),
        case("prefork", "prefork", *size),
        case("thread", "thread"),
        case("process", "process"),
        case("selectors", "selectors"),
        case("thread-pool, idle timeout", "thread-pool", *size, "--idle-timeout", "0.2"),
    )
    return Experiment(
        name="pool-starvation",
        question="As many silent clients as the pool has workers come first. Who is still served?",
        load="8 clients connect and say nothing; then 10 come that want to talk. Pools have 8 "
        "workers.",
        expectation="A worker that waits for a silent client serves nobody else, so a bounded pool "
        "is full of clients that want nothing. Models with a thread or process for each client, "
        "and event loops, do not notice. An idle timeout gives the workers back.",
        source="The attack is known as Slowloris (R. Hansen, 2009); servers with pools answer it "
        "with timeouts.",
        cases=cases,
        columns=(
            Column("talking:\nconnected", "connected"),
            Column("\nserved", "served"),
            Column("\nstarved", "starved"),
            Column("messages\n/s", _RATE),
            Column("silent,\nstill there", "probe.holders_left"),
            Column("threads", _THREADS),
            Column("processes", _PROCESSES),
        ),
        ranking=Ranking(
            "Which still serves the most of the 10 clients that talk?", "served", names_of(cases)
        ),
        hypotheses=(
            Hypothesis(
                "thread-pool: nobody who talks is served",
                Figure("thread-pool", "served"),
                at_most=0,
                lesson="With every worker waiting for a silent client, the pool served {value} of "
                "the 10 that had something to say, though all were connected.",
                otherwise="The pool served {value} of the 10 although as many silent clients as "
                "workers came first.",
            ),
            Hypothesis(
                "prefork: nobody who talks is served",
                Figure("prefork", "served"),
                at_most=0,
            ),
            *(
                Hypothesis(
                    f"{model}: all who talk are served",
                    Figure(model, "served"),
                    at_least=10,
                    lesson="A thread for each client did not notice the silent ones ({value} of 10 "
                    "served)."
                    if model == "thread"
                    else "",
                )
                for model in ("thread", "process", "selectors")
            ),
            Hypothesis(
                "an idle timeout gives the pool's workers back",
                Figure("thread-pool, idle timeout", "served"),
                at_least=8,
                lesson="An idle timeout cured the pool: {value} were served, as many as it has "
                "workers, or more.",
            ),
        ),
    )


def _slow_reader() -> Experiment:
    plan = Plan((Group(10),))
    models = ("thread", "process", "selectors", "asyncio-streams")
    quiet = tuple(Case(f"{model}, alone", model, plan, label=model) for model in models)
    loud = tuple(
        Case(f"{model}, with one", model, plan, label=f"{model} with one", load=NeverReads())
        for model in models
    )
    greedy = (
        Case("greedy-loop, alone", "greedy-loop", plan, label="greedy loop"),
        Case(
            "greedy-loop, with one",
            "greedy-loop",
            plan,
            label="greedy loop with one",
            load=NeverReads(),
        ),
    )

    def grown(model: str) -> Quantity:
        return Figure(f"{model}, with one", _MEMORY) / Figure(f"{model}, alone", _MEMORY)

    return Experiment(
        name="slow-reader",
        question="One client sends all it can and never reads a reply. What does the server do?",
        load="10 clients talk; in every second case one more sends messages without pause and "
        "reads nothing, up to 64 MiB. greedy-loop is an event loop that reads on regardless.",
        expectation="Replies that nobody reads fill the pipe. A server that then stops reading "
        "passes the pressure back to the sender and stays as it is; one that reads on keeps every "
        "reply in memory.",
        source="RFC 9293, section 3.8.6 (the window); asyncio's manual on flow control "
        "(pause_writing). Measured for this kit: without it, 22 MiB became 958 MiB in 2 s.",
        cases=(*(case for two in zip(quiet, loud, strict=True) for case in two), *greedy),
        columns=(
            Column("memory", _MEMORY),
            Column("taken from\nthe one", "probe.unread_client_bytes"),
            Column("others:\nserved", "served"),
            Column("\nmessages/s", _RATE),
            Column("\np99", _P99),
        ),
        ranking=Ranking(
            "Beside the client that never reads, which takes the least memory?",
            _MEMORY,
            names_of((*loud, greedy[1])),
            more_is_better=False,
        ),
        hypotheses=(
            *(
                Hypothesis(
                    f"{model}: memory stays flat, at most 1.6 times what it was without the one",
                    grown(model),
                    at_most=1.6,
                    lesson="With backpressure memory stayed flat ({value} what it was, in the "
                    "event loop): the sender was made to wait."
                    if model == "selectors"
                    else "",
                )
                for model in models
            ),
            *(
                Hypothesis(
                    f"{model}: all others are served",
                    Figure(f"{model}, with one", "served"),
                    at_least=10,
                )
                for model in models
            ),
            Hypothesis(
                "greedy loop: memory grows with what the client sends",
                grown("greedy-loop"),
                at_least=2.5,
                lesson="The loop that reads on took {value} the memory, for the sake of one "
                "client.",
            ),
        ),
    )


def _fd_cliff() -> Experiment:
    files = 48
    plan = Plan(
        (Group(100, think_seconds=0.02, messages_per_connection=10),),
        timeout_seconds=10.0,
    )
    models = ("thread", "selectors", "asyncio-streams", "socketserver")
    ours = tuple(Case(model, model, plan, open_files=files) for model in models)
    stock = Case("stock-socketserver", "stock-socketserver", plan, open_files=files)
    tutorial = Case("tutorial-accept-loop", "tutorial-accept-loop", plan, open_files=files)
    return Experiment(
        name="fd-cliff",
        question="More clients than file descriptors: who waits, who spins, who dies?",
        load=f"The server may open {files} files. 100 clients connect, send 10 messages 20 ms "
        "apart, leave, and come again. Two specimens beside our models: the library's "
        "ThreadingTCPServer as it is, and the accept loop of many a tutorial.",
        expectation="accept() fails with EMFILE and the connection stays in the queue. Who ignores "
        "that is woken for it at once, again and again, and spins; who lets the error through "
        "dies; who pauses serves the rest as descriptors come back.",
        source="accept(2); trio's _highlevel_serve_listeners.py, which pauses 100 ms; libev's "
        "manual, 'The special problem of accept()ing when you can't'.",
        cases=(*ours, stock, tutorial),
        columns=(
            Column("connected", "connected"),
            Column("served", "served"),
            Column("messages\n/s", _RATE),
            Column("failed", "failed"),
            Column("clients\nrefused", "refused"),
            Column("cores\nbusy", _CPU),
            Column("CPU per\nmessage", _COST),
        ),
        ranking=Ranking(
            "Which takes the least CPU while descriptors are short?",
            _CPU,
            names_of((*ours, stock)),
            more_is_better=False,
        ),
        hypotheses=(
            *(
                Hypothesis(
                    f"{model}: all 100 are served, sooner or later",
                    Figure(model, "served"),
                    at_least=100,
                    lesson="Those that pause served {value} of 100 clients with 48 descriptors: "
                    "the rest waited in the queue until somebody left."
                    if model == "thread"
                    else "",
                )
                for model in models
            ),
            Hypothesis(
                "the stock ThreadingTCPServer spins: at least twice the CPU of the same model with "
                "a pause",
                Figure(stock.name, _COST) / Figure("socketserver", _COST),
                at_least=2,
                lesson="The stock server spun on the connection that it could not accept: {value} "
                "the CPU for each message.",
            ),
            Hypothesis(
                "the tutorial's loop dies of the first error, and every client with it",
                Figure(tutorial.name, "failed"),
                at_least=10,
                lesson="The accept loop that lets the error through took its clients along: "
                "{value} messages were never answered.",
            ),
        ),
    )


def _who_got_served() -> Experiment:
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
            Column("messages\n/s", _RATE),
            Column("p99", _P99),
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


def _coordinated_omission() -> Experiment:
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
            Column("messages\n/s", _RATE),
            Column("from sent:\np50", _P50),
            Column("\np99", _P99),
            Column("\nmax", "latency_seconds.max"),
            Column("from due:\np50", "response_seconds.p50"),
            Column("\np99", due),
            Column("\nmax", "response_seconds.max"),
        ),
        ranking=Ranking(
            "Where is the 99th percentile of latency (from sent to reply) lower?",
            _P99,
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
                Figure(closed.name, _P99),
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
                Figure(opened.name, due) / Figure(closed.name, _P99),
                at_least=10,
                lesson="The same second, {value} as bad: who asks for percentiles has to ask how "
                "the load was put on.",
            ),
        ),
    )


EXPERIMENTS: Final = {
    one.name: one
    for one in (
        _sticky(),
        _queue_at_the_door(),
        _churn(),
        _steady(),
        _gil_duel(),
        _gil_free(),
        _sleepy_backend(),
        _idle_crowd(),
        _pool_starvation(),
        _slow_reader(),
        _fd_cliff(),
        _who_got_served(),
        _coordinated_omission(),
    )
}
"""Every experiment by name, in the order of a course."""
