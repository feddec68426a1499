"""Stands for ctypes in the executable, which can load no library: trio imports it to give its threads names."""
