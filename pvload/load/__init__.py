"""Owns the Locust side: users, shapes, churn, and the plugin that makes the run and starts collector and engines."""
