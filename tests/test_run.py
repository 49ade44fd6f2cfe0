"""The command line, as people type it: what it prints, how it ends, what it says to a mistake."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from concurrency_models.backends import MODELS, Model
from tests.clients import Client, answer, check_served, crowd
from tests.servers import ROOT, WAIT_SECONDS, Output, eventually, parse_address, serving


def run(*arguments: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "concurrency_models.run", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WAIT_SECONDS,
        check=False,
    )


def check_complaint(ended: subprocess.CompletedProcess[str], status: int, *says: str) -> None:
    """Judge how the command ended: the status, one line for a person, nothing else."""
    assert ended.returncode == status, ended.stderr
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    for text in says:
        assert text in line
    assert "Traceback" not in ended.stderr


def as_typed(parameter: tuple[str, ...] | str) -> str:
    return " ".join(parameter)[:50] if isinstance(parameter, tuple) else "says"


def test_list_names_every_model_and_how_it_serves() -> None:
    listed = run("--list")
    assert listed.returncode == 0
    assert listed.stderr == ""
    assert max(map(len, listed.stdout.splitlines())) <= 80
    said = " ".join(listed.stdout.split())
    for model in MODELS.values():
        missing = model.unavailable()
        how = model.summary + (f"; not here: {missing}" if missing else "")
        assert f" {model.name} {how} " in f" {said} "


def test_help_names_the_defaults() -> None:
    text = " ".join(run("--help").stdout.split())
    for default in "127.0.0.1", "8008", "length", "'received: '", "1048576", "iterative":
        assert f"(default: {default}" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "thred"), "did you mean 'thread'?"),
        (("--model", "nonsense"), "choose from iterative, process"),
        (("--trace", "t", "--transport", "udp"), "--trace follows connections"),
        (("--trace", "t", "-v"), "give one of them"),
        (("--port", "65536"), "'65536' is not a whole number from 0 to 65535"),
        (("--port", "-1"), "'-1' is not a whole number"),
        (("--port", "http"), "'http' is not a whole number"),
        (("--backlog", "-1"), "argument --backlog: '-1' is not a whole number"),
        (("--max-message", "0"), "argument --max-message: '0' is not a whole number from 1"),
        (("--max-message", "4294967296"), "from 1 to 4294967295"),
        (("--max-message", "1e6"), "'1e6' is not a whole number"),
        (("--max-clients", "0"), "argument --max-clients: '0' is not a whole number from 1"),
        (("--idle-timeout", "0"), "'0' is not a number of seconds from 0.001 to 86400"),
        (("--idle-timeout", "nan"), "'nan' is not a number of seconds"),
        (("--switch-interval", "0"), "'0' is not a number of seconds from 1e-06 to 86400"),
        (("--grace", "-1"), "'-1' is not a number of seconds"),
        (("--grace", "inf"), "'inf' is not a number of seconds"),
        (("--framing", "lines"), "invalid choice: 'lines'"),
        (("--talk", "chat"), "invalid choice: 'chat'"),
        (("--start-method", "teleport"), "invalid choice: 'teleport'"),
        (("--family", "unix"), "--family unix needs --path"),
        (("--path", "somewhere"), "--path goes with --family unix"),
        (("--family", "unix", "--path", "x" * 200), "choose a shorter --path"),
        (("--model", "process", "--transport", "udp"), "'process' needs connections"),
        (("--transport", "udp", "--talk", "once"), "UDP has nothing to close"),
        (
            ("--family", "unix", "--path", "x", "--port", "3"),
            "--family unix has no --port: its --path says where it listens",
        ),
        (("--transport", "udp", "--framing", "line"), "leave it out with --transport udp, where a"),
        (("--framing", "line", "--reply-prefix", "a\nb"), "a newline ends a message"),
        (("--model", "thread,process"), "python -m loadgen --model thread,process"),
        (("thread", "process"), "a server has one model: start thread and process in a terminal"),
        (("thread", "--model", "process"), "a server has one model"),
        (("thred",), "did you mean 'thread'?"),
        (("--nonsense",), "unrecognized arguments: --nonsense (--help"),
    ],
    ids=as_typed,
)
def test_usage_errors(arguments: tuple[str, ...], says: str) -> None:
    check_complaint(run(*arguments), 2, "concurrency_models: ", says, "--help")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--host", "no.such.host.invalid"), "'no.such.host.invalid' is no IPv4 address"),
        (("--host", "::1"), "'::1' is no IPv4 address"),
        (("--host", "a..b"), "'a..b' is no IPv4 address"),
        (("--host", "x" * 300), "is no IPv4 address"),
        (("--host", "192.0.2.1"), "192.0.2.1 is no address of this machine; --host 127.0.0.1"),
        (("--family", "unix", "--path", "pyproject.toml"), "is a file, and no socket"),
        (("--family", "unix", "--path", "tests"), "'tests' is a folder, and no socket"),
        (("--family", "unix", "--path", "no/such/directory"), "No such file or directory"),
    ],
    ids=as_typed,
)
def test_places_where_nobody_can_listen(arguments: tuple[str, ...], says: str) -> None:
    check_complaint(run("--port", "0", *arguments), 1, "concurrency_models: ", says)


@pytest.mark.parametrize("model", ["iterative", "selectors"])
def test_a_port_in_use(model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ended = run("--model", model, "--port", port)
    check_complaint(ended, 1, f"port {port} on 127.0.0.1 is in use", "--port")


def test_a_port_that_needs_root() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("here nobody needs root for any port")
    wrapper: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv, to give up the right to any port")
        wrapper = ("setpriv", "--bounding-set", "-net_bind_service", "--inh-caps", "-all")
    check_complaint(run("--port", "1", wrapper=wrapper), 1, "port 1 needs root's rights", "1024")


@pytest.mark.parametrize(
    ("arguments", "descriptors"),
    [
        (("--model", "thread"), 5),
        (("--model", "process"), 7),
        (("--model", "process", "--start-method", "forkserver"), 7),
        (("--model", "prefork"), 8),
        (("--model", "fd-passing"), 8),
    ],
    ids=as_typed,
)
def test_too_few_descriptors_to_start(arguments: tuple[str, ...], descriptors: int) -> None:
    few = ("sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh")
    ended = run("--port", "0", *arguments, wrapper=few)
    check_complaint(ended, 1, f"{arguments[1]} cannot start: out of file descriptors", "ulimit -n")


def test_a_model_whose_package_is_missing() -> None:
    missing = [model for model in MODELS.values() if model.unavailable()]
    if not missing:
        pytest.skip("all models can run here")
    says = missing[0].unavailable() or ""
    check_complaint(run("--model", missing[0].name), 1, missing[0].name, says)


def test_verbose_prints_a_line_for_each_connection_and_message() -> None:
    with serving("--model", "thread", "--framing", "line", "-v") as server:
        with Client(server.address) as client:
            name = re.escape("{}:{}".format(*client.socket.getsockname()))
            clock = r"^\d\d:\d\d:\d\d\.\d{3}"
            who = rf"\[process {server.process.pid}, MainThread\]"
            server.out.wait_for(rf"{clock} {who} {name} connected")
            client.socket.sendall(b"hello\n" + b"x" * 100 + b"\n")
            server.out.wait_for(rf"\[process .*Thread.*\] {name} says b'hello'$")
            server.out.wait_for(rf"{name} says b'x+'\.\.\. \(100 bytes\)$")
            client.hang_up()
            client.read_to_end()
        server.out.wait_for(rf"{name} hung up$")
        client = Client(server.address)
        name = re.escape("{}:{}".format(*client.socket.getsockname()))
        server.out.wait_for(rf"{name} connected")
        client.reset()
        server.out.wait_for(rf"{name} was lost: Connection reset by peer$")


@pytest.mark.parametrize(
    "model", [name for name in ("fd-passing", "subinterpreters") if not MODELS[name].unavailable()]
)
def test_a_client_that_is_handed_over_is_said_to_connect_once(model: str) -> None:
    with serving("--model", model, "-v") as server:
        with Client(server.address) as client:
            client.send(b"hello")
            server.out.wait_for("says b'hello'$")
            client.hang_up()
            client.read_to_end()
        server.out.wait_for("hung up$")
        server.stop()
        server.out.wait_for_end()
        assert sum(line.endswith(" connected") for line in server.out.lines) == 1


def test_a_model_needs_no_option() -> None:
    with serving("thread") as server:
        check_served(server.address)
        assert server.out.lines[0].startswith("thread: listening on")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("thread", "--workers", "3"),
            "--workers means nothing to 'thread'; it goes with what has",
        ),
        (("thread", "--start-method", "spawn"), "--start-method means nothing to 'thread'"),
        (("fork", "--start-method", "spawn"), "--start-method means nothing to 'fork'"),
        (("thread-pool", "--workers", "3"), None),
        (("process", "--start-method", "spawn"), None),
    ],
    ids=as_typed,
)
def test_what_means_nothing_to_a_model_is_a_line_and_it_serves(
    arguments: tuple[str, ...], says: str | None
) -> None:
    with serving(*arguments, warns=True) as server:
        check_served(server.address)
        server.stop()
        server.err.wait_for_end()
        lines = server.err.lines
    assert len(lines) == (says is not None), lines
    assert all(says is not None and says in line for line in lines)


def test_clients_of_a_socket_file_are_told_apart(tmp_path: Path) -> None:
    path = str(tmp_path / "talk.sock")
    options = "--framing", "line", "-v", "--family", "unix", "--path", path
    with serving("--model", "process", *options) as server:
        for word in b"one\n", b"two\n":
            with Client(server.address) as client:
                client.socket.sendall(word)
                client.read(len(b"received: ") + len(word))
        server.out.wait_for("says b'two'$")
        pattern = r"(unix client \d+ \(process \d+\)) (connected|says)"
        said = [found[1] for line in server.out.lines if (found := re.search(pattern, line))]
    assert len(said) == 4
    assert len(set(said)) == 2


def test_it_is_silent_about_clients_otherwise() -> None:
    with serving("--model", "thread") as server:
        check_served(server.address)
        server.stop()
        server.out.wait_for_end()
        assert len(server.out.lines) == 2, "where it listens, and what it did"


@pytest.mark.parametrize("model", ["thread", "process", "selectors"])
def test_nobody_need_read_what_it_prints(model: str) -> None:
    """As in `python -m concurrency_models.run -v | head -1`."""
    command = [sys.executable, "-m", "concurrency_models.run", "--port", "0", "-v"]
    with subprocess.Popen(
        [*command, "--model", model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            address = parse_address(process.stdout.readline().split("listening on ")[1].split()[0])
            process.stdout.close()
            for _ in range(3):
                check_served(address)
            process.terminate()
            assert process.stderr.read() == ""
            assert process.wait(WAIT_SECONDS) == 0
        finally:
            process.kill()


@pytest.fixture
def netcat() -> Iterator[str]:
    for name in "nc", "ncat", "telnet":
        if shutil.which(name):
            yield name
            return
    pytest.skip("needs nc, ncat or telnet")


def test_it_can_be_talked_to_by_hand(netcat: str) -> None:
    with serving("--model", "thread", "--framing", "line", "--reply-prefix", "you: ") as server:
        assert not isinstance(server.address, str)
        host, port = server.address
        with subprocess.Popen(
            [netcat, host, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as typist:
            assert typist.stdin is not None
            assert typist.stdout is not None
            shown = Output(typist.stdout)
            try:
                for line in "hello", "bye":
                    print(line, file=typist.stdin, flush=True)
                    shown.wait_for(f"^you: {line}$")
            finally:
                typist.kill()


def test_lines_typed_one_after_the_other_are_answered() -> None:
    with (
        serving("--framing", "line", "--reply-prefix", "you: ") as server,
        Client(server.address) as client,
    ):
        for line in b"hello\n", b"hello\r\n", b"\n", "grüß dich\n".encode():
            client.socket.sendall(line)
            assert client.read(5 + len(line)) == b"you: " + line


def test_a_port_is_free_again_as_soon_as_the_server_has_ended() -> None:
    with serving("--model", "process") as first, Client(first.address) as client:
        assert client.ask(b"hello") == answer(b"hello")
        first.stop()
        with serving("--model", "process", "--port", str(first.address[1])) as second:
            assert second.address == first.address
            check_served(second.address)


@pytest.mark.parametrize("work", ["--work", None])
def test_work_is_done_only_where_it_was_asked_for(work: str | None) -> None:
    with serving(*filter(None, [work])) as server, Client(server.address) as client:
        assert client.ask(b"fib 10") == answer(b"55" if work else b"fib 10")


OVER_UDP = pytest.mark.parametrize(
    "model", [m for m in MODELS.values() if "udp" in m.transports and not m.unavailable()],
    ids=lambda model: model.name,
)  # fmt: skip


@OVER_UDP
def test_datagrams_are_answered(model: Model) -> None:
    with (
        serving("--model", model.name, "--transport", "udp") as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(WAIT_SECONDS)
        client.connect(server.address)
        for message in b"hello", b"", bytes(20_000):
            client.send(message)
            assert client.recv(65_536) == answer(message)


@OVER_UDP
def test_a_datagram_that_is_worked_on_is_answered_before_the_end(model: Model) -> None:
    arguments = ("--model", model.name, "--transport", "udp", "--work", "-v")
    with (
        serving(*arguments) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(WAIT_SECONDS)
        client.connect(server.address)
        client.send(b"sleep 300")
        server.out.wait_for("says b'sleep 300'")
        server.process.terminate()
        assert client.recv(65_536) == answer(b"300")
        assert server.exit_status() == 0


@pytest.mark.parametrize("module", ["concurrency_models.run", "loadgen"])
def test_an_older_python_is_told_so_in_a_line(module: str) -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 9, 18); sys.version = '3.9.18 (main)'; "
        f"runpy.run_module({module!r}, run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    check_complaint(ended, 1, "needs Python 3.11 or later, and", "is 3.9.18")


def test_the_load_generator_without_its_packages_says_how_to_get_them() -> None:
    # -S: without the packages of the environment.
    command = [sys.executable, "-S", "-m", "loadgen", "--clients", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    check_complaint(ended, 1, "lacks msgspec, psutil, rich, tabulate", "pip install -e '.[report]'")


def test_ctrl_c_while_children_still_start_leaves_no_traceback() -> None:
    options = "--model", "process", "--start-method", "spawn", "--grace", "20"
    with serving(*options) as server, crowd(server.address, 8):
        eventually(lambda: len(server.processes()) > 1, "no child was started")
        server.signal_all(signal.SIGINT)
        assert server.exit_status() == 0
        assert server.err.lines == []
