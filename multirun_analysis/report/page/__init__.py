"""The web page of a report: sections made of texts, tables and pictures, in one file."""
