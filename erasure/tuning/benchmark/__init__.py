"""Every method tuned, then confirmed on fresh seeds."""
