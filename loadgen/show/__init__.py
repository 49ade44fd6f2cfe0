"""How it is told: tables, sentences, progress, exports and the report."""
