"""What went on around the streams: comings and goings, slow readers, growth, host, daemon and log, for the summary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pvload.stats.account import DRIVER_ERRORS
from pvload.stats.around import Around
from pvload.stats.call_rows import End
from pvload.stats.churning import churn_of
from pvload.stats.comings import Comings, comings
from pvload.stats.config import FoldConfig
from pvload.stats.disturbing import disturbances_of
from pvload.stats.figures import NS_PER_S
from pvload.stats.histogram import Int64s
from pvload.stats.log_accounts import log_accounts_of
from pvload.stats.merge import Whole
from pvload.stats.sender import SenderFold
from pvload.stats.slow_reading import slow_readers_of
from pvload.stats.summary import RunFacts
from pvload.stats.surroundings import daemon_of, growth_of, hidden_of, machines_of, resources_of, synthetic_of

_LOG_ERRORS = frozenset(one.name.lower() for one in DRIVER_ERRORS)


def with_company(
    around: Around, senders: list[SenderFold], wholes: list[Whole], facts: RunFacts, config: FoldConfig
) -> Around:
    """`around` with these parts filled in."""
    there = comings(senders, facts.end_ns)
    slow_readers = slow_readers_of(there, wholes, config)
    slow = {one.subscriber for one in slow_readers if one.policy != "not_felt"}
    steady = [whole for whole in wholes if whole.name not in slow]  # a slow reader's gaps are its own doing
    disturbances = disturbances_of(senders, there, steady, facts.start_ns, facts.end_ns)
    listed = () if disturbances is None else disturbances.listed
    disturbed = [facts.start_ns + round(one.at_s * NS_PER_S) for one in listed]
    moments = np.concatenate((_moments(senders, there, wholes), np.array(disturbed, np.int64)))
    return replace(
        around,
        churn=churn_of(senders, there, wholes, config, facts.end_ns),
        disturbances=disturbances,
        slow_readers=slow_readers,
        log_accounts=log_accounts_of(senders, there, facts.start_ns),
        growth=growth_of(senders),
        machines=machines_of(senders),
        resources=resources_of(senders, moments, facts.start_ns, facts.end_ns),
        daemon=daemon_of(senders, facts.start_ns),
        hidden_log_classes=hidden_of(senders),
        synthetic_camera=synthetic_of(senders),
        longest_runs={whole.name: whole.longest_run for whole in wholes} or None,
    )


def _moments(senders: list[SenderFold], there: Comings, wholes: list[Whole]) -> Int64s:
    """When stalls began and ended, frames were missing, the server ended a stream, and the driver failed."""
    found = [there.rows["ended_ns"][there.rows["end"] == End.SERVER].astype(np.int64)]
    for whole in wholes:
        stalls = whole.tally.gaps.stalls.kept()
        found.append(np.array([stall.begin_ns for stall in stalls], np.int64))
        found.append(np.array([stall.begin_ns + stall.length_ns for stall in stalls], np.int64))
        found.append(np.array([hole.at_ns for hole in whole.tally.holes.kept()], np.int64))
    for sender in senders:
        offset = sender.account.clock.axis_offset_ns
        lines = [line.at_ns + offset for line in sender.account.log.lines_kept() if line.kind in _LOG_ERRORS]
        found.append(np.array(lines, np.int64))
    return np.concatenate(found)
