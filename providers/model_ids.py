"""Other ids under which one provider sells the same model: dated, namespaced, regional. The price book asks. Pure.

Only what the vendors document as the same model at the same price. Never another vendor's model, and never a suffix
that changes who serves it or what is asked (":groq", ":free", "-0613", "-preview").
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

# gpt-4o-2024-07-18, claude-sonnet-4-20250514, claude-sonnet-4@20250514, and Bedrock's revision after it (-v1:0).
_DATE = re.compile(r"[-@]20\d\d(?:-(?:0[1-9]|1[0-2])-|(?:0[1-9]|1[0-2]))(?:0[1-9]|[12]\d|3[01])(?:-v\d+(?::\d+)?)?$")
_BEDROCK_REGION = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|sa|me|af|global)\.(?=[a-z0-9-]+\.)")
_FINE_TUNE = "ft:"
BATCH = ":batch"


def normal(model: str) -> str:
    """The form in which ids are compared."""
    return model.strip().lower()


def vendor_names(slug: str, aliases: Iterable[str]) -> frozenset[str]:
    """What a provider is called in front of a model, in one spelling: "vertex ai", "vertex_ai" and "Vertex-AI"."""
    return frozenset(_spoken(name) for name in (slug, *aliases))


def own_forms(model: str, vendor: Container[str]) -> Iterator[str]:
    """The id (normal form) and its other names, nearest first; `vendor` are the provider's own names."""
    for whole in _without_suffix(model):
        for bare in _without_path(whole, vendor):
            yield from _without_date(bare)


def base_forms(model: str, vendor: Container[str]) -> Iterator[str]:
    """The names of the model that a fine-tune (`ft:base:organisation::id`) was made from."""
    for form in own_forms(model, vendor):
        if form.startswith(_FINE_TUNE):
            yield from own_forms(form.removeprefix(_FINE_TUNE), vendor)


def _without_suffix(model: str) -> Iterator[str]:
    yield model
    if model.endswith(BATCH):
        yield model.removesuffix(BATCH)
    if model.startswith(_FINE_TUNE):
        yield ":".join(model.split(":")[:2])


def _without_path(model: str, vendor: Container[str]) -> Iterator[str]:
    """Without `models/`, `publishers/x/models/`, an ARN's head, the provider's own namespace, a Bedrock region."""
    yield model
    head, slash, tail = model.partition("/")
    if model.startswith("arn:") or "models" in model.split("/")[:-1]:
        tail = model.rpartition("/")[2]
        yield tail
        model = tail
    elif slash and _spoken(head) in vendor:
        yield tail
        model = tail
    if "bedrock" in vendor and _BEDROCK_REGION.match(model):
        yield _BEDROCK_REGION.sub("", model)


def _without_date(model: str) -> Iterator[str]:
    yield model
    undated = _DATE.sub("", model)
    if undated and undated != model:
        yield undated


def _spoken(name: str) -> str:
    return re.sub(r"[-_ ]+", " ", normal(name))
