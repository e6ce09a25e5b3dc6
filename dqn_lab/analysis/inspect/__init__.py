"""A page that shows what a policy has learned: its data, its figures, and how it is written."""
