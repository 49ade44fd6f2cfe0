"""What happened, as data: counts, histograms, surroundings, costs and the saved result."""
