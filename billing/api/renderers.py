"""Answers as JSON: msgspec writes them, so that a batch of 1,000 results costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.renderers import JSONRenderer

# A Decimal is a percentage or a rate and becomes a JSON number, exactly; money is text before it comes here.
_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


class FastJSONRenderer(JSONRenderer):
    def render(
        self,
        data: object,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        encoded = _encoder.encode(data)
        indent = self.get_indent(accepted_media_type or "", dict(renderer_context or {}))
        return msgspec.json.format(encoded, indent=indent) if indent else encoded
