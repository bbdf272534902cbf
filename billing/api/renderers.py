"""Renders responses as JSON with msgspec, which is fast even for a batch of 1,000 results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.renderers import JSONRenderer

# A Decimal is a percentage or a rate and becomes an exact JSON number; money is text already.
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
