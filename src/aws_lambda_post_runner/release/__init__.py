"""Makes a release of what was built, and publishes it: run by the workflow, and rehearsed by `nox -s release`.

`.github/RELEASING.md` tells who does what, and in which order.
"""
