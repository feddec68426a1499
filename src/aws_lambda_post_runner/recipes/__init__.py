"""Small functions and commands to copy from, told about in README.md beside them. Nothing of ours imports them."""
