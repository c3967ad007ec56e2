"""An old log's account: stalls with their ticks, driver errors, the server's own accounts, and what is hidden."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pvload.monitor.past import FIRST_OF_CLASS, LAST_OF_CLASS, LISTED, Past, Reading, past_lines
from pvload.monitor.past_findings import findings, moment

DATA = Path(__file__).parent.parent / "data"
TICK = (
    "[PVCAM DEBUG] Timeouts: {}, Status: 0, Bytes: 0, BufferCnt: 0, streaming: true, callback_pending: 0, err_code: 0"
)
STARTED = "2026-11-21T11:20:00.000000Z  INFO daq_driver_pvcam: start_stream: roi=(0,0 64x64), exposure=10.0ms"
ENDED = "2026-11-21T11:{}.000000Z ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=Timeout"
BREAK = "[PVCAM DEBUG] Breaking due to max consecutive timeouts"


def read(*files: list[str]) -> Past:
    reading = Reading()
    for line in past_lines(files):
        reading.take(line)
    return reading.account()


def test_a_stall_ends_the_acquisition() -> None:
    """Five ticks, two lines of its end on stderr and one on stdout are one stall, counted back from the stamped end."""
    past = read([STARTED, *(TICK.format(n) for n in range(1, 6)), BREAK, ENDED.format("30:10"), BREAK])
    (stall,) = past.stalls
    assert (stall.ticks, stall.involuntary_stop, stall.error) == (5, True, "Timeout")
    assert moment(stall.first_tick_ns) == "2026-11-21 11:30:02.000"
    (first, *_) = findings(past)
    assert "ended by itself at 2026-11-21 11:30:10.000, 10 s after the last callback (Timeout)" in first
    assert "no frame after 2026-11-21 11:30:00.000" in first
    assert "the camera had stopped" in first


def test_a_silence_that_ends_is_told_from_one_that_does_not() -> None:
    """Ticks that begin again at one are another silence; the first came back."""
    past = read([STARTED, TICK.format(1), TICK.format(2), TICK.format(1), TICK.format(2), TICK.format(3)])
    assert [(stall.ticks, stall.involuntary_stop) for stall in past.stalls] == [(2, False), (3, False)]
    assert "at least 4 s and came back" in findings(past)[0]


def test_ticks_in_a_file_without_stamps_belong_to_the_stamped_ends_of_the_other() -> None:
    """stdout and stderr apart: each stall once, with its ticks and its time."""
    stderr = [line for _ in range(2) for line in (*(TICK.format(n) for n in range(1, 6)), BREAK)]
    stdout = [STARTED, ENDED.format("30:10"), STARTED.replace(":20:", ":31:"), ENDED.format("40:10")]
    past = read(stdout, stderr)
    assert [(moment(one.first_tick_ns), one.ticks, one.error) for one in past.stalls] == [
        ("2026-11-21 11:30:02.000", 5, "Timeout"),
        ("2026-11-21 11:40:02.000", 5, "Timeout"),
    ]


def test_driver_errors_have_their_numbers() -> None:
    """Counted by number, with the first one's text."""
    line = "2026-11-21T11:20:0{}.000000Z  WARN pvcam: start failed: PVCAM error 185 (Invalid Configuration)"
    past = read([line.format(1), line.format(2), "2026-11-21T11:20:03.000000Z ERROR pvcam: gone"])
    assert past.error_codes == {"185": 2, "none": 1}
    assert findings(past)[0] == (
        "PVCAM error 185 on 2 lines, first 2026-11-21 11:20:01.000: start failed: PVCAM error 185 "
        "(Invalid Configuration)"
    )
    assert "PVCAM error without a number on 1 lines" in findings(past)[1]


def test_the_recorded_daemon() -> None:
    """Six subscriptions with 106 frames, two refusals, a synthetic camera, and a level that hides nothing."""
    past = read(*((DATA / name).read_text().splitlines() for name in ("daemon-stdout.log", "daemon-stderr.log")))
    assert past.lines == 325
    assert (past.ended, past.frames_sent, past.frames_dropped) == (6, 5 + 4 + 16 + 16 + 3 + 62, 0)
    assert past.levels == {"none": 47, "DEBUG": 67, "INFO": 198, "WARN": 13}
    assert past.hidden == ()
    assert "pvcam_sdk feature enabled: false" in past.synthetic
    assert past.stalls == ()
    assert any("2 subscriptions were refused" in one for one in findings(past))


def test_a_quiet_log_is_no_good_news() -> None:
    """Empty, somebody else's, or at a level that hides trouble: said."""
    assert "empty" in findings(read([]))[0]
    assert "right file" in findings(read(["127.0.0.1 - GET /"]))[0]
    said = findings(read([ENDED.format("30:10")]))
    assert "hides" in said[-1]
    assert "stream_end" in said[-1]


@given(st.lists(st.sampled_from([STARTED, ENDED.format("30:10"), BREAK, TICK.format(1), TICK.format(2), "x", ""])))
def test_any_order_of_lines_has_an_account(lines: list[str]) -> None:
    """Every line is counted; sentences are never empty."""
    past = read(lines, lines[::-1])
    assert past.lines == 2 * len(lines)
    assert all(findings(past))


def test_a_flood_is_bounded_in_what_is_kept_and_exact_in_what_is_counted() -> None:
    """A hundred thousand refusals: the first and the last of them in the timeline."""
    line = "2026-11-21T11:20:00.000000Z  WARN server: Client exceeded maximum concurrent streams n={}"
    past = read([line.format(n) for n in range(20_000)])
    assert past.classes == {"limit": 20_000}
    assert past.moments == 20_000
    assert len(past.timeline) == FIRST_OF_CLASS + LAST_OF_CLASS < LISTED
    assert past.timeline[-1].text.endswith("n=19999")
