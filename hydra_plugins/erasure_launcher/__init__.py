"""``hydra/launcher=local``."""
