"""Which policy the service follows is found out from what it did, and named with its evidence."""

from __future__ import annotations

from typing import Any

import pytest

from around_values import cycle, disturbance, disturbances, run, slow_reader, undisturbed
from pvload.diagnose.policy import client, disconnect_policy, slow_reader_policy
from summaries import call, silent, subscriber, summary

WENT_ON = undisturbed()
SILENCED = undisturbed(silent=True)
BACK = call(2, subscriber="a/0", opened_at_s=40.0, ended_at_s=60.0)
BACK_SILENT = call(2, subscriber="a/0", opened_at_s=40.0, ended_at_s=60.0, figures=silent(20.0))
BACK_BRIEFLY = call(2, subscriber="a/0", opened_at_s=40.0, ended_at_s=60.0, figures=silent(0.5))


def leaving(
    *others: Any, streaming: bool | None = True, after_s: float = 6.0, at_s: float = 7.5, kind: str = "clean"
) -> Any:
    return disturbance(
        kind, at_s, *others, streaming_after=streaming, streaming_after_s=None if streaming is None else after_s
    )


@pytest.mark.parametrize(
    ("word", "leavings", "calls", "policy"),
    [
        ("others go on", [leaving(WENT_ON)], (), "per_client"),
        ("and the camera goes on", [leaving(WENT_ON), leaving(at_s=30.0)], (BACK,), "per_client"),
        ("only the last one is seen", [leaving(at_s=30.0)], (BACK,), "per_client"),
        ("others stop", [leaving(SILENCED, streaming=False)], (), "stops_all"),
        ("others stop, the flag unseen", [leaving(SILENCED, streaming=None)], (), "stops_all"),
        ("the last one stops it", [leaving(streaming=False, at_s=30.0)], (), "stops_all"),
        ("it stops, as the next one finds", [leaving(streaming=False, at_s=30.0)], (BACK_SILENT,), "stops_all"),
        ("others go on, the last one stops it", [leaving(WENT_ON), leaving(streaming=False)], (), "per_client"),
        ("silent though it says it streams", [leaving(SILENCED)], (), "zombie"),
        ("it still said so at once", [leaving(SILENCED, after_s=0.05)], (), "stops_all"),
        ("within two periods", [leaving(SILENCED, after_s=0.65)], (), "stops_all"),
        ("well after them", [leaving(SILENCED, after_s=0.75)], (), "zombie"),
        ("once too soon, once not", [leaving(SILENCED, after_s=0.05), leaving(SILENCED, at_s=20.0)], (), "zombie"),
        ("it may have waited for somebody", [leaving(at_s=30.0, after_s=4.9)], (BACK_SILENT,), "stops_all"),
        ("it says so while one waits", [leaving(at_s=38.0, after_s=4.9)], (BACK_SILENT,), "zombie"),
        ("the next finds a zombie", [leaving(WENT_ON), leaving(at_s=30.0)], (BACK_SILENT,), "zombie"),
        ("it says both", [leaving(WENT_ON), leaving(SILENCED, streaming=False, at_s=20.0)], (), "inconsistent"),
        ("one of two", [leaving(WENT_ON, SILENCED)], (), "inconsistent"),
        ("a flag alone is no frame", [leaving(at_s=30.0)], (), "not_seen"),
        ("the next had no time", [leaving(at_s=30.0)], (BACK_BRIEFLY,), "not_seen"),
        ("nobody left", [disturbance("joined", 3.0, WENT_ON)], (), "not_seen"),
        ("ended by the server is no leaving", [disturbance("server", 3.0, SILENCED)], (), "not_seen"),
    ],
)  # fmt: skip
def test_the_policy_is_what_all_leavings_agree_on(word: str, leavings: list[Any], calls: Any, policy: str) -> None:
    found = disconnect_policy(run(disturbances=disturbances(*leavings), summary={"calls": calls}))
    assert found.word == policy, word
    assert bool(found.evidence) == (policy != "not_seen")
    assert found.looked_at + found.unclear == sum(one.kind == "clean" for one in leavings)


def test_a_start_in_between_says_nothing_of_what_the_leaving_did() -> None:
    of = run(
        disturbances=disturbances(leaving(at_s=30.0)),
        cycles=(cycle(started_at_s=39.0),),
        summary={"calls": (BACK,)},
    )
    assert disconnect_policy(of).word == "not_seen"


def test_the_evidence_is_in_words_with_times_and_figures() -> None:
    seen = disturbances(leaving(WENT_ON, kind="killed"), leaving(at_s=30.0))
    of = run(disturbances=seen, summary={"calls": (BACK_SILENT,)})
    found = disconnect_policy(of)
    assert found.evidence == (
        "when b was killed at 7.50 s, a went on (longest gap 1.1 periods, no frame missing)",
        "when b left in order at 30.00 s as the last one, a came at 40.00 s and got no frame in 20.0 s; the camera "
        "said that it was streaming",
    )
    assert found.at_s == 30.0


def test_the_moment_of_a_contradiction_is_the_second_answers() -> None:
    seen = disturbances(leaving(WENT_ON), leaving(WENT_ON, at_s=9.0), leaving(SILENCED, streaming=False, at_s=20.0))
    found = disconnect_policy(run(disturbances=seen))
    assert (found.word, found.at_s) == ("inconsistent", 20.0)


LATE = undisturbed(silent=True, frames_after=30)


@pytest.mark.parametrize(
    ("seen", "word", "looked_at"),
    [
        ([leaving(WENT_ON), leaving(LATE, at_s=9.0, streaming=False)], "per_client", 1),
        ([leaving(WENT_ON), leaving(SILENCED, at_s=9.0, streaming=False)], "inconsistent", 2),
        ([leaving(WENT_ON), leaving(LATE, at_s=9.0, streaming=False, kind="half_open")], "inconsistent", 2),
        ([leaving(LATE, streaming=False), leaving(SILENCED, at_s=9.0, streaming=False)], "stops_all", 2),
    ],
    ids=["late", "at once", "a hanging client takes its time", "all of them"],
)
def test_frames_that_end_long_after_a_leaving_contradict_no_other(seen: list[Any], word: str, looked_at: int) -> None:
    """Three seconds at 10 frames/s is longer than a server takes to notice: another thing may have ended them."""
    found = disconnect_policy(run(disturbances=disturbances(*seen)))
    assert (found.word, found.looked_at) == (word, looked_at)


def test_a_late_end_is_told_with_the_frames_before_it() -> None:
    (sentence,) = disconnect_policy(run(disturbances=disturbances(leaving(LATE, streaming=None)))).evidence
    assert sentence == "when b left in order at 7.50 s, a got 30 frames more and then none"


def test_evidence_is_bounded_and_shows_every_answer() -> None:
    many = [leaving(WENT_ON, at_s=float(at)) for at in range(1, 50)]
    found = disconnect_policy(run(disturbances=disturbances(*many, leaving(SILENCED, streaming=False, at_s=60.0))))
    assert len(found.evidence) == 6
    assert "got no frame any more" in found.evidence[-1]


def test_a_client_is_called_by_its_population_where_it_is_the_only_one() -> None:
    of = summary(subscriber(0), subscriber(1))
    assert client(of, "viewer/0") == "viewer/0"
    assert client(of, "b/0") == "b"
    assert client(of, "b/1") == "b/1"


@pytest.mark.parametrize(
    ("policies", "word"),
    [
        (["skip", "skip"], "skip"),
        (["block"], "block"),
        (["disconnect"], "disconnect"),
        (["buffer"], "buffer"),
        (["skip", "not_felt"], "skip"),
        (["skip", "block"], "inconsistent"),
        (["not_felt"], "not_seen"),
        ([], "not_seen"),
    ],
)
def test_what_happens_to_slow_readers_is_what_all_that_are_felt_agree_on(policies: list[str], word: str) -> None:
    found = slow_reader_policy([slow_reader(one) for one in policies])
    assert found.word == word
    assert found.looked_at == sum(one != "not_felt" for one in policies)
