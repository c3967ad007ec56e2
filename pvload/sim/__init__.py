"""Owns the simulated daemons, their faults and the ledger of injected truth; shares nothing with the measurement."""
