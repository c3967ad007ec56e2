"""Owns the plan, without I/O: who runs where with what share, what is due when, and the rules of `check`."""
