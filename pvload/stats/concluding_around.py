"""From finished senders to what a run came to beside its frames: one function a part, each in a file of its own."""

from __future__ import annotations

from pvload.stats.around import Around
from pvload.stats.concluding_camera import actions_of, cycles_of, stop_probes_of
from pvload.stats.concluding_changes import changes_of
from pvload.stats.concluding_storms import calls_of, storms_of
from pvload.stats.concluding_watchers import health_of, observed_of, states_of, watchers_of
from pvload.stats.config import FoldConfig
from pvload.stats.sender import SenderFold
from pvload.stats.summary import RunFacts


def around_of(senders: list[SenderFold], facts: RunFacts, config: FoldConfig) -> Around:
    """All parts; what nobody recorded is empty."""
    storms, spans = storms_of(senders, facts, config)
    return Around(
        changes=changes_of(senders, facts),
        calls=calls_of(senders, facts),
        storms=storms,
        watchers=watchers_of(senders),
        states=states_of(senders, facts),
        observed=observed_of(senders),
        health=health_of(senders, facts),
        stop_probes=stop_probes_of(senders, facts, config, spans),
        cycles=cycles_of(senders, facts, config),
        actions=actions_of(senders, facts),
    )
