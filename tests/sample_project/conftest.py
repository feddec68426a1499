"""Keeps our own test run out of here: these are a user's tests, which `test_pytest_plugin` runs as a user would."""

collect_ignore_glob = ["test_*.py"]
