"""What stands for the next state's value."""
