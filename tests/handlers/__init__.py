"""Handlers that tests start, each a program of its own."""
