"""How near a model is to one that was retrained without the forget set."""
