"""`python -m concurrency_models`: the same as `python -m concurrency_models.run`."""

from concurrency_models.run import command

command()
