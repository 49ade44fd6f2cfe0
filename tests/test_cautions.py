"""What is said about results that are not to be relied on."""

from dataclasses import replace

from loadgen.judge.analysis import analyse
from loadgen.record.result import Run
from loadgen.show.describe import heading
from tests.runs import PLAN, cost, group_tally, in_turns, result, run, tally, trials


def cautions(*runs: Run) -> tuple[str, ...]:
    return analyse(result(*runs)).cautions


def test_what_disturbed_a_run_is_said_with_what_to_do() -> None:
    noisy = replace(run(), server=cost(1.0, busy=2.5))
    stolen = replace(run(), server=replace(cost(), machine_stolen_seconds=0.4))
    assert any("other programs used up to 1.00" in one for one in cautions(noisy))
    assert any("hypervisor" in one for one in cautions(stolen))
    assert cautions(*trials("thread", [200, 201, 199])) == ()


def test_clients_that_found_the_backlog_full_are_pointed_out() -> None:
    crowded = replace(run(), kernel={"ListenOverflows": 975_000})
    (said,) = (one for one in cautions(crowded) if "backlog" in one)
    assert "975,000 times" in said
    assert "--connect-rate" in said
    assert not any("backlog" in one for one in cautions(replace(run(), kernel=None)))


def test_trials_that_differ_much_are_named() -> None:
    said = cautions(*trials("thread", [100, 200, 300]))
    assert any("thread +/-" in one and "--trials" in one for one in said)


def test_where_servers_take_turns_a_trial_is_called_a_life() -> None:
    lives = in_turns("thread", [(1000, 1000), (300, 300), (900, 900)])
    [said] = [one for one in cautions(*lives) if "differ much" in one]
    assert said.startswith("lives differ much (thread")
    assert "more --lives" in said
    _, load, *_ = heading(analyse(result(*lives)))
    assert "2 s in 2 turns after" in load
    assert load.endswith("3 lives.")  # there is no order of one
    beside = in_turns("process", [(1000, 1000), (300, 300), (900, 900)])
    _, load, *_ = heading(analyse(result(*lives, *beside)))
    assert "3 lives each, turns in random order" in load


def test_of_a_single_life_it_is_the_turns_that_differ() -> None:
    [said] = [one for one in cautions(*in_turns("thread", [(1000, 300, 900)])) if "differ" in one]
    assert said.startswith("turns of a life differ much (thread")


def test_a_rate_that_drifts_is_named() -> None:
    group = group_tally()
    group.timeline = [100] * 10 + [200] * 10
    said = cautions(replace(run(), tally=tally(group)))
    assert any("thread +100%" in one and "--warmup" in one for one in said)


def test_fewer_cores_than_the_run_wants_are_pointed_out() -> None:
    plan = replace(PLAN, workers=4)
    said = cautions(run(plan=plan))
    assert any("--workers" in one for one in said)


def test_too_few_messages_for_a_p99_are_pointed_out() -> None:
    said = cautions(run(per_client=50))
    assert any("p99 rests on" in one for one in said)


def test_two_speeds_are_named_with_their_cause_in_place_of_a_spread() -> None:
    group = group_tally()
    group.timeline = ([175] * 10 + [400] * 10) * 3
    switching = replace(run(), tally=tally(group))
    (said,) = (one for one in cautions(switching) if "two speeds" in one)
    assert said.startswith("thread had two speeds, and its mean stands for none of them: ")
    assert "--pin" in said
    assert not any("+/-" in one for one in cautions(switching, replace(switching, trial=2)))
    pinned = replace(switching, plan=replace(PLAN, workers=3, pin=True))
    assert any("what causes it is not known" in one for one in cautions(pinned))


def test_latency_that_is_the_generators_own_queue_is_pointed_out() -> None:
    counts = tally(group_tally())
    counts.engine_wait_seconds = 5.0
    assert any(
        "25%" in one and "load generator" in one for one in cautions(replace(run(), tally=counts))
    )
