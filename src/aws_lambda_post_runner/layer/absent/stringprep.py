"""Stands for stringprep in the executable, which needs unicodedata's tables: encodings.idna imports it."""
