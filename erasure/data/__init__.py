"""Data: where they come from, the pools that hold them, and the splits that divide them."""
