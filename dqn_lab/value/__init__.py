"""How a return is represented, and so what the loss is."""
