"""Owns the messages and stubs the build generates from `protos/`; everything else in this directory is ignored by git."""
