"""Imports run one way, so that a module can be read without those that build on it."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Final

import pytest

from concurrency_models.backends import MODELS
from loadgen.fleet.worker import WORKER_PROGRAM
from tests.servers import ROOT

PACKAGES: Final = ("concurrency_models", "loadgen")

ROOMS: Final = (
    "plan", "record", "engine", "servers", "judge", "fleet", "cluster", "show", "experiments",
    "command",
)  # fmt: skip
"""The rooms of loadgen from the ground up: each is built on those before it."""

CHAINS: Final = [
    [
        "concurrency_models.talk",
        "concurrency_models.server",
        "concurrency_models.accepting",
        "concurrency_models.run",
    ],
    [
        "loadgen.experiments.quantity",
        "loadgen.experiments.judge",
        "loadgen.experiments.conduct",
        "loadgen.experiments.show",
    ],
]
"""What comes first in a chain must not need what comes later, be it through others."""

SHARED_WITH_LOADGEN: Final = {
    "concurrency_models",
    "concurrency_models.backends",  # the registry, and none of the models
    "concurrency_models.parser",  # both commands complain alike
    "concurrency_models.talk",
    "concurrency_models.work",
}


def modules() -> dict[str, Path]:
    """Return the file of every module of the project by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES: Final = modules()


def statements(node: ast.AST, for_types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that are ever carried out, with those for type checkers alone on demand."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif (
            for_types or not isinstance(child, ast.If) or ast.unparse(child.test) != "TYPE_CHECKING"
        ):
            yield from statements(child, for_types)


@cache
def parsed(module: str) -> ast.Module:
    """Return a module's syntax; as tests are collected, by each of several processes, none is."""
    return ast.parse(MODULES[module].read_text(), MODULES[module])


@cache
def imported_by(module: str, for_types: bool = False) -> frozenset[str]:
    """Return what a module imports: modules of the project, and names of others as written."""
    is_package = any(other.startswith(f"{module}.") for other in MODULES)
    found = set()
    for statement in statements(parsed(module), for_types):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
            continue
        base = statement.module or ""
        if statement.level:
            package = module if is_package else module.rpartition(".")[0]
            base = importlib.util.resolve_name("." * statement.level + base, package)
        for alias in statement.names:
            inner = f"{base}.{alias.name}"
            found.add(inner if inner in MODULES else base)
    return frozenset(found)


@cache
def reachable_from(module: str, for_types: bool = False) -> frozenset[str]:
    """Return the modules of the project that a module needs, directly or through others."""
    reached: set[str] = set()
    to_visit = [module]
    while to_visit:
        for name in imported_by(to_visit.pop(), for_types) & MODULES.keys() - reached:
            reached.add(name)
            to_visit.append(name)
    return frozenset(reached)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_needs_itself(module: str) -> None:
    assert module not in reachable_from(module)


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("loadgen")])
def test_no_module_of_the_load_generator_needs_itself_for_its_types(module: str) -> None:
    assert module not in reachable_from(module, for_types=True)


@pytest.mark.parametrize(
    ("lower", "upper"), [p for chain in CHAINS for p in combinations(chain, 2)]
)
def test_imports_run_one_way(lower: str, upper: str) -> None:
    assert {lower, upper} <= MODULES.keys()
    assert upper not in reachable_from(lower)


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("loadgen.")])
def test_a_room_needs_only_those_below_it(module: str) -> None:
    def room_of(name: str) -> str:
        return name.split(".")[1]

    if module == "loadgen.__main__":
        return
    assert room_of(module) in ROOMS
    above = ROOMS[ROOMS.index(room_of(module)) + 1 :]
    needed = {n for n in imported_by(module, for_types=True) if n.startswith("loadgen.")}
    assert not {name for name in needed if room_of(name) in above}


def test_dask_is_known_in_one_place() -> None:
    """Which places what runs elsewhere; no word of a measurement goes by it."""
    users = {
        module
        for module in MODULES
        if {"dask", "distributed"} & {n.split(".")[0] for n in imported_by(module, for_types=True)}
    }
    assert users == {"loadgen.cluster.placement"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_stands_between_the_server_and_the_command(name: str) -> None:
    module = f"concurrency_models.backends.{MODELS[name].module}"
    assert "concurrency_models.server" in reachable_from(module)
    assert "concurrency_models.run" not in reachable_from(module)
    assert module not in reachable_from("concurrency_models.run")  # imported on use, by its name


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("concurrency_mod")])
def test_the_servers_need_nothing_but_the_standard_library(module: str) -> None:
    requires = {
        package
        for model in MODELS.values()
        if module == f"concurrency_models.backends.{model.module}"
        for package in model.requires
    }
    allowed = {*sys.stdlib_module_names, "concurrency_models", *requires}
    assert {name.partition(".")[0] for name in imported_by(module)} <= allowed


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("loadgen")])
def test_the_load_generator_knows_no_more_of_the_servers_than_it_has_to(module: str) -> None:
    known = {name for name in imported_by(module) if name.startswith("concurrency_models")}
    assert known <= SHARED_WITH_LOADGEN


def test_a_server_leaves_out_what_it_has_no_use_for() -> None:
    program = "import sys, concurrency_models.run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "concurrency_models.server" in done.stdout.split()
    assert {"difflib", "ipaddress", "pathlib", "platform"}.isdisjoint(done.stdout.split())


def test_a_load_worker_leaves_out_what_it_has_no_use_for() -> None:
    # There are 60 for a million clients, and these were a fifth of each one's memory.
    program = f"{WORKER_PROGRAM.partition('work(')[0]}print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "loadgen.engine.loop" in done.stdout.split()
    assert {"ipaddress", "msgspec", "pathlib", "psutil"}.isdisjoint(done.stdout.split())
