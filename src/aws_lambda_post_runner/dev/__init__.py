"""A Lambda execution environment for a laptop: see the post runner work, test it, check it, deploy it.

Nothing on the run path imports this package; it is for people, who have typer and rich.
"""
