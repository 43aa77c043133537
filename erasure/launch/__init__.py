"""Processes: the local launcher, its workers and slots, and when to stop."""
