"""``hydra/sweeper=grid``."""
