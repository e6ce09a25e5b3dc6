"""What is measured of learning while it goes on."""
