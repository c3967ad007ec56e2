"""Neither the cutting of records into batches nor the interleaving of senders may change a summary."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvload.stats import hold
from pvload.stats.config import FoldConfig, Plan
from pvload.stats.fold import RunFold
from pvload.stats.summary_json import to_dict, to_json
from pvload.wire.codes import EndedBy
from pvload.wire.event import Kind
from tests.stats.schedules import streams
from tests.stats.stream import MS, Stream, cut, fold

CONFIG = FoldConfig(
    warm_up_ns=700 * MS,
    window_ns=3_000 * MS,
    plan=Plan(exposure_ms=100.0),
    kinds={"probe": "stop-probe"},
    storms={"storm": "p"},
)


def _cut_at_random(every: list[Stream], seed: int) -> RunFold:
    """The same records in random pieces, senders interleaved, folded a little now and then and read in between."""
    chance = random.Random(seed)
    pieces = {
        stream.sender: cut(
            stream, chance.sample(range(stream.records.size + 1), k=min(chance.choice([1, 5, 40]), stream.records.size))
        )
        for stream in every
    }
    run = RunFold(CONFIG)
    for stream in chance.sample(every, len(every)):
        run.hello(stream.sender, stream.hello)
    while pieces:
        sender = chance.choice(sorted(pieces))
        run.add(sender, pieces[sender].pop(0))
        if chance.random() < 0.5:
            _fold_some(run, chance)
            run.live()
        if not pieces[sender]:
            del pieces[sender]
    for stream in every:
        run.finished(stream.sender, stream.records.size)
    return run


def _fold_some(run: RunFold, chance: random.Random) -> None:
    """So many pieces of so many rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hold, "PIECE_ROWS", chance.choice([1, 7, hold.PIECE_ROWS]))
        for _ in range(chance.choice([1, 3, 100])):
            if not run.catch_up():
                return


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two plain values differ, as `path: one != other`."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, pair in enumerate(zip(one, other, strict=True)):
            yield from _differences(*pair, f"{path}[{at}]")
    elif one != other:
        yield f"{path}: {one} != {other}"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(every=streams(), seed=st.integers(0, 2**32))
def test_cutting_and_interleaving_change_nothing(every: list[Stream], seed: int) -> None:
    """A summary of random pieces equals, value for value and byte for byte, that of whole streams."""
    whole = fold(*every, config=CONFIG).summary()
    pieces = _cut_at_random(every, seed)
    assert list(_differences(to_dict(pieces.summary()), to_dict(whole))) == []
    assert pieces.summary() == whole
    assert to_json(pieces.summary()) == to_json(whole)


def test_one_record_at_a_time_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest batches, folded as soon as they may be."""
    stream = Stream()
    stream.wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 40).frames(7.0, 0.1, 30, first=45)
    stream.wanted(10.5, on=False).wanted(11.0, rate=20.0).frames(11.1, 0.05, 50, first=0).end(14.0)
    whole = fold(stream, config=CONFIG).summary()
    monkeypatch.setattr(hold, "FOLD_ROWS", 1)
    run = RunFold(CONFIG)
    run.hello(stream.sender, stream.hello)
    for record in cut(stream, list(range(stream.records.size))):
        run.add(stream.sender, record)
    run.finished(stream.sender, stream.records.size)
    assert run.summary() == whole


@pytest.mark.parametrize("accepted_at", [5.02, 5.2])
def test_a_call_opened_before_the_one_before_it_has_ended(monkeypatch: pytest.MonkeyPatch, accepted_at: float) -> None:
    """The watchdog's resubscription: no outage between the two, and the same however it is cut."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.open(5.0, 2, number=2, headers=False)
    if accepted_at < 5.1:
        stream.put(Kind.HEADERS, accepted_at, ref=2)
    stream.ended(5.1, 1, by=EndedBy.WATCHDOG, frames=20)
    if accepted_at > 5.1:
        stream.put(Kind.HEADERS, accepted_at, ref=2)
    stream.frames(6.0, 0.1, 20, 2).ended(9.0, 2, by=EndedBy.SERVER, status=14, frames=20).end(12.0)
    whole = fold(stream, config=CONFIG).summary()
    assert (whole.run.outages, whole.run.outages_s) == (1, 3.0)
    monkeypatch.setattr(hold, "FOLD_ROWS", 1)
    run = RunFold(CONFIG)
    run.hello(stream.sender, stream.hello)
    for record in cut(stream, list(range(stream.records.size))):
        run.add(stream.sender, record)
    run.finished(stream.sender, stream.records.size)
    assert run.summary() == whole


def test_reading_a_summary_in_the_middle_changes_nothing() -> None:
    """`summary` closes a copy."""
    stream = Stream().open(0.0).frames(0.1, 0.1, 30).end(5.0)
    run = RunFold(CONFIG)
    run.hello(stream.sender, stream.hello)
    for part in cut(stream, [7, 20]):
        run.add(stream.sender, part)
        run.summary()
    run.finished(stream.sender, stream.records.size)
    assert run.summary() == fold(stream, config=CONFIG).summary()


def test_a_piece_of_work_is_small_where_calls_are_short_and_large_where_they_are_long() -> None:
    """So many rows that are folded one by one at most; frames of one call are folded together, however many."""
    short, long = Stream(1).wanted(0.0, rate=10.0), Stream(2).open(0.0)
    for call in range(1, 401):
        short.open(call / 100, call, number=call).frame(call / 100 + 0.005, call, call)
        short.ended(call / 100 + 0.008, call, frames=1)
    long.frames(0.1, 0.01, 5000)
    alone = 3 * 400
    for stream, expected in ((short, 1 + alone // hold.PIECE_ROWS), (long, 1)):
        run = RunFold(CONFIG)
        run.hello(stream.sender, stream.hello)
        run.add(stream.sender, stream.put(Kind.HEARTBEAT, 99.0).records)
        pieces = 0
        while run.catch_up():
            pieces += 1
        assert pieces == expected
