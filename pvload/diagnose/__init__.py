"""Owns the explanations, without I/O: stall signatures, their scope, what a parameter change did, leaks and steps."""
