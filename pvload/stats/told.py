"""What one sender's records say that others of them must know in advance: texts, the plan, the end, lag, probes.

Each such record is taken once, in its order, before any frame that it could matter to is folded (see `hold`).
"""

from __future__ import annotations

import numpy as np

from pvload.stats.account import Account
from pvload.stats.around_fold import AroundFold
from pvload.stats.basis import Basis
from pvload.stats.config import FoldConfig
from pvload.stats.planned_changes import Planned, Shows
from pvload.stats.texts import Texts
from pvload.stats.timeline import Edge
from pvload.stats.witness import ProbeNote
from pvload.wire.codes import ChangeFlag, Wish
from pvload.wire.event import LAYOUTS, Kind


class Told:
    """Puts such records where the fold looks for them."""

    def __init__(self, basis: Basis, account: Account, config: FoldConfig) -> None:
        self.basis = basis
        self.account = account
        self.texts = Texts()
        self._config = config
        self.around = AroundFold(config, self.texts)
        self.is_engine = True
        """Whether its lag is the generator's."""
        self.begins_ns: int | None = None
        """The earliest WANTED or OPENED."""
        self.first_opened_ns: int | None = None

    def take(self, record: np.void, place: int, earliest_ns: int) -> None:
        """Takes one record, its number, and the earliest time that it may act from."""
        kind = Kind(int(record["kind"]))
        row = read(record, kind)
        t_ns = int(row["t_ns"])
        timeline = self.basis.timeline
        match kind:
            case Kind.TEXT:
                self.texts.piece(row)
            case Kind.WANTED:
                self.begins(t_ns)
                self._origin(max(t_ns, earliest_ns))
                self._wanted(row, max(t_ns, earliest_ns), place)
            case Kind.END:
                timeline.end(max(t_ns, earliest_ns), int(row["code"]))
                self.around.end_ns = timeline.end_ns
            case Kind.LAG if self.is_engine:
                lateness, until = int(row["lateness_ns"]), int(row["latest_ns"]) or t_ns
                timeline.late.told(max(until - lateness, earliest_ns), until, lateness)
                self.account.lag_told(row, self.begins_ns, timeline.end_ns)
            case Kind.OPENED:
                self.begins(t_ns)
                self._origin(t_ns)
                self.first_opened_ns = t_ns if self.first_opened_ns is None else self.first_opened_ns
            case Kind.CHANGE:
                self._change(row, earliest_ns)
            case Kind.OFFERED:
                self.around.offered(row, earliest_ns)
            case Kind.PROBE:
                self.account.probe(_probe(row), before_frames=timeline.first_frame_ns is None)
            case _:
                pass

    def _wanted(self, row: np.void, at_ns: int, place: int) -> None:
        device = self.texts.text(int(row["device"]))
        edges = self.basis.timeline.edges(device).edges
        self.basis.timeline.wanted(
            device,
            Edge(
                at_ns=max(at_ns, edges[-1].at_ns) if edges else at_ns,
                wanted=int(row["code"]) == Wish.RUNS,
                away=int(row["code"]) == Wish.AWAY,
                rate_hz=float(row["rate_hz"]),
                width=int(row["width"]),
                height=int(row["height"]),
                binning_x=int(row["binning_x"]),
                binning_y=int(row["binning_y"]),
                exposure_ms=float(row["exposure_ms"]),
                place=place,
            ),
        )

    def _change(self, row: np.void, earliest_ns: int) -> None:
        device = self.texts.text(int(row["device"]))
        population = self.texts.text(int(row["population"]))
        self.basis.timeline.change(
            Planned(
                number=int(row["ref"]),
                again=bool(int(row["flags"]) & ChangeFlag.AGAIN),
                device=device,
                kind=int(row["code"]),
                text=self.texts.text(int(row["text"])),
                by=f"{population}/{int(row['ordinal'])}" if population else "",
                at_ns=max(int(row["t_ns"]), earliest_ns),
                earliest_ns=earliest_ns,
                shows=Shows(
                    width=int(row["width"]),
                    height=int(row["height"]),
                    binning_x=int(row["binning_x"]),
                    binning_y=int(row["binning_y"]),
                    exposure_ms=float(row["exposure_ms"]),
                ),
                rate_hz=float(row["rate_hz"]),
                effect_ns=self._config.effect_ns(population),
            )
        )

    def begins(self, at_ns: int) -> None:
        """The run had begun by at_ns."""
        self.begins_ns = at_ns if self.begins_ns is None else min(self.begins_ns, at_ns)

    def _origin(self, at_ns: int) -> None:
        """Windows begin with the first plan told, or with the first opening where that came before any."""
        if self.basis.origin_ns is None:
            self.basis.origin_ns = at_ns

    def first_frame(self, record: np.void) -> None:
        """Takes the first frame: warm-up begins, and the target's clock is fixed."""
        timeline = self.basis.timeline
        if timeline.first_frame_ns is not None:
            return
        row = read(record, Kind.FRAME)
        timeline.first_frame_ns = self.basis.warm_from_ns = int(row["t_ns"])
        if self.basis.successor and timeline.first_wanted_ns is not None:
            self.basis.warm_from_ns = min(timeline.first_wanted_ns, timeline.first_frame_ns)
        best = self.account.clock.best
        self.basis.offset_known = best is not None
        self.basis.target_offset_ns = best.offset_ns if best is not None else int(row["source_ns"]) - int(row["t_ns"])


def read(record: np.void, kind: Kind) -> np.void:
    """One record with the fields of its kind."""
    row: np.void = np.frombuffer(record.tobytes(), LAYOUTS[kind])[0]
    return row


def _probe(row: np.void) -> ProbeNote:
    t_ns, sent_ns, target_ns = int(row["t_ns"]), int(row["sent_ns"]), int(row["target_ns"])
    return ProbeNote(
        at_ns=t_ns,
        offset_ns=target_ns - (sent_ns + t_ns) // 2,
        round_trip_ns=t_ns - sent_ns,
        wall_offset_ns=target_ns - (int(row["wall_ns"]) - (t_ns - sent_ns) // 2),
    )
