"""What the system allows a plan, told in numbers before anything is started."""

import resource

import pytest

from loadgen.fleet.limits import descriptor_problem, port_warning, source_addresses
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

LOOPBACK = Endpoint("inet", "127.0.0.1", 8008)


def test_too_few_descriptors_are_told_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    problem = descriptor_problem(Plan((Group(3000),), workers=2))
    assert problem is not None
    assert "hard limit is 1024" in problem
    assert "ulimit -Hn 1532" in problem
    assert descriptor_problem(Plan((Group(3000),), workers=4)) is None


def test_more_source_addresses_only_where_one_is_not_enough() -> None:
    few, many = Plan((Group(100),)), Plan((Group(60_000),))
    churn = Plan((Group(100, messages_per_connection=1),))
    remote = Endpoint("inet", "192.0.2.1", 80)
    assert source_addresses(few, LOOPBACK) == ()
    assert len(set(source_addresses(many, LOOPBACK))) >= 2
    assert source_addresses(churn, LOOPBACK)
    assert source_addresses(many, remote) == ()
    assert port_warning(many, LOOPBACK) is None
    assert port_warning(few, remote) is None
    warning = port_warning(churn, remote)
    assert warning is not None
    assert "EADDRNOTAVAIL" in warning
