"""Query parameters: a msgspec struct declares their names, types and limits. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from lib import struct_schema
from lib.struct_schema import JSONSchema

Parameters = TypeVar("Parameters", bound=msgspec.Struct)
BOOLEANS = {"true": True, "false": False}
MAX_DIGITS = 9


class BadParameter(ValueError):
    """A query parameter that is unknown, stated twice or has an invalid value; `attr` is its name."""

    def __init__(self, code: str, detail: str, attr: str) -> None:
        super().__init__(detail)
        self.code, self.detail, self.attr = code, detail, attr


class NoParameters(msgspec.Struct, frozen=True):
    """The declaration of an endpoint without query parameters."""


def text(max_length: int) -> msgspec.Meta:
    """The annotation of a text that a database can compare with its own: without null characters."""
    return msgspec.Meta(max_length=max_length, pattern=r"^[^\0]*\Z")


def choice(values: Sequence[str]) -> msgspec.Meta:
    """The annotation of a text that is one of these: msgspec does not know Django's enumerations."""
    return msgspec.Meta(pattern=rf"^({'|'.join(map(re.escape, values))})\Z", extra_json_schema={"enum": values})


@cache
def schemas(struct: type[msgspec.Struct]) -> dict[str, JSONSchema]:
    """The JSON schema of each parameter by its name, without null: an absent parameter is left out."""
    properties: dict[str, JSONSchema] = struct_schema.from_struct(struct)["properties"]
    return {name: _without_null(schema) for name, schema in properties.items()}


def check_names(texts: Mapping[str, Sequence[str]], struct: type[msgspec.Struct]) -> None:
    """Raises BadParameter for a parameter that the struct does not have, or that is stated more than once."""
    known = schemas(struct)
    for name in sorted(texts):
        if name not in known:
            raise BadParameter("unknown_field", "Unknown parameter.", name)
        if len(texts[name]) > 1:
            raise BadParameter("invalid", "State this parameter only once.", name)


def parse(texts: Mapping[str, str], struct: type[Parameters]) -> Parameters:
    """Converts the texts of known parameters; an empty text is an absent parameter. Raises BadParameter."""
    known = schemas(struct)
    values = {name: _value(text, known[name]) for name, text in texts.items() if name in known and text}
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("`$.")[2].rstrip("`")
        raise BadParameter("invalid", _describe(known[name]) or f"{error}.", name) from error


def _without_null(schema: JSONSchema) -> JSONSchema:
    kind: JSONSchema = next((kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}), schema)
    default = {"default": schema["default"]} if schema.get("default") not in (None, "") else {}
    return {**{key: value for key, value in kind.items() if key not in ("default", "pattern")}, **default}


def _value(text: str, schema: JSONSchema) -> Any:  # noqa: ANN401 - by the schema's type
    """The text as a number or truth value where the schema has this type and the text is one."""
    if schema.get("type") == "boolean":
        return BOOLEANS.get(text, text)
    if schema.get("type") == "integer" and text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        return int(text)
    return text


def _describe(schema: JSONSchema) -> str:
    """What to enter; empty where only msgspec's message tells."""
    if schema.get("type") == "boolean":
        return "Enter true or false."
    if schema.get("type") == "integer":
        return f"Enter a whole number from {schema['minimum']} to {schema['maximum']}."
    if "enum" in schema:
        return f"Use one of these: {', '.join(schema['enum'])}."
    return f"Enter at most {schema['maxLength']} characters, none of them null." if "maxLength" in schema else ""
