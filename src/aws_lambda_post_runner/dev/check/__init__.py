"""What a deployment says, and what is wrong with it."""
