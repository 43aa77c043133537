"""The command line: one file per command of ``erasure``; trials and sweeps start under Hydra."""
