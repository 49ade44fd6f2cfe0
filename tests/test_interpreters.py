"""Interpreters are asked what they are, and one that cannot serve is a line and not the end."""

import os
import re
import shutil
import sys
import threading
import venv
from pathlib import Path

import pytest

from concurrency_models.backends import MODELS, Model
from concurrency_models.talk import frame
from loadgen.fleet.measure import measure
from loadgen.fleet.server import ModelServer
from loadgen.fleet.task import Task
from loadgen.judge import audit
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.servers import interpreters
from loadgen.servers.interpreters import Interpreter, InterpreterError
from tests.clients import answer, crowd
from tests.servers import serving
from tests.test_measure import Notes

PLAN = Plan((Group(4),), duration_seconds=None, messages_per_client=5, timeout_seconds=20.0)


def installed() -> list[Interpreter]:
    """Every interpreter that this machine has under a usual name, ours first."""
    names = [f"python3.{minor}{build}" for minor in range(11, 16) for build in ("", "t")]
    # Each is started to be asked, by each process that collects tests: none twice, and none of
    # pyenv's scripts, which stand for one of its versions.
    folders = [one for one in os.get_exec_path() if Path(one).name != "shims"]
    there = [shutil.which(name, path=os.pathsep.join(folders)) for name in (*names, "pypy3")]
    words = ["/usr/bin/python3", *filter(None, there)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    words += map(str, sorted(versions.glob("3.1[1-9]*/bin/python")))
    once = {Path(word).resolve(): word for word in reversed(words)}
    return interpreters.find([sys.executable, *reversed(once.values())])[0]


INSTALLED = installed()
# An environment is built from an interpreter and is not another one.
PROGRAMS = {Path(one.executable).resolve() for one in INSTALLED}


# The others of each version and build, the newest of them; our own has the scenarios.
OTHERS = {
    (one.version.rpartition(".")[0], one.version.endswith("t")): one
    for one in sorted(INSTALLED, key=lambda one: [int(n) for n in re.findall(r"\d+", one.version)])
    if one.version.rpartition(".")[0] != interpreters.own().version.rpartition(".")[0]
}
PAIRS = [
    pytest.param(python, model, id=f"{python.version}-{model.name}")
    for python in OTHERS.values()
    for model in MODELS.values()
    if model.group != "extra" and not python.missing[model.name]
]


def program(folder: Path, text: str) -> str:
    """A program that is no Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_our_own_says_of_itself_what_we_know() -> None:
    asked, own = interpreters.ask(sys.executable), interpreters.own()
    assert (asked.version, asked.gil, asked.missing) == (own.version, own.gil, own.missing)
    assert Path(asked.executable).samefile(own.executable)


def test_nothing_but_our_servers_is_to_be_found_in_the_library() -> None:
    assert os.listdir(interpreters.library()) == ["concurrency_models"]  # noqa: PTH208
    found = interpreters.variables(interpreters.library())
    assert found["PYTHONPATH"] == interpreters.library()


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(InterpreterError, match=r"no-such-python was left out: there is no such"):
        interpreters.ask("no-such-python")


OLD = (
    '{"executable": "x", "prefix": "y", "release": [3, 10], "version": "3.10.13",'
    ' "implementation": "CPython"}'
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo oh no >&2; exit 3", r"\(status 3\); it said: oh no"),
        ("echo 'Traceback (most'; echo 'E: why'; exit 1", r"\(status 1\); it said: E: why"),
        ("exit 0", "it said: nothing"),
        ("echo 42", "it said: 42"),
        ("echo '{\"executable\": 1}'", "does not run Python"),
        (f"echo '{OLD}'", r"it is Python 3\.10\.13, and the servers need 3\.11 or later"),
    ],
)
def test_a_program_that_is_no_use(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match=says) as error:
        interpreters.ask(program(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_program_that_says_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "ANSWER_SECONDS", 0.2)
    with pytest.raises(InterpreterError, match="did not say within"):
        interpreters.ask(program(tmp_path, "exec sleep 60"))


@pytest.mark.parametrize(
    ("gil", "is_on"), [("null", "not known"), ("true", "on"), ("false", "off")]
)
def test_the_lock_is_on_off_or_not_known(gil: str, is_on: str, tmp_path: Path) -> None:
    answer = (
        '{"executable": "x", "prefix": "y", "release": [3, 14], "version": "3.14.0",'
        f' "implementation": "PyPy", "free_threaded": true, "gil": {gil}, "missing": {{}}}}'
    )
    found = interpreters.ask(program(tmp_path, f"echo '{answer}'"))
    assert (found.version, found.gil) == ("PyPy 3.14.0t", is_on)


def test_one_named_twice_is_one() -> None:
    found, said = interpreters.find([sys.executable, "no-such-python", sys.executable])
    assert len(found) == 1
    assert [line.split()[0] for line in said] == ["no-such-python"]


def test_two_of_one_version_are_told_apart(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    words = [sys.executable, str(tmp_path / "env" / "bin" / "python")]
    found, said = interpreters.find(words)
    version = interpreters.own().version
    assert [one.version for one in found] == [f"{version} #1", f"{version} #2"]
    assert said == [f"{version} #{place} is {word}" for place, word in enumerate(words, 1)]
    assert found[1].missing["trio"] == "pip install trio"  # that one has nothing installed


def test_the_newest_version_that_is_there_with_and_without_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(word: str) -> Interpreter:
        if word not in there:
            raise InterpreterError(word)
        version = word.removeprefix("python")
        return Interpreter(word, version, "off" if word in without else "on", {})

    find = interpreters.with_and_without_gil.__wrapped__
    monkeypatch.setattr(interpreters, "ask", ask)
    there = {"python3.15t", "python3.14", "python3.14t", "python3.13", "python3.13t"}
    without = {"python3.15t", "python3.13t"}  # 3.14t has it as well: PYTHON_GIL=1
    found = find()
    assert (found["on"].version, found["off"].version) == ("3.13", "3.13t")
    without = {"python3.14t", "python3.13t"}
    assert find()["off"].version == "3.14t"
    there = {"python3.13", "python3.14t"}
    with pytest.raises(InterpreterError, match="a Python without the GIL on the PATH"):
        find()


@pytest.mark.skipif(len(PROGRAMS) < 2, reason="this machine has one Python of 3.11 or later alone")
@pytest.mark.parametrize("python", INSTALLED, ids=lambda one: one.version)
def test_a_model_is_measured_under_every_interpreter_there_is(python: Interpreter) -> None:
    task = Task("thread", ModelServer("thread", python=python), PLAN)
    run = measure(task, Notes(), threading.Event())
    assert (run.problem, run.notes) == (None, ())
    assert (run.python, run.gil) == (python.version, python.gil)
    assert audit.audit(run).valid
    assert run.tally is not None
    assert run.tally.groups[0].answered == 20


@pytest.mark.parametrize(("python", "model"), PAIRS)
def test_what_every_model_must_do_it_does_under_other_interpreters(
    python: Interpreter, model: Model
) -> None:
    """The scenarios in short, with one server; SERVER_PYTHON=... runs all of them."""
    with (
        serving("--model", model.name, "--grace", "20", python=python.executable) as server,
        crowd(server.address, min(8, model.at_once or 8)) as clients,
    ):
        for client in clients:
            client.send(*(b"%d" % number for number in range(200)))
        for client in clients:
            assert [client.receive() for _ in range(200)] == [answer(b"%d" % n) for n in range(200)]
        large = bytes(1 << 20)
        assert clients[0].ask(large) == answer(large)
        for client in clients:
            client.socket.sendall(frame("length", b"half")[:6])
        server.process.terminate()
        for client in clients:
            client.socket.sendall(b"lf")
            client.check_last_words(answer(b"half"))
        assert server.exit_status() == 0
