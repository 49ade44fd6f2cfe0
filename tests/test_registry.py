"""The registry and the files beside it: each row has its file, and each file its row."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from concurrency_models import backends
from concurrency_models.backends import EFFECTS, MODELS, Model, RegistryError, without_row
from tests.registry import registry_mismatch
from tests.servers import ROOT, SUBJECTS, WAIT_SECONDS, Subject

FOLDER = Path(backends.__file__).parent


def test_every_file_has_a_row() -> None:
    assert without_row() == []


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_row_has_its_file_with_what_it_promises(model: Model) -> None:
    source = (FOLDER / f"{model.module}.py").read_text()
    assert re.search(r"^def serve\(", source, re.MULTILINE)
    assert ("def serve_datagrams(" in source) is ("udp" in model.transports)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_row_has_the_options_that_mean_something_to_it(model: Model) -> None:
    source = (FOLDER / f"{model.module}.py").read_text()
    sized = "settings.workers" in source or "pool_size(" in source
    starts = re.search(r"\b(multiprocessing\.Process|ProcessPoolExecutor|WorkerPool)\(", source)
    assert ("--workers" in model.takes) is sized
    assert ("--start-method" in model.takes) is (starts is not None)
    assert set(model.takes) <= EFFECTS.keys()


def test_a_file_without_a_row_is_a_sentence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "concurrency_models", tmp_path / "concurrency_models")
    shutil.copytree(ROOT / "loadgen", tmp_path / "loadgen")
    there = tmp_path / "concurrency_models" / "backends"
    shutil.copy(there / "iterative.py", there / "no_row.py")
    for command in (
        ("-m", "concurrency_models", "--model", "no-row"),
        (str(there / "no_row.py"),),
        ("-m", "loadgen", "--model", "no-row"),
    ):
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert ended.returncode == 2
        assert "has a file and no row in the registry: add Model(" in ended.stderr


def test_a_row_without_a_file_is_a_sentence() -> None:
    with pytest.raises(RegistryError, match=r"has a row .* and no file; write backends/nobody.py"):
        Model("nobody", "does not exist").import_serve()


def test_a_model_without_datagrams_is_a_sentence() -> None:
    with pytest.raises(RegistryError, match=r"process.py has no function serve_datagrams"):
        MODELS["process"].import_serve("udp")


def test_a_forgotten_at_once_is_a_sentence() -> None:
    said = registry_mismatch(replace(MODELS["iterative"], at_once=None))
    assert said is not None
    assert "serves 1 of 30 clients at a time" in said
    assert said.endswith("give it at_once=1")


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
@pytest.mark.parametrize("folder", [ROOT, FOLDER], ids=["here", "among the models"])
def test_the_file_of_a_model_runs_by_itself(subject: Subject, folder: Path) -> None:
    """As an editor's Run button has it, where nothing is installed."""
    file = FOLDER / f"{subject.model.module}.py"
    command = [sys.executable, os.path.relpath(file, folder), "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        server.terminate()
        _, complaint = server.communicate(timeout=WAIT_SECONDS)
    assert line.startswith(f"{subject.model.name}: listening on"), complaint
    assert server.returncode == 0
    assert complaint == ""


@pytest.mark.parametrize("module", ["concurrency_models", "loadgen"])
def test_the_commands_run_in_the_folder_of_the_models(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=FOLDER,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"usage: python -m {module}")
