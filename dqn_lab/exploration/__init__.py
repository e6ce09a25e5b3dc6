"""How the agent explores."""
