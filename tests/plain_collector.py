"""The collector process with a fold that only counts. Run by path: RUN_DIR RUN PORT [keep-old].

keep-old takes the dedupe rule out, to show that the tests notice.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pvload.clock import SystemClock
from pvload.collect import service
from pvload.collect.intake import Intake
from pvload.errors import PvloadError
from pvload.lifeline import end_with_parent
from pvload.wire.batch import Envelope, Hello
from pvload.wire.event import Records
from pvload.wire.live import LiveFigures


class CountingFold:
    """Counts records and does nothing else."""

    def __init__(self) -> None:
        self.records = 0

    def hello(self, sender: bytes, hello: Hello) -> None:
        pass

    def add(self, sender: bytes, records: Records) -> None:
        self.records += len(records)

    def missing(self, sender: bytes, first: int, count: int, reason: str) -> None:
        pass

    def finished(self, sender: bytes, total: int) -> None:
        pass

    def rejected(self, count: int) -> None:
        pass

    def catch_up(self) -> bool:
        return False

    def live(self) -> LiveFigures:
        return LiveFigures(frames=self.records)


class ForgetfulIntake(Intake):
    """Takes all that a batch carries, old or not."""

    def _already_known(self, message: Envelope, account: object) -> int:
        return 0


def main() -> None:
    run_dir, run, port, *options = sys.argv[1:]
    fold = CountingFold()
    if "keep-old" in options:
        service.Intake = ForgetfulIntake  # type: ignore[misc] - the mutation under test
    work = service.Work(
        fold=fold,
        figures=fold.live,
        verdict_so_far=lambda: "",
        conclude=lambda trouble: service.Outcome(verdict=trouble or "PASS", exit_code=0, report=str(fold.records)),
    )
    end_with_parent()
    try:
        service.serve(
            Path(run_dir),
            run=bytes.fromhex(run),
            address="127.0.0.1",
            port=int(port),
            work=work,
            clock=SystemClock(),
            orders_fd=0,
        )
    except PvloadError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
