"""Methods by metrics, as a table for terminals, Markdown, LaTeX and CSV."""
