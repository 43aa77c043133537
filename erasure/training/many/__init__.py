"""Many models of one recipe, trained at the same time."""
