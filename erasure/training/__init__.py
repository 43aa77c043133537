"""The gradient loop, the trainers built on it, and the store of trained models."""
