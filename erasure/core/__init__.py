"""What one needs to know to write a method or a metric; no Hydra, no files."""
