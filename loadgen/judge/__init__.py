"""What the record means: figures, audit, verdict, rows, ranks, cautions, curves, differences."""
