"""Experiments on crowds: connections that cost, starve, clog, or are too many."""

from loadgen.experiments.clients import Holders, NeverReads
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
    CPU_CORES,
    CPU_PER_MESSAGE,
    LATENCY_P99,
    MEMORY,
    MESSAGES,
    PROCESSES,
    THREADS,
)
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Part, Picture, Series


def idle_crowd() -> Experiment:
    """What C10K was about."""
    # They pause, so that what is measured is the crowd and not their own rate.
    plan = Plan((Group(10, name="busy", think_seconds=0.020),), timeout_seconds=60.0)

    def case(model: str, words: str, idle: int, quick: int) -> Case:
        return Case(
            f"{model}, {words} idle",
            model,
            plan,
            ("--backlog", "4096"),
            label=f"{model}, {words} idle",
            # The parent of a process keeps two descriptors for it, and nobody is to run short here.
            open_files=(2 if model == "process" else 1) * idle + 200,
            driver=Holders(idle, asks=True),
            quick_driver=Holders(quick, asks=True),
        )

    def pair(model: str, many: int, quick: int) -> tuple[Case, Case]:
        # The few are there in both: what one more connection costs is then a difference.
        return case(model, "few", 100, 100), case(model, "many", many, quick)

    models = ("process", "thread", "selectors", "asyncio-protocol")
    cases = (
        *pair("process", 500, 250),
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
        "(1,000 with --quick), 500 for processes (250).",
        expectation="A silent connection costs a process or a thread where each client has its "
        "own, and a few kilobytes in an event loop: with 10,000 of them that decides.",
        source="D. Kegel, 'The C10K problem', 1999; epoll(7): the cost of waiting depends on what "
        "is ready, not on how much is watched.",
        cases=cases,
        columns=(
            Column("silent,\nheld", "probe.holders_left"),
            Column("busy clients:\np50", p50),
            Column("\np99", "latency_seconds.p99"),
            Column("memory", MEMORY),
            Column("threads", THREADS),
            Column("processes", PROCESSES),
        ),
        picture=Picture((bars("Memory of the server, at its peak", MEMORY, cases),)),
        ranking=Ranking(
            "With many silent connections, which takes the least memory?",
            MEMORY,
            tuple(f"{model}, many idle" for model in models[1:]),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "thread: one thread for each connection",
                each("thread", THREADS),
                at_least=0.9,
                at_most=1.1,
            ),
            Hypothesis(
                "process: one process for each connection",
                each("process", PROCESSES),
                at_least=0.9,
                at_most=1.1,
            ),
            Hypothesis(
                "selectors: the same one thread, however many are connected",
                Figure("selectors, many idle", THREADS),
                at_most=1,
                lesson="The event loop held all of them in {value} thread.",
            ),
            Hypothesis(
                "a connection takes at least twice the memory with a thread than in the loop",
                each("thread", MEMORY) / each("selectors", MEMORY),
                at_least=2,
                lesson="One more silent connection took {value} the memory with a thread of its "
                "own.",
            ),
            Hypothesis(
                "a connection takes at least 10 times the memory with a process than in the loop",
                each("process", MEMORY) / each("selectors", MEMORY),
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


def pool_starvation() -> Experiment:
    """Bounded pools wait."""
    workers = 8
    plan = Plan((Group(10),))

    def case(name: str, model: str, *options: str) -> Case:
        return Case(name, model, plan, options, driver=Holders(workers))

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
            Column("messages\n/s", MESSAGES),
            Column("silent,\nstill there", "probe.holders_left"),
            Column("threads", THREADS),
            Column("processes", PROCESSES),
        ),
        picture=Picture(
            (
                Part(
                    "Of 10 clients that talk, and the 8 silent ones that hold a place",
                    (
                        Series("served", "{value} of {of} are served", "connected"),
                        Series("probe.holders_left", "{value} silent, still there"),
                    ),
                    names_of(cases),
                ),
            )
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
                lesson="An idle timeout gives the pool's workers back: with one, {value} of the "
                "10 were served.",
            ),
        ),
    )


def slow_reader() -> Experiment:
    """Backpressure."""
    plan = Plan((Group(10),))
    models = ("thread", "process", "selectors", "asyncio-streams")
    quiet = tuple(Case(f"{model}, alone", model, plan, label=model) for model in models)
    loud = tuple(
        Case(f"{model}, with one", model, plan, label=f"{model} with one", driver=NeverReads())
        for model in models
    )
    greedy = (
        Case("greedy-loop, alone", "greedy-loop", plan, label="greedy loop"),
        Case(
            "greedy-loop, with one",
            "greedy-loop",
            plan,
            label="greedy loop with one",
            driver=NeverReads(),
        ),
    )

    def grown(model: str) -> Quantity:
        return Figure(f"{model}, with one", MEMORY) / Figure(f"{model}, alone", MEMORY)

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
            Column("memory", MEMORY),
            Column("taken from\nthe one", "probe.unread_client_bytes"),
            Column("others:\nserved", "served"),
            Column("\nmessages/s", MESSAGES),
            Column("\np99", LATENCY_P99),
        ),
        picture=Picture(
            (
                bars(
                    "Memory of the server, at its peak",
                    MEMORY,
                    [case for two in zip(quiet, loud, strict=True) for case in two] + [*greedy],
                ),
            )
        ),
        ranking=Ranking(
            "Beside the client that never reads, which takes the least memory?",
            MEMORY,
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


def fd_cliff() -> Experiment:
    """Out of file descriptors."""
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
            Column("messages\n/s", MESSAGES),
            Column("failed", "failed"),
            Column("clients\nrefused", "refused"),
            Column("cores\nbusy", CPU_CORES),
            Column("CPU per\nmessage", CPU_PER_MESSAGE),
        ),
        picture=Picture(
            (
                bars("Clients that were served, of 100", "served", (*ours, stock, tutorial)),
                bars("Cores that it keeps busy meanwhile", CPU_CORES, (*ours, stock, tutorial)),
            )
        ),
        ranking=Ranking(
            "Which takes the least CPU while descriptors are short?",
            CPU_CORES,
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
                Figure(stock.name, CPU_PER_MESSAGE) / Figure("socketserver", CPU_PER_MESSAGE),
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
