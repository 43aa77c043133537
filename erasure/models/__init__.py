"""Plain modules from inputs to logits."""
