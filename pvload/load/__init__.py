"""Owns the Locust side: user classes, and the plugin that makes a run and starts its collector and engines.

Two halves, both light greenlets: a `Director` (in the master or the local runner) makes, begins and ends runs; a
`Station` (in every worker and in the local runner) has the engine and the users. They talk by Locust's own messages
(`messages`). No byte of a frame comes here.
"""
