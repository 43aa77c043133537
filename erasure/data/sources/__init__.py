"""One file per place that data come from."""
