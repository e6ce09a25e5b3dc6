"""The report: a question, its answer, and everything that supports it, on one page."""
