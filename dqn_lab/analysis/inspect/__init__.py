"""A page that shows what a policy has learned: its data, its figures, and the code that writes it."""
