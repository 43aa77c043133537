"""Parts that membership-inference attacks are made of."""
