"""The formats that come with Tollgate, one TOML file each in billing/data/import_formats. Pure."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from billing.events.usage_files import formats
from billing.events.usage_files.formats import BadMapping, Format

DATA = Path(__file__).resolve().parents[2] / "data" / "import_formats"


@cache
def load() -> dict[str, Format]:
    """The shipped formats by name."""
    shipped = [formats.parse_toml(path.read_text(encoding="utf-8"), path.name) for path in sorted(DATA.glob("*.toml"))]
    return {shape.name: shape for shape in shipped}


def find(name: str) -> Format:
    """The shipped format of that name, or the format in a TOML file. Raises BadMapping."""
    if name.lower().endswith(".toml"):
        try:
            return formats.parse_toml(Path(name).read_text(encoding="utf-8"), name)
        except (OSError, UnicodeError) as error:
            raise BadMapping(f"{name}: {error}.") from error
    if name not in load():
        raise BadMapping(f"There is no format {name!r}. There are {', '.join(load())}; or give a file: PATH.toml.")
    return load()[name]
