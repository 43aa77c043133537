"""Processes: who carries out runs, in which slots, and when to stop; nothing of Hydra."""
