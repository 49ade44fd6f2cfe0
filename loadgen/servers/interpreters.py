"""The Python interpreters that servers run under, each asked what it is.

Nothing needs to be installed in any of them: servers get a folder that holds their own package and
nothing else, so that another interpreter never meets packages that were installed for ours.
"""

import atexit
import contextlib
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import concurrency_models
from concurrency_models.backends import MODELS
from loadgen.record import environment

OLDEST = (3, 11)
FIRST_WITHOUT_GIL = (3, 13)
NEWEST = (3, 15)
ANSWER_SECONDS = 30.0

# Also read by the oldest interpreters, so that they can say what they are. An empty entry of the
# path is the current folder, whose files are none of a server's business.
_QUESTION = """
import sys
sys.path = [entry for entry in sys.path if entry]
import json, platform
said = {"executable": sys.executable, "prefix": sys.prefix}
said["release"] = list(sys.version_info[:2])
said["version"] = platform.python_version()
said["implementation"] = platform.python_implementation()
if sys.version_info >= (3, 11):
    import sysconfig
    from concurrency_models.backends import MODELS
    said["free_threaded"] = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    said["gil"] = sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else None
    said["missing"] = {name: model.unavailable() for name, model in MODELS.items()}
print(json.dumps(said))
"""


class InterpreterError(Exception):
    """An interpreter that cannot serve; its text is one line for a person."""


@dataclass(frozen=True)
class Interpreter:
    """One interpreter.

    `version` is as people write it: "3.13.0", "3.14.0t" for a build that can do without the global
    lock, "PyPy 3.11.13". `gil` is "on", "off" or "not known". `missing` says, for each model, why
    it cannot run there, or None. `library` is the folder to look for the servers' package in; None
    for our own interpreter, which finds it as we did.
    """

    executable: str
    version: str
    gil: str
    missing: Mapping[str, str | None]
    library: str | None = None


@functools.cache
def own() -> Interpreter:
    """The interpreter that runs this program."""
    return Interpreter(
        sys.executable,
        _version(
            platform.python_implementation(),
            platform.python_version(),
            bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        ),
        environment.gil_state(),
        {name: model.unavailable() for name, model in MODELS.items()},
    )


def find(words: Sequence[str]) -> tuple[list[Interpreter], list[str]]:
    """The interpreters that people name, by path or by name, and a line for each that fails.

    One that is named twice is found once. Two builds of the same version are told apart by a number
    behind it, and a line says which is which.
    """
    found: dict[str, tuple[str, Interpreter]] = {}
    said = []
    for word in words:
        try:
            identity, one = _ask(word)
        except InterpreterError as error:
            said.append(str(error))
            continue
        first, _ = found.setdefault(identity, (word, one))
        if first != word:
            said.append(f"{word} is the same interpreter as {first}, so it is measured once")
    versions = [one.version for _, one in found.values()]
    told_apart = []
    for position, (word, one) in enumerate(found.values()):
        version = one.version
        if versions.count(version) > 1:
            version += f" #{versions[: position + 1].count(version)}"
            said.append(f"{version} is {word}")
        told_apart.append(replace(one, version=version))
    return told_apart, said


@functools.cache
def with_and_without_gil() -> dict[str, Interpreter]:
    """Two interpreters of one version, the newest on the PATH: "on" has the GIL, "off" does not.

    Raises InterpreterError where there are none.
    """
    for minor in range(NEWEST[1], FIRST_WITHOUT_GIL[1] - 1, -1):
        with contextlib.suppress(InterpreterError):
            pair = {one.gil: one for one in (ask(f"python3.{minor}"), ask(f"python3.{minor}t"))}
            if {"on", "off"} <= pair.keys():
                return pair
    raise InterpreterError(
        "it takes a Python without the GIL on the PATH, and one of that version with it, such as "
        "python3.13t and python3.13"
    )


def ask(word: str) -> Interpreter:
    """The interpreter at a path or of a name; raises InterpreterError."""
    return _ask(word)[1]


def _ask(word: str) -> tuple[str, Interpreter]:
    """An interpreter, with what is equal for two names of the same one."""
    path = shutil.which(word)
    if path is None:
        raise InterpreterError(
            f"{word} was left out: there is no such program; give a path, or a name on the PATH"
        )
    try:
        answer = subprocess.run(
            [path, "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=variables(library()),
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        raise InterpreterError(f"{word} was left out: it cannot run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise InterpreterError(
            f"{word} was left out: it did not say within {ANSWER_SECONDS:g} s what it is"
        ) from None
    try:
        said = json.loads(answer.stdout)
        version = _version(
            said["implementation"], said["version"], said.get("free_threaded", False)
        )
        too_old = tuple(said["release"]) < OLDEST
        identity = said["executable"], said["prefix"]
    except (ValueError, KeyError, TypeError):
        heard = (answer.stderr.strip() or answer.stdout.strip() or "nothing").splitlines()
        traceback = heard[0].startswith("Traceback")
        raise InterpreterError(
            f"{word} was left out: it does not run Python (status {answer.returncode}); "
            f"it said: {heard[-1 if traceback else 0].strip()}"
        ) from None
    if too_old:
        oldest = ".".join(map(str, OLDEST))
        raise InterpreterError(
            f"{word} was left out: it is Python {version}, and the servers need {oldest} or later"
        )
    gil = said["gil"]
    if gil is None:  # see environment.gil_state
        gil = "on" if said["implementation"] == "CPython" else "not known"
    else:
        gil = "on" if gil else "off"
    return f"{os.path.realpath(identity[0])} {identity[1]}", Interpreter(
        identity[0], version, gil, said["missing"], library()
    )


@functools.cache
def library() -> str:
    """A folder with the servers' package in it and nothing else; it goes when this program ends."""
    folder = tempfile.TemporaryDirectory(prefix="loadgen-")
    atexit.register(folder.cleanup)
    package = Path(concurrency_models.__file__).resolve().parent
    Path(folder.name, package.name).symlink_to(package)
    return folder.name


def variables(library: str | None) -> dict[str, str]:
    """The environment variables of a server whose package is in `library`, None for where ours is.

    What our own say about folders of packages is not meant for another interpreter.
    """
    if library is not None:
        ours = {"PYTHONPATH", "PYTHONHOME"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return {**kept, "PYTHONPATH": library}
    home = str(Path(concurrency_models.__file__).resolve().parent.parent)
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _version(implementation: str, version: str, free_threaded: bool) -> str:
    name = version + ("t" if free_threaded else "")
    return name if implementation == "CPython" else f"{implementation} {name}"
