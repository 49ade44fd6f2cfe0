"""Each check of a run's sums fails when its sum is off."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from loadgen.judge.audit import audit
from loadgen.plan.group import Group
from loadgen.record.histogram import Histogram
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally, Tally, Turn
from tests.runs import PLAN, group_tally, run, starving, tally


def failed(one: Run) -> list[str]:
    return [check.name for check in audit(one).failures]


def unchecked(one: Run) -> list[str]:
    return [check.name for check in audit(one).checks if check.passed is None]


def changed(change: Callable[[GroupTally, Tally], None]) -> Run:
    group = group_tally()
    counts = tally(group)
    change(group, counts)
    return replace(run(), tally=counts)


def test_a_sound_run_passes_every_check() -> None:
    found = audit(replace(run(), connections_by_worker=(6, 4)))
    assert found.valid
    assert [check.passed for check in found.checks] == [True] * 7


def test_a_starving_run_is_sound_too() -> None:
    assert audit(starving()).valid


def test_a_message_too_few_is_found() -> None:
    def lose_one(group: GroupTally, _: Tally) -> None:
        group.intended += 1

    assert failed(changed(lose_one)) == ["messages add up"]


def test_a_client_too_many_is_found() -> None:
    def served_twice(group: GroupTally, _: Tally) -> None:
        group.served += 1

    assert failed(changed(served_twice)) == ["clients add up"]


def test_bytes_too_few_are_found() -> None:
    def lose_bytes(group: GroupTally, _: Tally) -> None:
        group.bytes_received -= 1

    assert failed(changed(lose_bytes)) == ["bytes agree"]


def test_bytes_sent_that_the_kernel_counts_otherwise_are_found() -> None:
    def one_more(group: GroupTally, _: Tally) -> None:
        group.sent_disagreed += 1

    name = "bytes sent agree with the kernel's count"
    assert failed(changed(one_more)) == [name]

    def none_counted(group: GroupTally, _: Tally) -> None:
        group.sent_agreed = 0

    assert name in unchecked(changed(none_counted))
    assert failed(changed(none_counted)) == []


@pytest.mark.parametrize("spread", [(6, 3), (6, 5)])
def test_connections_that_the_server_counts_otherwise_are_found(spread: tuple[int, ...]) -> None:
    counted = replace(run(), connections_by_worker=spread)
    assert failed(counted) == ["connections agree with the server's count"]


def test_connections_in_the_queue_at_the_end_are_none_that_the_server_lost() -> None:
    starved = tally(group_tally(served=8))
    assert failed(replace(run(), tally=starved, connections_by_worker=(4, 4))) == []


def test_who_does_not_count_cannot_be_held_against_it() -> None:
    assert "connections agree with the server's count" in unchecked(run())


def test_bytes_of_replies_on_their_way_are_none_too_many() -> None:
    def half_a_reply(group: GroupTally, _: Tally) -> None:
        group.intended += 1
        group.waiting += 1
        group.bytes_received += 40

    assert failed(changed(half_a_reply)) == []


def test_bytes_too_many_are_found() -> None:
    def surplus(group: GroupTally, _: Tally) -> None:
        group.bytes_received += 40

    assert failed(changed(surplus)) == ["bytes agree"]


def test_bytes_cannot_be_checked_where_replies_were_wrong() -> None:
    def one_wrong(group: GroupTally, _: Tally) -> None:
        group.intended += 1
        group.wrong += 1
        group.bytes_received += 5

    assert failed(changed(one_wrong)) == []
    assert "bytes agree" in unchecked(changed(one_wrong))


def test_a_window_of_another_length_is_found() -> None:
    counts = tally(group_tally(window=1.0), window=1.0)
    assert failed(replace(run(), tally=counts)) == ["window as long as asked"]


def test_being_woken_late_to_a_short_window_is_no_fault() -> None:
    def failures(asked: float, window: float) -> list[str]:
        counts = tally(group_tally(window=window), window=window)
        plan = replace(run().plan, duration_seconds=asked)
        return failed(replace(run(), plan=plan, tally=counts))

    assert failures(0.3, 0.21) == failures(0.3, 0.39) == failures(3.0, 2.75) == []
    assert failures(0.3, 0.1) == failures(0.3, 0.5) == failures(3.0, 2.6) != []


def test_a_window_that_was_cut_short_is_no_fault() -> None:
    counts = replace(tally(group_tally(window=1.0), window=1.0), cut_short=True)
    assert failed(replace(run(), tally=counts)) == []


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 3.0])
def test_latencies_that_break_littles_law_are_found(factor: float) -> None:
    counts = tally(group_tally(latency_seconds=0.01 * factor))
    assert failed(replace(run(), tally=counts)) == ["Little's law, all"]


def test_think_time_is_part_of_the_loop() -> None:
    plan = replace(PLAN, groups=(Group(10, think_seconds=0.006),))
    counts = tally(group_tally(latency_seconds=0.004))
    assert failed(replace(run(), plan=plan, tally=counts)) == []
    assert failed(replace(run(), tally=counts)) == ["Little's law, all"]


def test_a_pause_that_a_busy_machine_makes_longer_is_part_of_the_loop() -> None:
    plan = replace(PLAN, groups=(Group(10, think_seconds=0.003),))
    group = group_tally(latency_seconds=0.004)
    assert failed(replace(run(), plan=plan, tally=tally(group))) == ["Little's law, all"]
    group.lateness = Histogram()
    for _ in range(100):
        group.lateness.record(3_000_000)
    assert failed(replace(run(), plan=plan, tally=tally(group))) == []


def test_where_clients_come_and_go_the_law_is_only_a_bound() -> None:
    plan = replace(PLAN, groups=(Group(10, messages_per_connection=1),))
    less = replace(run(), plan=plan, tally=tally(group_tally(latency_seconds=0.002)))
    more = replace(run(), plan=plan, tally=tally(group_tally(latency_seconds=0.02)))
    assert failed(less) == []
    assert failed(more) == ["Little's law, all"]


def test_the_law_is_not_checked_where_a_turn_may_outlast_the_window() -> None:
    def one_stall(group: GroupTally, _: Tally) -> None:
        group.service.record(1_500_000_000)

    assert "Little's law, all" in unchecked(changed(one_stall))


def test_a_run_that_did_not_happen_is_invalid_and_says_why() -> None:
    found = audit(Run("thread", PLAN, problem="it did not start"))
    assert not found.valid
    assert found.failures[0].detail == "it did not start"


def test_turns_are_as_many_as_asked_and_none_is_cut_in_half() -> None:
    """A little late to each is no fault: their rates are over the time that was measured."""

    def failures(*seconds: float) -> list[str]:
        turns = [Turn(number, 100.0, one) for number, one in enumerate(seconds, start=1)]
        sound = run(plan=replace(PLAN, turns=2))
        assert sound.tally is not None
        return failed(replace(sound, tally=replace(sound.tally, turns=turns)))

    assert failures(1.0, 1.2) == []
    assert failures(1.0) == failures(1.0, 0.4) == ["window as long as asked"]
