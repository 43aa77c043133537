"""One file per way to choose what is forgotten, and the base split."""
