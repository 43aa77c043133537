"""Arithmetic of metrics: ROC curves, intervals, divergences, confusion matrices."""
