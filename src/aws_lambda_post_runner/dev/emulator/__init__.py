"""A Lambda service for one function: its invoke endpoint, its Runtime API, its execution environment."""
