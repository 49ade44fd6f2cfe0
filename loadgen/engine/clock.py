"""Time in the engine: one clock, and every moment and length of it a whole number of ns."""

import time

# CLOCK_MONOTONIC: one clock for every process of a machine, and no steps in it.
clock = time.monotonic_ns
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
# Later than anything that happens.
NEVER = 1 << 62
