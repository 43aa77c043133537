"""Pools, the sources that fill them, and the ways to split them."""
