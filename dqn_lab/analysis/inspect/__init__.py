"""A page with what a policy has learned: the arrays that it is made of, the figures, and the writing."""
