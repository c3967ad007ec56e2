"""Owns the tabs and the live page inside Locust's web UI, fed by the live figures only."""
