"""What function maps an observation to outputs per action."""
