"""The experiments, in the order in which a course would use them.

Bounds are wide, since what is claimed must hold on a noisy machine with two cores: a claim is about
which way and by how much roughly, never about the last ten per cent.
"""

from typing import Final

from loadgen.experiments.arriving import churn, nagle, queue_at_the_door, steady, sticky
from loadgen.experiments.computing import gil_duel, gil_free, sleepy_backend
from loadgen.experiments.crowds import fd_cliff, idle_crowd, pool_starvation, slow_reader
from loadgen.experiments.fairness import coordinated_omission, who_got_served
from loadgen.experiments.gil import gil_convoy, gil_off
from loadgen.experiments.million import c1m

EXPERIMENTS: Final = {
    one.name: one
    for one in (
        sticky(),
        nagle(),
        queue_at_the_door(),
        churn(),
        steady(),
        gil_duel(),
        gil_convoy(),
        gil_free(),
        gil_off(),
        sleepy_backend(),
        idle_crowd(),
        c1m(),
        pool_starvation(),
        slow_reader(),
        fd_cliff(),
        who_got_served(),
        coordinated_omission(),
    )
}
"""Every experiment by name."""
