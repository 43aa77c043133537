"""Gradients of single samples, without a loop over them."""
