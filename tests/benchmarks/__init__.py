"""How close the kit is to the limit: `python -m tests.benchmarks` measures it and prints a table.

Nothing here is run by pytest, and nothing fails: a benchmark reports. Every ratio is of two sides
that ran in turn.
"""
