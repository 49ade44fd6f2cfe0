"""Load from many machines, and the server on one of its own: Dask places what the kit runs."""
