"""The data sets there are, and where each comes from."""
