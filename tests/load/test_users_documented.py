"""docs/users.md: every profile snippet is one that `pvload check` accepts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from pvload.plan.check import check
from pvload.profiles.load import load
from pvload.profiles.users import Kind

TEXT = (Path(__file__).parents[2] / "docs" / "users.md").read_text()
SNIPPETS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
HEAD = """
[run]
name = "documented"
duration = "60s"
"""
VIEWER = """
[[users]]
name = "viewer"
"""
OPERATOR = """
[[users]]
name = "operator"
kind = "operator"
"""


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[str(number) for number in range(len(SNIPPETS))])
def test_a_snippet_is_a_profile(snippet: str, tmp_path: Path) -> None:
    """With a run, and a viewer beside it, it is read and its plan made."""
    file = tmp_path / "documented.toml"
    operator = "" if 'kind = "operator"' in snippet else OPERATOR
    file.write_text(HEAD + VIEWER + operator + snippet)
    check(load(str(file)).profile, force=True)


def test_every_kind_has_a_snippet() -> None:
    """None is left out."""
    stated = set(re.findall(r'kind = "([a-z-]+)"', "".join(SNIPPETS)))
    assert stated | {"subscriber"} == set(get_args(Kind))
