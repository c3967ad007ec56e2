"""Owns the simulated daemons, their faults and the ledger of what was injected; shares nothing with the measuring side."""
