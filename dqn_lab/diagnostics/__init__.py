"""What is measured during learning."""
