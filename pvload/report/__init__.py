"""Owns what a person reads: run directory in; text, JSON, HTML, JUnit and comparisons out."""
