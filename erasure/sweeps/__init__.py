"""Many trials: the loop, what it asks of a source, the grid, records and the summary."""
