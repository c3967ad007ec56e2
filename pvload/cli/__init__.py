"""Owns the commands, one file each, and with them every exit code and everything printed."""
