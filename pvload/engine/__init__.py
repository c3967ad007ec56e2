"""Owns the data-plane process: it opens streams, makes calls, stamps every frame and records events."""
