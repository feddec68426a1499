"""What the handler may ask of the runner."""
