"""`python -m loadgen` as people run it: a process of its own, in any folder."""

import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from concurrency_models import __version__
from concurrency_models.backends import MODELS as ALL
from loadgen.command.main import main
from loadgen.plan.endpoint import Endpoint
from loadgen.servers.found import listens
from tests.known_servers import answering_datagrams, nobody_listening, read_exactly, serving, talk
from tests.servers import ROOT, WAIT_SECONDS, eventually

# Short runs and clients that pause: what is tested is what the command does, not how fast it is.
SHORT = ("--clients", "4", "--duration", "0.3", "--warmup", "0.05", "--no-ceiling")
QUICK = (*SHORT, "--think", "0.04")
LONGEST = 60.0
MODELS = {"iterative", "process", "thread", "socketserver", "selectors"}


@dataclass(frozen=True)
class Outcome:
    status: int | str | None
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from any folder, with the project importable as an installed one is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def loadgen(*words: str) -> Outcome:
    """Run the command to its end; whatever happens, nobody sees a traceback."""
    with started(*words) as process:
        out, err = process.communicate(timeout=LONGEST)
    assert "Traceback" not in out + err
    return Outcome(process.returncode, out, err)


def as_json(*words: str) -> Outcome:
    return loadgen(*words, "--no-save", "--json", "-")


def one_line(outcome: Outcome) -> str:
    """What a complaint says: a single line, and nothing else."""
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("loadgen")
    return outcome.err


def test_without_a_server_it_compares_the_five_models_and_saves_the_result(tmp_path: Path) -> None:
    if listens(Endpoint("inet", "127.0.0.1", 8008)):
        pytest.skip("somebody listens on the default address")
    outcome = loadgen(*QUICK, "--trials", "1")
    assert outcome.status == 0
    assert outcome.err.splitlines()[0].startswith("loadgen: nobody listens on 127.0.0.1:8008")
    [folder] = (tmp_path / "results").iterdir()
    assert folder.name.endswith("-compare")
    data = json.loads((folder / "run.json").read_text())
    assert {run["model"] for run in data["runs"]} == MODELS
    assert data["command"][:3] == ["python", "-m", "loadgen"]
    assert data["version"] == __version__
    assert data["environment"]["python"]
    text = (folder / "tables.md").read_text()
    for model in MODELS:
        assert f"| {model} " in text
        assert f"\n{model} " in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert str(folder.relative_to(tmp_path)) in outcome.err


def test_iterative_serves_one_and_starves_the_rest() -> None:
    outcome = as_json("--model", "iterative", *QUICK, "--clients", "20")
    assert outcome.status == 0  # every reply that came was right
    figures = outcome.data["runs"][0]["figures"]
    assert (figures["connected"], figures["served"], figures["starved"]) == (20, 1, 19)
    assert figures["waiting"] == 19
    assert figures["wrong"] == figures["failed"] == 0
    assert "1 client was served, the other 19 connected and starved" in outcome.err


def test_trials_of_several_models_are_interleaved_by_the_seed() -> None:
    words = ("--model", "thread", "--model", "selectors", *QUICK, "--trials", "2", "--seed", "11")
    data = as_json(*words).data
    assert data["seed"] == 11
    assert [run["trial"] for run in data["runs"]] == [1, 1, 2, 2]
    assert {row["name"]: row["trials"] for row in data["summary"]} == {"thread": 2, "selectors": 2}
    for row in data["summary"]:
        interval = row["estimates"]["messages_per_second"]
        assert interval["low"] <= interval["mean"] <= interval["high"]


def test_servers_that_are_compared_take_turns_and_those_that_wait_cost_nothing() -> None:
    words = ("--model", "thread", "--model", "selectors", *QUICK, "--turn", "0.1", "--lives", "2")
    runs = as_json(*words).data["runs"]
    assert [(run["plan"]["turns"], run["trial"]) for run in runs] == [
        (3, 1),
        (3, 1),
        (3, 2),
        (3, 2),
    ]
    first, second = ([turn["started"] for turn in run["tally"]["turns"]] for run in runs[:2])
    assert len(first) == len(second) == 3
    assert max(first[0], second[0]) < min(first[1], second[1])
    for run in runs:
        assert sum(turn["waited_cpu_seconds"] for turn in run["server"]["turns"]) <= 0.05
        assert run["audit"]["valid"]


def test_a_server_alone_has_lives_and_turns_and_so_an_interval() -> None:
    load = ("--clients", "4", "--think", "0.04", "--turn", "0.2", "--warmup", "0.05")
    words = ("--model", "selectors", *load, "--no-ceiling")
    outcome = as_json(*words, "--lives", "2", "--all-tables")
    assert outcome.status == 0, outcome.err
    assert [len(run["tally"]["turns"]) for run in outcome.data["runs"]] == [1, 1]
    [row] = outcome.data["summary"]
    assert row["estimates"]["messages_per_second"]["low"] is not None
    assert "over the lives, each a fresh start)" in " ".join(outcome.err.split())
    sure = as_json(*words, "--precision", "90%", "--max-seconds", "30")
    assert "every server is known within 90.0%" in " ".join(sure.err.split())
    whole = as_json(*words, "--duration", "0.3")
    [run] = whole.data["runs"]
    assert run["tally"]["turns"] == []


def test_lives_of_a_server_that_runs_already_are_no_fresh_starts() -> None:
    with serving(talk()) as endpoint:
        words = ("--clients", "2", "--turn", "0.1", "--lives", "2", "--no-ceiling")
        outcome = as_json(*address(endpoint), *words)
    assert len(outcome.data["runs"]) == 2
    assert "each life was only new connections to it" in " ".join(outcome.err.split())


def test_it_stops_when_it_is_sure_or_out_of_time_and_says_so() -> None:
    words = ("--model", "thread", "--model", "selectors", *QUICK)
    sure = as_json(*words, "--precision", "1e9%", "--max-seconds", "50").data
    assert len(sure["runs"]) == 10
    assert any("every server is known" in note for note in sure["notes"])
    late = as_json(*words, "--precision", "0.0001%", "--max-seconds", "0.1").data
    assert len(late["runs"]) == 2
    assert any("within 0.1 s (--max-seconds gives more)" in note for note in late["notes"])


def test_a_number_of_messages_has_whole_trials_and_a_note_why() -> None:
    words = ("--model", "thread", "--model", "selectors", "--clients", "2", "--messages", "5")
    data = as_json(*words, "--no-ceiling", "--trials", "1").data
    assert [run["plan"]["turns"] for run in data["runs"]] == [None, None]
    assert any("sent in one go" in note for note in data["notes"])


def test_a_number_of_messages_is_sent_exactly() -> None:
    data = as_json("--model", "thread", "--clients", "3", "--messages", "50", "--no-ceiling").data
    figures = data["runs"][0]["figures"]
    assert figures["intended"] == figures["answered"] == figures["messages"] == 150
    assert (figures["least_served"], figures["most_served"]) == (50, 50)


def test_an_open_loop_with_two_clocks_and_churn_with_new_connections() -> None:
    rate = as_json("--model", "selectors", *SHORT, "--rate", "200", "--arrivals", "poisson").data
    figures = rate["runs"][0]["figures"]
    assert figures["requested_per_second"] == 200
    assert figures["response_seconds"]["p50"] >= figures["latency_seconds"]["p50"]
    churn = as_json("--model", "thread", *QUICK, "--churn", "2").data
    assert churn["runs"][0]["figures"]["connections"] > 4


def test_a_mix_with_idle_connections_has_a_row_per_group() -> None:
    outcome = as_json(
        "--model", "selectors", *QUICK, "--idle", "6",
        "--group", "name=slow,clients=2,size=4KiB,think=0.01",
    )  # fmt: skip
    groups = outcome.data["runs"][0]["figures"]["groups"]
    assert [group["clients"] for group in groups.values()] == [4, 2, 6]
    assert groups["idle"]["held"] == 6
    assert groups["slow"]["messages"] > 0
    assert "Groups of clients" in outcome.err


def address(endpoint: object) -> tuple[str, ...]:
    return ("--connect", str(endpoint))


def test_a_server_that_is_there_is_driven_and_its_process_found() -> None:
    with serving(talk()) as endpoint:
        outcome = as_json(*address(endpoint), *QUICK, "--label", "mine")
    run = outcome.data["runs"][0]
    assert outcome.status == 0
    assert run["label"] == "mine"
    assert run["figures"]["served"] == 4
    assert run["figures"]["server"]["memory_bytes"] > 0
    assert run["python"] is None


def test_a_wrong_reply_in_a_hundred_is_counted_exactly_and_is_status_1() -> None:
    def spoil(number: int, reply: bytes) -> bytes:
        return reply[:-1] + b"!" if number % 100 == 0 else reply

    with serving(talk(spoil)) as endpoint:
        outcome = as_json(*address(endpoint), "--clients", "2", "--messages", "300", "--no-ceiling")
    assert outcome.status == 1
    assert outcome.data["runs"][0]["figures"]["wrong"] == 6


def test_a_server_that_stops_answering_half_way_is_status_1_and_what_came_is_kept() -> None:
    def stall(number: int, reply: bytes) -> bytes | None:
        return reply if number <= 40 else None

    with serving(talk(stall)) as endpoint:
        outcome = as_json(*address(endpoint), *SHORT)
    figures = outcome.data["runs"][0]["figures"]
    assert outcome.status == 1
    assert figures["answered"] == 40
    assert figures["failed"] == sum(figures["errors"].values()) > 0


def test_a_server_that_never_answers_is_status_1() -> None:
    def listen(client: socket.socket) -> None:
        while client.recv(4096):
            pass

    with serving(listen) as endpoint:
        outcome = as_json(*address(endpoint), *QUICK)
    assert outcome.status == 1
    assert outcome.data["runs"][0]["figures"]["starved"] == 4
    assert "all 4 clients connected and none ever got a reply" in outcome.err


def test_a_server_that_speaks_something_else_is_quoted() -> None:
    with serving(lambda client: client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 5)) as endpoint:
        outcome = as_json(*address(endpoint), *QUICK)
    assert outcome.status == 1
    assert "SSH-2.0-OpenSSH_9.2" in outcome.err


def test_any_server_is_driven_with_its_own_words() -> None:
    def redis(client: Any) -> None:
        while read_exactly(client, 6) == b"PING\r\n":
            client.sendall(b"+PONG\r\n")

    with serving(redis) as endpoint:
        outcome = as_json(
            *address(endpoint), *QUICK, "--request", r"PING\r\n", "--reply", r"+PONG\r\n"
        )
    assert outcome.status == 0
    assert outcome.data["runs"][0]["figures"]["served"] == 4


def test_a_server_that_is_there_and_one_of_ours_share_a_table() -> None:
    words = ("--model", "thread", "--label", "theirs", *QUICK, "--trials", "2")
    with serving(talk()) as endpoint:
        outcome = as_json(*address(endpoint), *words)
    assert outcome.status == 0
    assert {row["name"] for row in outcome.data["summary"]} == {"thread", "theirs"}
    assert [run["label"] for run in outcome.data["runs"]].count("theirs") == 2
    assert all(run["figures"]["answered"] for run in outcome.data["runs"])


def test_a_request_is_for_the_server_that_is_there_and_ours_gets_messages() -> None:
    def ping(client: socket.socket) -> None:
        while read_exactly(client, 4) == b"PING":
            client.sendall(b"PONG")

    words = ("--model", "thread", "--label", "theirs", "--request", "PING", "--reply", "PONG")
    with serving(ping) as endpoint:
        outcome = as_json(*address(endpoint), *words, *QUICK, "--trials", "1")
    assert outcome.status == 0
    assert len(outcome.data["runs"]) == 2
    assert all(run["figures"]["answered"] for run in outcome.data["runs"])


def test_requirements_decide_the_status_and_name_what_failed() -> None:
    met = as_json("--model", "thread", *QUICK, "--require", "served == 4", "--require", "wrong==0")
    assert met.status == 0
    missed = as_json("--model", "thread", *QUICK, "--require", "latency_seconds.p99 < 1e-9")
    assert missed.status == 1
    assert missed.err.splitlines()[-1].startswith(
        "loadgen: thread: latency_seconds.p99 < 1e-09 is not met, latency_seconds.p99 is "
    )


RATE = ("--find-rate", "latency_seconds.p99 < 0.5", "--clients", "4", "--duration", "0.2")
ROUGHLY = ("--trials", "1", "--precision", "60%", "--no-ceiling")


def test_the_highest_rate_within_a_bound_is_searched_for_server_by_server(tmp_path: Path) -> None:
    slow = ("--work", "sleep:5", "--model", "thread", "--model", "thread-pool")
    outcome = loadgen(*RATE, *ROUGHLY, *slow, "--json", "out.json", "--max-seconds", "40")
    assert outcome.status == 0, outcome.err
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["rate_search"]["bounds"] == ["response_seconds.p99 < 0.5"]
    assert {one["name"] for one in data["rates"]} == {"thread", "thread-pool"}
    for one in data["rates"]:
        # Four clients and 5 ms each: 800 a second is the most there can be.
        assert 100 < one["rate"] <= 900
    first = [run for run in data["runs"] if run["trial"] == 1]
    assert [run["plan"]["groups"][0]["rate_per_second"] for run in first] == [None, None]
    assert "Highest rate with response p99 < 500 ms" in outcome.out
    assert "thread, closed loop" in outcome.err
    [folder] = (tmp_path / "results").iterdir()
    assert "## Highest rate" in (folder / "tables.md").read_text()


def test_a_server_that_serves_one_client_has_no_rate_for_four() -> None:
    words = ("--model", "iterative", "--work", "sleep:5")
    outcome = loadgen(*RATE, *ROUGHLY, *words, "--no-save", "--max-seconds", "20")
    assert outcome.status == 1
    assert "not even at the lowest rate" in " ".join(outcome.out.split())


def test_a_search_that_is_stopped_keeps_what_was_found(tmp_path: Path) -> None:
    words = ("--model", "selectors", "--work", "sleep:5", "--json", "out.json", "--max-seconds")
    with started(*RATE, *ROUGHLY[2:], *words, "600") as process:
        assert process.stderr is not None
        while "/s for" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 130, err
    assert "cut short" in out
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["rates"][0]["sure"] is False
    assert data["rates"][0]["rate"] or data["rates"][0]["failed"]


def test_two_results_are_set_side_by_side(tmp_path: Path) -> None:
    for name, size, trials in (("a", "64", "2"), ("b", "64", "2"), ("c", "128", "1")):
        words = ("--model", "thread", *QUICK, "--size", size, "--results", name)
        assert loadgen(*words, "--trials", trials, "--quiet").status == 0
    a, b, c = (str(next((tmp_path / name).iterdir())) for name in ("a", "b", "c"))
    outcome = loadgen("diff", a, f"{b}/run.json")
    assert outcome.status == 0
    assert "messages/s" in outcome.out
    assert "95 % interval" in outcome.out
    refusal = loadgen("diff", a, c)
    assert refusal.status == 2
    assert "size bytes 64 and 128" in one_line(refusal)
    assert "no saved result" in one_line(loadgen("diff", a, "nowhere"))


def test_json_and_latencies_go_to_files_too(tmp_path: Path) -> None:
    pytest.importorskip("hdrh", reason="the extra 'hdr' is not installed")
    outcome = loadgen(
        "--model", "thread", *QUICK, "--no-save", "--json", "out.json", "--export-hdr", "out.hlog"
    )
    assert outcome.status == 0
    assert "Throughput" in outcome.out
    assert json.loads((tmp_path / "out.json").read_text())["runs"][0]["model"] == "thread"
    assert "Tag=thread_latency" in (tmp_path / "out.hlog").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.hlog", "out.json"]


def family_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_early_it_keeps_what_was_measured_and_leaves_nobody_behind(
    how: signal.Signals, tmp_path: Path
) -> None:
    words = ("--model", "process", *QUICK, "--trials", "1000")
    with started(*words) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("[1/1000] process")
        family = family_of(process)
        process.send_signal(how)
        out, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert "cut short" in out.splitlines()[0]
    [folder] = (tmp_path / "results").iterdir()
    data = json.loads((folder / "run.json").read_text())
    assert data["cut_short"] is True
    assert data["runs"][0]["figures"]["answered"] > 0
    _, alive = psutil.wait_procs(family, WAIT_SECONDS)
    assert alive == []


def test_stopped_while_the_first_clients_connect_it_keeps_what_came_of_them(
    tmp_path: Path,
) -> None:
    came = threading.Event()

    def note(client: socket.socket) -> None:
        came.set()
        talk()(client)

    # By this seed, the clients of the one that is there come first.
    words = ("--model", "thread", "--label", "theirs", "--seed", "2", "--warmup", "60")
    with (
        serving(note) as endpoint,
        started(*address(endpoint), *words, "--trials", "1", "--no-ceiling") as process,
    ):
        assert came.wait(WAIT_SECONDS)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    [folder] = (tmp_path / "results").iterdir()
    runs = json.loads((folder / "run.json").read_text())["runs"]
    assert [run["label"] for run in runs] == ["theirs"]


def test_killed_outright_it_leaves_no_server_and_no_worker_behind() -> None:
    with started("--model", "process", *QUICK, "--trials", "1000") as process:
        assert process.stderr is not None
        process.stderr.readline()
        family = family_of(process)
        process.kill()
    _, alive = psutil.wait_procs(family, WAIT_SECONDS)
    assert alive == []


def test_a_reader_who_goes_away_is_no_fault() -> None:
    with started("--model", "thread", *QUICK, "--no-save", "--quiet") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(LONGEST) == 128 + signal.SIGPIPE
    assert err == ""


def test_quiet_says_nothing_on_the_way() -> None:
    assert loadgen("--model", "thread", *QUICK, "--no-save", "--quiet").err == ""


def test_a_server_that_does_not_start_is_quoted_and_the_others_go_on() -> None:
    outcome = as_json("--model", "thread", *QUICK, "--server-options", "--bogus")
    assert outcome.status == 1
    run = outcome.data["runs"][0]
    assert "--bogus" in run["problem"]
    assert run["figures"]["messages"] is None


@pytest.fixture
def signals_as_they_were() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended_by(words: Sequence[str]) -> int | str | None:
    """With what the command ends a process."""
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--model", "thred"], 2, "did you mean 'thread'"),
        (["--model", "process,thred"], 2, "did you mean 'thread'"),
        (["experiment", "gil"], 2, "did you mean 'gil-duel' or 'gil-convoy'"),
        (["--clients", "none"], 2, "'none' is not a whole number"),
        (["--clients", "9999999", "--model", "thread"], 2, "ulimit -Hn"),
        (["--connect", "192.0.2.1:80"], 2, "--i-may-load-this-host"),
        (["--connect", "no.such.host.invalid:80"], 2, "cannot find"),
        (["--rate", "5", "--think", "1"], 2, "open loop"),
        (["--request", "a", "--reply", "b"], 2, "--connect"),
        (["--model", "thread", "--results", "file/results"], 1, "--no-save"),
        (["--model", "thread", "--json", "missing/x.json"], 1, "cannot write"),
        (["--model", "thread", "--label", "x", "--model", "process"], 2, "--label"),
        (["diff", "one"], 2, "required: B"),
        (["--model", "process", "--transport", "udp"], 2, "models that need no connections"),
        (["--model", "reuseport", "--family", "unix"], 2, "only on inet and inet6"),
        (["--connect", "[::1]:8008", "--family", "inet"], 2, "no inet address"),
        (["--talk", "once", "--churn", "2"], 2, "leave out churn"),
        (["--talk", "greet", "--rate", "2"], 2, "leave out the rate"),
        (["--model", "thread", "--work", "fib:99"], 2, "fib goes up to 32"),
        (["--transport", "udp", "--size", "65500"], 2, "at most 65497"),
        (["--transport", "udp", "--framing", "line"], 2, "leave it out with --transport udp"),
        (["--model", "thread", "--python", "no-python"], 1, "there is no such program"),
        (["--connect", "127.0.0.1:80", "--python", "python3"], 2, "give one of them"),
        (["--arrivals", "poisson"], 2, "give a --rate as well"),
        (["--group", "name=a,clients=1,arrivals=poisson"], 2, "give a --rate as well"),
        (["--p99-bound", "0.01"], 2, "--p99-bound is for a curve"),
        (["--trials", "2", "--lives", "3"], 2, "--lives and --trials are one option: 2 and 3"),
        (["--server-options", "--framing=line"], 2, "--framing is for servers and clients alike"),
        (["lanes", "--server-options", "--talk once"], 2, "give it outside --server-options"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: Sequence[str],
    status: int,
    said: str,
    tmp_path: Path,
    signals_as_they_were: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Within this process; in one of its own, two results that differ and nobody at an address."""
    (tmp_path / "file").write_text("in the way")
    ended = ended_by(words)
    assert ended == status
    assert said in one_line(Outcome(ended, *capsys.readouterr()))


def test_nobody_at_the_address_is_one_clear_line() -> None:
    with nobody_listening() as endpoint:
        outcome = loadgen(*address(endpoint))
    assert outcome.status == 1
    assert f"nobody listens at {endpoint}" in one_line(outcome)


def test_every_model_in_one_table_with_a_line_for_those_that_are_left_out() -> None:
    load = ("--talk", "once", "--messages", "2", "--clients", "3", "--no-ceiling")
    outcome = as_json("--model", "all", "--trials", "1", "--all-tables", *load)
    assert outcome.status == 0
    available = {name for name, model in ALL.items() if not model.unavailable()}
    assert {run["model"] for run in outcome.data["runs"]} == available
    assert {run["figures"]["answered"] for run in outcome.data["runs"]} == {6}
    for name in ALL.keys() - available:
        assert any(name in note for note in outcome.data["notes"])
    part = outcome.err.split("\nConnections by worker\n")[1].split("\n\n")[0]
    [prefork] = [line.split() for line in part.splitlines() if line.startswith("prefork ")]
    assert sum(map(int, prefork[4:])) == 6


def test_datagrams_are_counted_in_a_table_of_their_own() -> None:
    outcome = as_json("--model", "core", "--transport", "udp", *QUICK, "--trials", "1")
    assert outcome.status == 0
    runs = outcome.data["runs"]
    assert {run["model"] for run in runs} == MODELS - {"process"}
    assert {run["figures"]["lost"] for run in runs} == {0}
    assert "\nDatagrams\n" in outcome.err
    [note] = outcome.data["notes"]
    assert note.startswith("left out: process: ")


def test_a_datagram_server_that_never_answers_hangs_nobody() -> None:
    with answering_datagrams(lambda _, __: []) as endpoint:
        words = (*address(endpoint), "--transport", "udp", "--timeout", "0.1", *QUICK)
        outcome = as_json(*words)
    assert outcome.status == 1
    figures = outcome.data["runs"][0]["figures"]
    assert figures["lost"] == figures["failed"] > 0
    assert figures["answered"] == 0


def test_a_socket_file_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory() as temporary:  # the path of tmp_path is too long for a socket
        monkeypatch.setenv("TMPDIR", temporary)
        load = ("--clients", "2", "--messages", "5", "--no-ceiling")
        outcome = as_json("--model", "thread", "--family", "unix", *load)
        assert outcome.status == 0, outcome.err
        endpoint = outcome.data["runs"][0]["endpoint"]
        assert endpoint["family"] == "unix"
        assert endpoint["path"].startswith(f"{temporary}/")
        assert list(Path(temporary).iterdir()) == []


def test_interpreters_that_fail_are_a_line_and_the_rest_runs() -> None:
    words = ("--python", sys.executable, "--python", "no-such-python")
    outcome = as_json("--model", "thread", *words, *QUICK)
    assert outcome.status == 0
    [run] = outcome.data["runs"]
    assert (run["python"].rstrip("t"), run["gil"] in ("on", "off")) == (
        platform.python_version(),
        True,
    )
    assert len(outcome.data["notes"]) == 1
    assert outcome.data["notes"][0].startswith("no-such-python was left out: ")


def test_the_help_shows_the_options() -> None:
    help_text = loadgen("--help").out
    for option in ("--clients", "--rate", "--churn", "--group", "--require", "--export-hdr"):
        assert option in help_text


def test_it_says_its_version() -> None:
    outcome = loadgen("--version")
    assert (outcome.status, outcome.out) == (0, f"loadgen {__version__}\n")


def test_a_message_above_the_servers_own_limit_raises_that() -> None:
    outcome = as_json("--model", "thread", *QUICK, "--size", "2MiB", "--clients", "1")
    assert outcome.status == 0
    assert outcome.data["runs"][0]["figures"]["wrong"] == 0


def test_it_runs_as_an_installed_script_does() -> None:
    code = "from loadgen.command.main import command; command()"
    process = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
        check=True,
        timeout=LONGEST,
    )
    assert max(map(len, process.stdout.splitlines())) <= 100


def test_a_full_disk_costs_the_record_and_not_the_figures() -> None:
    full = ("sh", "-c", 'ulimit -f 1; exec "$@"', "sh")
    command = (sys.executable, "-m", "loadgen", "--model", "selectors", *QUICK)
    done = subprocess.run(
        [*full, *command], capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == 1
    assert "selectors" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("loadgen: cannot write ")
    assert not list(Path().rglob("run.json*"))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("experiment", "--list"), 1, "cannot write to standard output: "),
        (("diff", "A", "\udcff"), 2, "is not in UTF-8"),
    ],
)
def test_what_cannot_be_printed_is_one_clear_line(
    words: Sequence[str], status: int, said: str
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "loadgen", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
    assert done.returncode == status
    assert said in one_line(Outcome(done.returncode, "", done.stderr))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_nobodys(closed: str) -> None:
    shell = ("sh", "-c", f'exec "$@" {closed}', "sh")
    command = (sys.executable, "-m", "loadgen", "--model", "selectors", *QUICK, "--json", "saved")
    done = subprocess.run(
        [*shell, *command, "--no-save"],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert ("Throughput" in done.stdout) is (">&-" not in closed.replace("2>&-", ""))
    assert json.loads(Path("saved").read_text())["runs"][0]["problem"] is None


def test_letters_that_a_terminal_does_not_have_are_written_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert r"caf\xe9" in loadgen("--model", "selectors", *QUICK, "--label", "café").out


def wait_for_children(process: psutil.Process) -> None:
    eventually(lambda: bool(process.children()), "it starts nobody")


@pytest.mark.parametrize("victim", ["the load generator", "its server", "one of its workers"])
def test_whatever_is_ended_at_whatever_moment_there_is_no_traceback_and_nobody_left(
    victim: str,
) -> None:
    rng = random.Random(victim)
    for _ in range(2):
        with started("--model", "thread", *QUICK, "--workers", "2", "--no-save") as process:
            me = psutil.Process(process.pid)
            wait_for_children(me)
            seconds = rng.uniform(0, 1)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            with suppress(psutil.NoSuchProcess, IndexError):
                family = me.children(recursive=True)
                if victim == "the load generator":
                    me.send_signal(signal.SIGINT)
                else:
                    serves = [one for one in family if "concurrency_models" in str(one.cmdline())]
                    others = [one for one in family if one not in serves]
                    rng.choice(serves if victim == "its server" else others).kill()
            out, err = process.communicate(timeout=LONGEST)
            assert "Traceback" not in out + err, (seconds, err)
            # At the very end, when all is told, the signal ends it as it ends any program.
            ended = {0, 1, 130, -signal.SIGINT}
            assert process.returncode in ended, (seconds, err)
            assert not psutil.wait_procs(family, timeout=WAIT_SECONDS)[1], (seconds, err)
