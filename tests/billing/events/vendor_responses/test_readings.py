"""What is read from each vendor's responses, as JSON and as objects of a client."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from billing.events.vendor_responses.client_shapes import SHAPES
from billing.events.vendor_responses.reading import Reading, read_pieces
from tests.billing.events.vendor_responses.anthropic_samples import ANTHROPIC
from tests.billing.events.vendor_responses.client_samples import CLIENTS
from tests.billing.events.vendor_responses.cloud_samples import BEDROCK, GOOGLE
from tests.billing.events.vendor_responses.documented_cloud_samples import CLOUDS
from tests.billing.events.vendor_responses.documented_media_samples import MEDIA
from tests.billing.events.vendor_responses.documented_samples import CHAT_VENDORS
from tests.billing.events.vendor_responses.openai_samples import OPENAI
from tests.billing.events.vendor_responses.samples import Sample
from tests.billing.events.vendor_responses.vendor_samples import VENDORS

SAMPLES = [*OPENAI, *ANTHROPIC, *GOOGLE, *BEDROCK, *VENDORS, *CLIENTS, *CHAT_VENDORS, *CLOUDS, *MEDIA]
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


def as_object(value: Any) -> Any:
    """The response as a client library returns it: nested objects with attributes."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: as_object(child) for name, child in value.items()})
    return [as_object(child) for child in value] if isinstance(value, list) else value


def in_order(reading: Reading) -> Reading:
    """The reading without the values of unread numbers, which test_every_number.py has."""
    ignored, unread = tuple(sorted(reading.ignored)), tuple(sorted(reading.unread))
    return reading._replace(ignored=ignored, unread=unread, unread_values={})


@each_sample
def test_a_response_is_read(sample: Sample) -> None:
    assert in_order(read_pieces([sample.response])) == in_order(sample.expected)


@each_sample
def test_an_object_of_a_client_is_read(sample: Sample) -> None:
    if not re.search("'[a-z]+[A-Z]", str(sample.response)):  # camel case stands in JSON alone
        assert in_order(read_pieces([as_object(sample.response)])) == in_order(sample.expected)


def test_every_shape_has_a_sample() -> None:
    assert {sample.expected.reader for sample in SAMPLES} == {shape.name for shape in SHAPES}


def test_names_of_samples_are_unique() -> None:
    assert len({sample.name for sample in SAMPLES}) == len(SAMPLES)
