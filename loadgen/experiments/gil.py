"""Experiments on the GIL itself: what is different without it, and how long a thread keeps it."""

from typing import Final

from loadgen.experiments.experiment import Case, Column, Experiment, Hypothesis, Ranking, bars
from loadgen.experiments.quantity import Figure, Quantity
from loadgen.judge.registry import CPU_CORES, CPU_PER_MESSAGE
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.lesson import Picture

# It pauses, so that a thread which computes has the GIL when the next message comes.
_QUICK: Final = Group(1, name="quick", think_seconds=0.010)

_RATE: Final = "groups.quick.messages_per_second"
_P50: Final = "groups.quick.latency_seconds.p50"
_P99: Final = "groups.quick.latency_seconds.p99"
_WORK: Final = "groups.hog.messages_per_second"


def gil_off() -> Experiment:
    """The same models with the GIL and without it."""
    quick = Plan((Group(10, name="quick"),))
    beside_fib = Plan((_QUICK, Group(1, name="hog", work="fib:27")))
    fib = Plan((Group(2, name="hog", work="fib:27"),))
    sha = Plan((Group(2, name="hog", work="sha256:4096"),))

    def both(model: str, load: str, plan: Plan) -> tuple[Case, Case]:
        options = ("--work",) if plan is not quick else ()
        with_it, without = (
            Case(
                f"{model}, {load}, GIL {gil}",
                model,
                plan,
                options,
                label=f"{model}, GIL {gil}",
                gil=gil,
            )
            for gil in ("on", "off")
        )
        return with_it, without

    def gain(model: str, load: str, path: str) -> Quantity:
        return Figure(f"{model}, {load}, GIL off", path) / Figure(f"{model}, {load}, GIL on", path)

    threes, twos = ("thread", "process", "selectors"), ("thread", "process")
    pairs = (
        *(both(model, "quick", quick) for model in threes),
        *(both(model, "quick + 1 fib", beside_fib) for model in threes),
        *(both(model, "2 fib", fib) for model in twos),
        *(both(model, "2 sha256", sha) for model in twos),
    )
    cases = tuple(case for pair in pairs for case in pair)
    return Experiment(
        name="gil-off",
        question="What becomes of each model where Python has no GIL?",
        load="10 clients with small messages and no pause; one that pauses 10 ms beside one that "
        "keeps asking for fib(27); two that ask for fib(27); two that ask for SHA-256 of 4 MiB. "
        "Each under a Python with the GIL and under one of that version without it.",
        expectation="Threads compute at the same time then, and nobody waits for the GIL. An event "
        "loop is one thread all the same. Hashing released the GIL before, and processes had one "
        "each. What a single thread does takes longer: counting references safely has its price.",
        source="PEP 703; Python's 'What's New in 3.13' on the free-threaded build (some 40 % "
        "slower on pyperformance in 3.13, since the specializing interpreter is off).",
        cases=cases,
        columns=(
            Column("quick clients:\nmessages/s", _RATE),
            Column("\np50", _P50),
            Column("\np99", _P99),
            Column("work done\n/s", _WORK),
            Column("CPU per\nmessage", CPU_PER_MESSAGE),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture(
            tuple(
                bars(title, path, [case for case in cases if f", {load}, " in case.name])
                for title, path, load in (
                    ("10 quick clients: messages answered per second", _RATE, "quick"),
                    ("A quick client beside fib: its wait (median)", _P50, "quick + 1 fib"),
                    ("Two ask for fib: work done per second", _WORK, "2 fib"),
                    ("Two ask for SHA-256: work done per second", _WORK, "2 sha256"),
                )
            )
        ),
        ranking=Ranking(
            "Two clients ask for fib. Where is the most work done?",
            _WORK,
            tuple(f"{model}, 2 fib, GIL {gil}" for model in twos for gil in ("on", "off")),
        ),
        hypotheses=(
            Hypothesis(
                "threads: two that compute do at least 1.2 times as much without the GIL",
                gain("thread", "2 fib", _WORK),
                at_least=1.2,
                cores=2,
                lesson="Without the GIL two threads that compute did {value} the work.",
            ),
            Hypothesis(
                "threads: beside one that computes, the quick client waits at least 3 times as "
                "long with the GIL",
                Figure("thread, quick + 1 fib, GIL on", _P50)
                / Figure("thread, quick + 1 fib, GIL off", _P50),
                at_least=3,
                cores=2,
                lesson="Beside a calculation the quick client waited {value} as long with the GIL "
                "as without.",
            ),
            Hypothesis(
                "event loop: it still waits for most of a calculation",
                Figure("selectors, quick + 1 fib, GIL off", _P50),
                at_least=0.012,
                lesson="In the event loop it waited for the whole calculation all the same "
                "({value}): that is one thread, with the GIL or without.",
            ),
            Hypothesis(
                "sha256: threads do about the same, as hashing releases the GIL anyway",
                gain("thread", "2 sha256", _WORK),
                at_least=0.7,
                at_most=1.4,
                cores=2,
                lesson="Threads that hash did {value} of what they did with it.",
            ),
            Hypothesis(
                "event loop: a quick reply takes at least as much CPU without the GIL",
                gain("selectors", "quick", CPU_PER_MESSAGE),
                at_least=1.0,
                lesson="It has its price: a quick reply of the event loop took {value} the CPU.",
            ),
            Hypothesis(
                "processes: two that compute do no more than with the GIL",
                gain("process", "2 fib", _WORK),
                at_most=1.1,
                cores=2,
                lesson="Processes, which had a GIL each, did {value} of what they did with it.",
            ),
        ),
    )


def gil_convoy() -> Experiment:
    """Who computes gives the GIL up on demand, and not before the switch interval is over."""
    usual = 0.005

    def beside(hogs: int, words: str, *options: str) -> Case:
        plan = Plan((_QUICK, Group(hogs, name="hog", work="fib:30")) if hogs else (_QUICK,))
        return Case(words, "thread", plan, ("--work", *options), label=words)

    def every(words: str, interval: float) -> Case:
        return beside(1, f"1 fib, {words}", "--switch-interval", f"{interval:.6f}")

    def on_cores(words: str, cores: int) -> Case:
        plan = Plan((Group(10, name="quick"),), pin=True)
        return Case(f"10 quick, {words}", "thread", plan, label=f"10 quick, {words}", cores=cores)

    hogs = (beside(0, "0 fib"), beside(1, "1 fib"), beside(2, "2 fib"))
    intervals = (
        every("100 ms", 0.1),
        every("10 ms", 0.01),
        every("1 ms", 0.001),
        every("100 us", 0.0001),
        every("10 us", 0.00001),
        every("1 us", 0.000001),
    )
    one_core, two_cores = on_cores("1 core", 1), on_cores("2 cores", 2)
    return Experiment(
        name="gil-convoy",
        question="A thread that computes keeps the GIL until it is asked for it. For how long?",
        load="One client sends small messages, each 10 ms after the last reply, beside 0, 1 and 2 "
        "that keep asking for fib(30), a tenth of a second or two of pure Python; beside 1, also "
        "with switch intervals from 100 ms to 1 us in place of 5 ms. Then 10 quick clients without "
        "a pause, their server on one core and on two.",
        expectation="Who wants the GIL waits out the switch interval and then asks for it: that is "
        "what the quick client waits for each message, whatever the interval is. Two threads on "
        "two cores pass the GIL from core to core, and are no faster than on one.",
        source="D. Beazley, 'Understanding the Python GIL', PyCon 2010 (the convoy effect); Python "
        "behind the scenes 13, tenthousandmeters.com, 2021: the GIL.",
        cases=(*hogs, *intervals, one_core, two_cores),
        columns=(
            Column("quick clients:\nmessages/s", _RATE),
            Column("\np50", _P50),
            Column("\np99", _P99),
            Column("fib\n/s", _WORK),
            Column("CPU per\nmessage", CPU_PER_MESSAGE),
            Column("cores\nbusy", CPU_CORES),
        ),
        picture=Picture(
            (
                bars(
                    "How long the quick client waits for a reply (median)",
                    _P50,
                    (*hogs, *intervals),
                ),
                bars(
                    "10 quick clients: messages answered per second", _RATE, (one_core, two_cores)
                ),
            )
        ),
        ranking=Ranking(
            "Beside one calculation, where does the quick client wait least (median)?",
            _P50,
            ("1 fib", "1 fib, 100 ms", "1 fib, 1 ms", "1 fib, 1 us"),
            more_is_better=False,
        ),
        hypotheses=(
            Hypothesis(
                "beside a calculation, half of the messages wait out the switch interval of 5 ms",
                Figure("1 fib", _P50),
                at_least=0.9 * usual,
                at_most=6 * usual,
                lesson="Beside one calculation the median wait was {value}: the switch interval, "
                "and what it takes to get a core.",
            ),
            Hypothesis(
                "that is at least 10 times as long as beside none",
                Figure("1 fib", _P50) / Figure("0 fib", _P50),
                at_least=10,
                lesson="That is {value} as long as beside none.",
            ),
            Hypothesis(
                "with an interval of 100 ms it waits at least 5 times as long as with 5 ms",
                Figure("1 fib, 100 ms", _P50) / Figure("1 fib", _P50),
                at_least=5,
            ),
            Hypothesis(
                "with 1 ms it waits at most half as long as with 5 ms",
                Figure("1 fib, 1 ms", _P50) / Figure("1 fib", _P50),
                at_most=0.5,
            ),
            Hypothesis(
                "with 100 ms it waits at least 20 times as long as with 1 us",
                Figure("1 fib, 100 ms", _P50) / Figure("1 fib, 1 us", _P50),
                at_least=20,
                lesson="The wait follows the interval: with 100 ms it was {value} as long as with "
                "1 us.",
            ),
            Hypothesis(
                "10 quick clients: threads on two cores are no faster than on one",
                Figure(two_cores.name, _RATE) / Figure(one_core.name, _RATE),
                at_most=1.1,
                cores=2,
                lesson="Without anybody who computes, threads did on two cores {value} of what "
                "they did on one: one at a time has the GIL.",
            ),
        ),
    )
