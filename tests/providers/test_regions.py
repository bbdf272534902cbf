"""The region that the host of an endpoint names."""

from __future__ import annotations

import pytest

from providers import regions


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1", "us-central1"),
        ("https://aiplatform.googleapis.com/v1/projects/p", "global"),
        ("https://aiplatform.eu.rep.googleapis.com/v1", "eu"),
        ("EUROPE-WEST4-aiplatform.googleapis.com", "europe-west4"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/x/invoke", "eu-west-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/", "us-gov-west-1"),
        ("https://bedrock-runtime.ap-southeast-2.api.aws", "ap-southeast-2"),
        ("https://bedrock-mantle.us-east-1.api.aws/v1", "us-east-1"),
        ("https://vpce-1-2.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://westeurope.api.cognitive.microsoft.com/openai", "westeurope"),
        ("https://eastus.stt.speech.microsoft.com", "eastus"),
        ("https://llama.swedencentral.models.ai.azure.com:443/v1", "swedencentral"),
        ("https://mine.eastus2.inference.ml.azure.com/score", "eastus2"),
        ("https://mine.openai.azure.com/openai/deployments/x", ""),
        ("https://generativelanguage.googleapis.com/v1beta", ""),
        ("https://api.openai.com/v1/chat/completions", ""),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com.example.com/", ""),
        ("https://example.com/bedrock-runtime.eu-west-1.amazonaws.com", ""),
        ("/v1/chat/completions", ""),
        ("", ""),
    ],
)
def test_the_host_names_the_region(endpoint: str, region: str) -> None:
    assert regions.region_of(endpoint) == region
