"""Fixtures shared by all tests: the models, and a server for each that scenarios share."""

import gc
import os
import shutil
import signal
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from loadgen.servers import interpreters
from tests import warm_workers
from tests.registry import registry_mismatch
from tests.servers import SUBJECTS, ServerProcess, Subject, serving

# On a machine that others use as well, how long an example took says nothing about the code.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.register_profile("many histories", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("shared machine")


def pytest_configure() -> None:
    """Let Ctrl-C, which tests send, arrive: what a script starts with '&' is made to ignore it.

    How wide somebody's terminal is changes nothing either.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("COLUMNS", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from walking all modules and tests, which stay, again and again.

    That was every eighth second of the processes that run the tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Every model of the registry that can run here, in turn."""
    subject: Subject = request.param
    if mismatch := registry_mismatch(subject.model):
        pytest.fail(mismatch, pytrace=False)
    return subject


@pytest.fixture(scope="session")
def server(subject: Subject) -> Iterator[ServerProcess]:
    """A server of that model for all the scenarios that leave it as it was."""
    with serving(*subject.arguments) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Remove what a program removes as it ends: workers that run tests are ended otherwise."""
    yield
    if interpreters.library.cache_info().currsize:
        shutil.rmtree(interpreters.library())
    if warm_workers.parent.cache_info().currsize:
        warm_workers.parent().close()
