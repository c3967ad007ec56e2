"""`[simulator]`: the daemon that pvload starts when the address is "sim", and what goes wrong in it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pvload.profiles.criteria import DisconnectPolicy, SlowReaderPolicy
from pvload.profiles.values import Duration, Table


class Fault(Table):
    """`[[simulator.faults]]`: one thing the simulated daemon does wrong. Frames count from 0 per acquisition."""

    kind: Literal[
        "stall",  # the producer stops at `frame`, for `duration` (0: for ever); no frame is numbered meanwhile
        "drop_before_numbering",  # `count` frames from `frame` never reach the driver: only timestamps show it
        "drop_at_observer",  # numbered, lost unseen before the forwarder: frame_number gap, no counter
        "drop_at_output",  # numbered, skipped and counted in frames_dropped
        "drop_at_compression",  # raises frames_sent and frames_dropped, nothing is sent
        "drop_at_transport",  # frames_sent raised, nothing sent (must never happen on the real one)
        "late",  # frame `frame` and the next count - 1 are sent `duration` late; numbering and timestamps are right
        "duplicate",  # `frame` is sent twice (same frames_sent)
        "reorder",  # `frame` and its successor change places on the wire
        "counter_reset",  # the acquisition restarts: frame_number goes back to 0, frames_sent goes on
        "status_error",  # the call ends with `code` and `text`
        "clean_end",  # the call ends with OK
        "connection_reset",  # the client's TCP connection is reset (needs `relay`)
        "zero_image",  # `count` frames of zeros
        "crash",  # the simulator kills itself with SIGKILL
        "stop",  # another client stops the camera: StopStream nobody here ordered
        "second_producer",  # a second producer starts beside the first: the rate doubles, numbers stay consecutive
        "set_kills_stream",  # from `frame` on, the next accepted SetParameter or SetExposure silences the producer
        "set_hangs",  # from `frame` on, set calls are answered `duration` late (0: never)
        "starved",  # from `frame` on, all unary calls and heartbeats are held up for `duration`
        "driver_error",  # a line with a PVCAM error number and text in the log, `text` is the message
        "slot_leak",  # a subscriber that leaves from `frame` on never gives its slot back
    ]
    frame: int = Field(default=0, ge=0)
    """At which frame of the acquisition."""
    after: Duration = 0.0
    """Of a stall: instead of `frame`, this long after the acquisition's start (time-locked); 0: by `frame`."""
    after_bytes: int = Field(default=0, ge=0)
    """Of a stall: instead, when so many raw bytes were produced (byte-locked)."""
    acquisition: int = Field(default=0, ge=0)
    """Only in the n-th acquisition since the daemon's start, from 1; 0: in each."""
    count: int = Field(default=1, ge=1)
    duration: Duration = 0.0
    subscriber: int = Field(default=-1, ge=-1)
    """Which StreamFrames call of the simulator (from 0, as they arrive) it hits; -1: all. Not for producer faults."""
    code: str = "INTERNAL"
    text: str = "injected"


class Simulator(Table):
    """`[simulator]`: the daemon that pvload starts when the address is "sim"."""

    model: Literal["pvcam-mock", "grid"] = "pvcam-mock"
    """pvcam-mock sleeps its exposure and then makes a frame, as the real one does; grid keeps absolute deadlines."""
    images: Literal["ramp", "noise"] = "ramp"
    """ramp compresses as the captured ones do; noise hardly at all."""
    streams_per_client: int = Field(default=3, ge=0)
    """StreamFrames calls admitted from one peer address; 0: unlimited."""
    parameters: Literal["head", "guarded", "live", "ignored"] = "head"
    """Changes while streaming. head: answered OK and in effect at the next start; guarded: roi and binning are refused,
    the exposure is in effect at once; live: in effect at once; ignored: answered OK and never in effect."""
    disconnect: DisconnectPolicy = "per-client"
    """What a leaving client does. stops-all: the acquisition ends for all, and the streaming flag with it; zombie: five
    seconds after the last one left the frames end and the flag stays, until a stop and a start."""
    slow_readers: SlowReaderPolicy = "skip"
    """skip: frames are left out for it; block: all wait for it; disconnect: its stream is ended."""
    relay: bool = False
    """Serve through a TCP relay, so that a single connection can be reset."""
    faults: list[Fault] = []
    fault_seed: int | None = None
    """Draw a schedule of faults from this seed (with `fault_rate` per 100 frames) besides the listed ones."""
    fault_rate: float = Field(default=2.0, gt=0)
    port: int = Field(default=0, ge=0, le=65_535)
    """0: any free one."""
