"""Results as runs of MLflow; the only package that imports it."""
