"""Owns the collector process: the socket loop around journal and fold, and the summary and report at the end."""
