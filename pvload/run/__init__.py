"""Owns the supervisor: runs Locust as a child, draws progress, passes Ctrl-C on, and ends with the child's verdict."""
