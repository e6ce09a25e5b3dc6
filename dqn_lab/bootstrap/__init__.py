"""How the next state's value is estimated."""
