"""Data sets of the Hugging Face hub, or of files in the formats that its library reads."""
