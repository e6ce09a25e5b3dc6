"""The function from an observation to outputs per action."""
