"""Build hook: turns `protos/` into `pvload/_pb/` and puts the shipped profiles into the wheel.

Runs for wheels and for editable installs. An editable install reads the profiles from the tree, so nothing is copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GENERATED = "*_pb2*"


class ProtocBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # the builder's configuration is not looked at
    """Generated code is never committed: whatever is built or installed has it made from `protos/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate the code; `version` is hatchling's word for the kind of wheel, "standard" or "editable"."""
        root = Path(self.root)
        generate(root)
        if version != "editable":
            build_data["force_include"].update(
                {str(path): f"pvload/profiles/shipped/{path.name}" for path in (root / "profiles").glob("*.toml")}
            )


def generate(root: Path) -> None:
    """Write messages, type stubs and service stubs for every file in `protos/`; drop those whose source has gone."""
    from grpc_tools import protoc

    sources = sorted((root / "protos").glob("*.proto"))
    # The virtual path makes protoc write `from pvload._pb import daq_pb2`, which resolves without touching sys.path.
    arguments = [
        "protoc",
        f"-Ipvload/_pb={root / 'protos'}",
        f"--python_out={root}",
        f"--pyi_out={root}",
        f"--grpc_python_out={root}",
        *map(str, sources),
    ]
    if (status := protoc.main(arguments)) != 0:
        raise RuntimeError(f"protoc ended with status {status} for {', '.join(path.name for path in sources)}")
    kept = {path.stem for path in sources}
    for path in (root / "pvload" / "_pb").glob(GENERATED):
        if path.name.partition("_pb2")[0] not in kept:
            path.unlink()
