"""Invocations by the thousand, with faults drawn at random: nothing is lost, doubled or left behind."""
