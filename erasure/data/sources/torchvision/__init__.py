"""The classification data sets of torchvision."""
