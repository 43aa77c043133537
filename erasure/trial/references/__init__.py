"""Further models of the recipe of a trial, for attacks that need many."""
