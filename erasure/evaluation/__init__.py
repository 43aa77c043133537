"""One file per metric or attack family."""
