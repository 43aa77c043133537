"""One file per way to hold samples and gather batches of them by id."""
