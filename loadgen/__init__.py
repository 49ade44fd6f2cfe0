"""A load generator for talk servers: puts load on, measures, compares, and says when not to believe it."""
