"""JSON schemas of msgspec structs, without references. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

JSONSchema = dict[str, Any]


def from_struct(struct: type[msgspec.Struct]) -> JSONSchema:
    """Returns the JSON schema of a struct."""
    schema = msgspec.json.schema(struct)
    inlined: JSONSchema = _inline(schema["$defs"][struct.__name__], schema["$defs"])
    return inlined


def _inline(schema: Any, definitions: JSONSchema) -> Any:  # noqa: ANN401 - JSON
    """Replaces references by their definitions, because drf-spectacular generates the components itself."""
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: _inline(value, definitions) for key, value in schema.items() if key not in ("$defs", "title")}
