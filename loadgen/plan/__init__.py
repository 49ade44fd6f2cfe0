"""What load to put on: endpoints, groups of clients, the plan of a run and its messages."""
