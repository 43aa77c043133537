"""What can still be found out about the forgotten samples: attacks, and traces that are left."""
