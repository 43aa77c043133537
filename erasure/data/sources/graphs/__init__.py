"""Graph data sets: of PyTorch Geometric, of MoleculeNet, and made ones."""
