"""Owns the data-plane process: it opens streams, makes calls, stamps every frame and records events.

One asyncio loop does all that concerns streams, so a record needs no lock to stand in its place; what would hold up the
loop (unpacking images, shipping, reading and writing the pipes) runs in threads of its own. `process` is the core that
commands go to, `stream` one call's life, `frames` the way of a message to its record, `pulse` what happens each second.
"""
