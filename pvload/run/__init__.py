"""Owns the supervisor: it starts the other processes by command line, watches them and ends them in order."""
