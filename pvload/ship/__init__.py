"""Owns the way of an event out of its process: spool, sender and clock exchange, each event exactly once."""
