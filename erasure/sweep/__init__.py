"""Many trials: the grid, what is done already, the summary."""
