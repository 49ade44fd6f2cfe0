"""What is said about the machine and the interpreter."""

import platform
from dataclasses import asdict, replace

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
