"""Minimal deployments of a function with the post runner."""
