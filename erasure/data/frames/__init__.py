"""From a data frame to labels, columns and tables."""
