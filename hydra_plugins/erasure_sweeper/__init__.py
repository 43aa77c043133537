"""``hydra/sweeper=grid``, ``optuna`` and ``benchmark``."""
