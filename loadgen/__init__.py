"""A load generator for talk servers: it puts load on, measures, compares, and audits itself."""
