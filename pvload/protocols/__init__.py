"""Owns the services spoken, one file each: open a stream, read a frame's header, change a parameter, tell an end."""
