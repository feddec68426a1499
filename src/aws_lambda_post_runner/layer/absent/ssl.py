"""Stands for ssl in the executable, which has no OpenSSL: trio imports it, for functions that nothing here calls."""
