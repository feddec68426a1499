"""Stands for unicodedata in the executable, for it is 1 MB of tables: only host names that are not ASCII need them."""

ucd_3_2_0 = None
"""What encodings.idna imports."""
