"""How a return is represented, and with it the loss."""
