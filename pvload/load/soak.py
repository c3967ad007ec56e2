"""The locustfile that `pvload run` hands to Locust; `locustfiles/soak.py` is the same for people."""

from __future__ import annotations

from pvload.load.plugin import install

globals().update(install())
