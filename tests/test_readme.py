"""What the README has one type, and write, works as it says."""

import difflib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients import answer, crowd
from tests.servers import ROOT, WAIT_SECONDS, parse_address

README = (ROOT / "README.md").read_text()
CHINESE = (ROOT / "README.zh-CN.md").read_text()
MODELS_OF_README = re.findall(r"^   ```python\n(.*?)^   ```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("source", MODELS_OF_README, ids=["submits", "accepts"])
def test_a_model_of_the_readme_is_a_model(source: str, tmp_path: Path) -> None:
    """Written, registered and run as the README says; serves its two, and stops in order."""
    shutil.copytree(ROOT / "concurrency_models", tmp_path / "concurrency_models")
    there = tmp_path / "concurrency_models" / "backends"
    (there / "two_threads.py").write_text(re.sub(r"^   ", "", source, flags=re.MULTILINE))
    registry = (there / "__init__.py").read_text()
    row = '        Model("two-threads", "two threads", at_once=2),\n'
    first = "    for model in (\n"
    assert first in registry
    (there / "__init__.py").write_text(registry.replace(first, first + row))
    with subprocess.Popen(
        [sys.executable, str(there / "two_threads.py"), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        address = parse_address(line.partition("listening on ")[2].split()[0])
        with crowd(address, 2) as clients:
            for client in clients:
                assert client.ask(b"hello") == answer(b"hello")
            server.send_signal(signal.SIGINT)
            for client in clients:
                client.check_last_words()
        said, complaint = server.communicate(timeout=WAIT_SECONDS)
    assert complaint == ""
    assert said.startswith("two-threads: accepted 2 clients")
    assert server.returncode == 0


@pytest.mark.parametrize("text", [README, CHINESE], ids=["English", "Chinese"])
def test_every_file_that_the_readme_names_is_there(text: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def commands(text: str) -> list[str]:
    """The lines of code to type or to write, without what is said beside them."""
    blocks = re.findall(r"^ *```(?:sh|python)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]


def shape(text: str) -> list[str]:
    """The headings' levels, and the tables with how many rows each has."""
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [*outside.splitlines(), ""]
    found, rows = [], 0
    for line in lines:
        if line.startswith("|"):
            rows += 1
            continue
        if rows:
            found.append(f"a table of {rows} rows")
            rows = 0
        if line.startswith("#"):
            found.append(f"a heading of level {len(line) - len(line.lstrip('#'))}")
    return found


@pytest.mark.parametrize("part", [commands, shape])
def test_the_readme_in_chinese_has_the_same(part: Callable[[str], list[str]]) -> None:
    names = "README.md", "README.zh-CN.md"
    differences = difflib.unified_diff(part(README), part(CHINESE), *names, lineterm="")
    said = "\n".join(differences)
    assert not said, f"the two differ; mend README.zh-CN.md where it does not follow:\n{said}"


def test_the_rooms_stand_in_the_readme_in_their_order() -> None:
    told = re.findall(r"^  (\w+)/ ", README.partition("## How it is built")[2], re.MULTILINE)
    rooms = [name for name in told if (ROOT / "loadgen" / name).is_dir()]
    assert rooms == [
        "plan", "record", "engine", "servers", "judge", "fleet", "cluster", "show", "experiments",
        "command",
    ]  # fmt: skip
