"""docs/profiles.md names every key that a profile may have, with its default, and every fault."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from pvload.profiles import schema, users
from pvload.profiles.criteria import Criteria
from pvload.profiles.simulated import Fault
from pvload.profiles.timeline import Action
from pvload.profiles.values import Table

TABLES = {
    kind: None
    for room in (schema, users)
    for kind in vars(room).values()
    if isinstance(kind, type) and issubclass(kind, Table)
}
HEADS = {
    "Run": "[run]", "Target": "[target]", "Tls": "[target.tls]", "Camera": "[camera]", "Users": "[[users]]",
    "Criteria": "[criteria]", "Simulator": "[simulator]", "Fault": "[[simulator.faults]]", "Monitor": "[monitor]",
    "Abort": "[users.churn.abort]", "Churn": "[users.churn]",
    "Retry": "[users.retry]", "Changes": "[users.changes]", "Watch": "[users.watch]", "Action": "[[timeline]]",
}  # fmt: skip
TEXT = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()


def rows(title: str) -> dict[str, str]:
    """Key -> line, of the tables under the heading of `title`, up to the next heading."""
    body = re.split(rf"^(?:#+ )?`{re.escape(title)}`", TEXT, flags=re.MULTILINE)[1]
    body = re.split(r"\n##|\n`\[|\nOne change", body)[0]
    return {found[1]: found[0] for found in re.finditer(r"^\| `([a-z_0-9]+)` \|.*$", body, re.MULTILINE)}


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_every_key_is_described_and_no_other(kind: type[Table]) -> None:
    if kind.__name__ in HEADS:
        words = {*get_args(Fault.model_fields["kind"].annotation), *get_args(users.Kind)}
        words |= {*get_args(Action.model_fields["action"].annotation)}
        described = set(rows(HEADS[kind.__name__])) - (words - set(kind.model_fields))
        assert described == set(kind.model_fields)
    else:
        words = set(re.findall(r"[a-z_]+", TEXT))
        assert set(kind.model_fields) <= words | set(schema.Profile.model_fields)


@pytest.mark.parametrize("kind", [kind for kind in TABLES if kind.__name__ in HEADS and kind is not Criteria])
def test_numbers_and_words_that_are_defaults_stand_in_their_row(kind: type[Table]) -> None:
    found = rows(HEADS[kind.__name__])
    for name, field in kind.model_fields.items():
        default = field.default
        if field.is_required():
            assert "required" in found[name]
        elif isinstance(default, bool):
            assert f"`{str(default).lower()}`" in found[name]
        elif isinstance(default, int | float):
            assert re.search(rf"`{default:.10g}(s|ms)?`", found[name]), name
        elif isinstance(default, str) and default:
            assert default in found[name], name


def test_every_fault_is_described() -> None:
    described = set(rows("[[simulator.faults]]"))
    assert set(get_args(Fault.model_fields["kind"].annotation)) <= described
