"""Puts a share of the load on: one event loop per worker process; the hot loop is here."""
