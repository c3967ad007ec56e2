"""Owns the witnesses beside the stream: samples of the hosts and the lines of the daemon's log."""
