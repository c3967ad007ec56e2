"""What a summary says probably happened."""

from __future__ import annotations

from pvload.diagnose.finding import Severity
from pvload.diagnose.findings import findings
from pvload.stats.config import FoldConfig
from pvload.wire.event import EndedBy, Kind
from tests.stats.stream import MS, T0, Stream, summary


def _two(stalled: tuple[int, ...]) -> Stream:
    """Two subscribers at 10 frames/s for 10 s; the ones in `stalled` get nothing from 3 s to 6 s."""
    stream = Stream().wanted(0.0, rate=10.0)
    for call in (1, 2):
        stream.open(0.1, call, ordinal=call)
    for tick in range(2, 100):
        for call in (1, 2):
            if call not in stalled or not 30 < tick < 60:
                stream.frame(tick / 10, tick, call)
    return stream.end(10.0)


def test_all_streams_silent_at_once_is_the_producer() -> None:
    worst = findings(summary(_two((1, 2))))[0]
    assert worst.severity is Severity.FAULT
    assert "producer stood still" in worst.text
    assert worst.at_s == 3.0


def test_one_silent_stream_is_that_stream() -> None:
    texts = [finding.text for finding in findings(summary(_two((2,))))]
    assert any("viewer/2" in text and "went on" in text for text in texts)


def test_twice_the_rate_without_a_loss_is_two_producers() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.05, 190).end(10.0)
    found = findings(summary(stream))
    assert "2 producers" in found[0].text


def test_a_stall_in_the_generators_own_lag_is_a_doubt() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 20)
    stream.put(Kind.LAG, 5.1, lateness_ns=2900 * MS, latest_ns=T0 + 5000 * MS, interval_ns=1000 * MS)
    stream.frames(5.2, 0.1, 20, first=40).end(8.0)
    found = findings(summary(stream))
    assert not [one for one in found if one.severity is Severity.FAULT and "no frame" in one.text]
    assert any("generator itself was late" in one.text for one in found)


def test_all_streams_unavailable_at_once_is_the_daemon() -> None:
    stream = _two(())
    died = Stream().wanted(0.0, rate=10.0).open(0.1, 1, ordinal=1).open(0.1, 2, ordinal=2)
    died.frames(0.2, 0.1, 20, 1).frames(0.2, 0.1, 20, 2)
    for call in (1, 2):
        died.ended(2.2, call, frames=20, by=EndedBy.SERVER, status=14, details="Socket closed")
    found = findings(summary(died.end(8.0)))
    assert found[0].severity is Severity.DEATH
    assert "did not come back" in found[0].text
    assert not [one for one in findings(summary(stream)) if one.severity > Severity.NOTICE]


def test_silence_to_the_end_without_an_error_names_another_client() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 30).end(9.0)
    found = findings(summary(stream, config=FoldConfig(stall_ns=2000 * MS)))
    assert "another client stopped it" in found[0].text
