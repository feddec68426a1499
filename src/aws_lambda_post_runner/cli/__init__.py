"""The command line of people. Only this wing and `dev` know typer and rich."""
