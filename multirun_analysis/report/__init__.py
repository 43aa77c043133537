"""The report: one web page, its tables and its pictures."""
