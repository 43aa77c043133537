"""What a model is still good for: accuracy, calibration and loss."""
