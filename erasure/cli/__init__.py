"""The command line: Hydra for trials and sweeps, and ``python -m erasure`` for all else."""
