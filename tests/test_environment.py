"""What is said about the machine and the interpreter."""

import platform
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from loadgen.record import environment


def test_it_describes_this_interpreter_and_names_no_person_or_place() -> None:
    here = environment.describe()
    assert here.python == platform.python_version()
    assert here.gil in ("on", "off", "not known")
    assert here.usable_cores is not None
    assert here.usable_cores >= 1
    assert "psutil" in here.libraries
    text = str(asdict(here))
    assert platform.node() not in text
    assert "/" not in text.replace("GNU/Linux", "")


def test_like_machines_do_not_differ() -> None:
    here = environment.describe()
    assert environment.differences(here, replace(here, load_average=9.0)) == []


def test_differences_name_both_sides() -> None:
    here = environment.describe()
    other = replace(here, cores=64, python="3.99.0")
    assert environment.differences(here, other) == [
        f"cores: {here.cores} and 64",
        f"python: {here.python} and 3.99.0",
    ]


@pytest.mark.parametrize(
    ("files", "groups", "cores"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"cpu.max": "max 100000"}, "0::/", None),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, "0::/a/b", 0.5),
        (
            {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
            "4:memory:/x\n1:cpu,cpuacct:/not/seen\n0::/",
            2.0,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", None),
        ({}, "0::/", None),
    ],
)
def test_a_quota_is_the_least_of_all_groups_around(
    files: dict[str, str], groups: str, cores: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(text + "\n")
    (tmp_path / "own").write_text(groups + "\n")
    assert environment.cpu_quota(tmp_path / "mount", tmp_path / "own") == cores


def test_what_a_quota_leaves_is_what_there_is_to_use() -> None:
    here = replace(environment.describe(), usable_cores=8, cpu_quota=1.5)
    assert here.cores_to_use == 1.5
    assert replace(here, cpu_quota=None).cores_to_use == 8
    assert replace(here, usable_cores=None, cpu_quota=None).cores_to_use is None
