"""Owns the messages and stubs that the build generates from `protos/`; git ignores all else in this directory."""
