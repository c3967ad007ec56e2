"""The minutes of a device and of the run are those of their subscribers, put together on the run's axis."""

from __future__ import annotations

import pytest

from pvload.stats import hold
from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.stats.summary import Summary, Window
from pvload.wire.codes import EndedBy
from tests.stats.stream import MS, Stream, cut, fold

CONFIG = FoldConfig(warm_up_ns=500 * MS, window_ns=3_000 * MS)


def _two() -> Summary:
    """Two workers, one device: the first one's stream is silent from 5 to 9 s, the second one's goes on."""
    one = Stream(1).wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 50).frames(9.0, 0.1, 10, first=90).end(10.0)
    two = Stream(2).wanted(0.0, rate=10.0).open(0.0, ordinal=1).frames(0.1, 0.1, 99).end(10.0)
    return fold(one, two, config=CONFIG).summary()


def test_counts_and_times_are_sums_and_the_rest_the_worst() -> None:
    found = _two()
    assert len(found.subscribers) == 2
    assert [window.at_s for window in found.run_windows] == [0.0, 3.0, 6.0, 9.0]
    assert [window.length_s for window in found.run_windows] == [3.0, 3.0, 3.0, 1.0]
    for name in ("frames", "due_s", "missing", "stalled_s", "message_bytes"):
        for window in found.run_windows:
            parts = [getattr(part, name) for part in _at(found, window)]
            assert getattr(window, name) == pytest.approx(sum(parts)), name
    for window in found.run_windows:
        parts = _at(found, window)
        assert window.longest_gap_s == max(part.longest_gap_s for part in parts)
        assert window.server_frames_sent is None
    assert sum(window.stalled_s for window in found.run_windows) == pytest.approx(found.run.stalls.total_s)
    assert sum(window.frames for window in found.run_windows) == found.run.frames
    assert found.devices[0].windows == found.run_windows


def _at(found: Summary, window: Window) -> list[Window]:
    return [part for one in found.subscribers for part in one.windows if part.at_s == window.at_s]


def test_a_worker_that_counts_from_elsewhere_is_put_where_its_minutes_lie() -> None:
    """Without an operator the second worker's windows begin at 1, 4 and 7 s: they belong to 0, 3 and 6 s."""
    one = Stream(1).open(0.0).frames(0.1, 0.1, 98).end(9.95)
    two = Stream(2).open(1.0, ordinal=1).frames(1.1, 0.1, 88).end(9.95)
    found = fold(one, two, config=CONFIG).summary()
    assert [window.at_s for window in found.subscribers[1].windows] == [1.0, 4.0, 7.0]
    assert [window.at_s for window in found.run_windows] == [0.0, 3.0, 6.0, 9.0]
    assert sum(window.frames for window in found.run_windows) == found.run.frames


def test_the_servers_counts_stand_in_a_subscribers_minutes() -> None:
    """As of the last frame of the window."""
    windows = _two().subscribers[1].windows
    counts = [window.server_frames_sent for window in windows]
    assert None not in counts
    assert counts == sorted(counts, key=lambda n: n or 0)
    assert counts[-1] == _two().subscribers[1].figures.frames_sent


def test_the_servers_figures_do_not_hang_on_where_a_batch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other frame carries none: the last one told counts, wherever the records are cut."""
    stream = Stream().open(0.0)
    for at in range(60):
        stream.frame(0.1 + at / 10, at, metrics=at % 2 == 0)
    whole = fold(stream.end(7.0), config=CONFIG).summary()
    monkeypatch.setattr(hold, "FOLD_ROWS", 1)
    run = RunFold(CONFIG)
    run.hello(stream.sender, stream.hello)
    for record in cut(stream, list(range(stream.records.size))):
        run.add(stream.sender, record)
    run.finished(stream.sender, stream.records.size)
    assert run.summary().subscribers[0].windows == whole.subscribers[0].windows


def test_a_calls_minutes_are_its_own_and_add_up_to_the_subscribers() -> None:
    """Two calls with an outage between them, which is due to the subscriber and to neither call."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.ended(2.0, by=EndedBy.SERVER, status=14, frames=20)
    stream.open(4.5, 2, number=2).frames(4.6, 0.1, 40, 2).end(8.9)
    found = fold(stream, config=CONFIG).summary()
    one, two = found.calls
    assert [window.at_s for window in one.windows] == [0.0]
    assert [window.at_s for window in two.windows] == [3.0, 6.0]
    (subscriber,) = found.subscribers
    for window in subscriber.windows:
        parts = [part for call in found.calls for part in call.windows if part.at_s == window.at_s]
        assert window.frames == sum(part.frames for part in parts)
        assert window.message_bytes == sum(part.message_bytes for part in parts)
    due_s = sum(window.due_s for call in found.calls for window in call.windows)
    assert sum(window.due_s for window in subscriber.windows) == pytest.approx(due_s + 2.5)


def test_a_run_without_streams_has_no_minutes() -> None:
    assert fold(Stream().wanted(0.0, rate=10.0).end(10.0), config=CONFIG).summary().run_windows == ()
