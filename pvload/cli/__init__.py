"""Owns the command line: one file per command, and the only place for exit codes and print."""
