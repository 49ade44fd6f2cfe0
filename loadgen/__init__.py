"""A load generator for talk servers: it puts load on, measures, compares, and audits itself."""

import concurrency_models  # noqa: F401 - it says so where Python is too old for either
