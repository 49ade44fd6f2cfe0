"""What the record means: figures, intervals, audit, verdict, rows, ranks, curves, differences."""
