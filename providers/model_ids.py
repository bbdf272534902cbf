"""Other ids under which one provider sells the same model: dated, namespaced, regional. Pure.

Covers only what vendors document as the same model at the same price: never another vendor's model, and never a suffix
that changes who serves it or its price (":groq", "-0613", "-preview"). ":free" is a separate free offer with its own
limits: it never gets the price of the paid model, nor that of a glob that does not end in ":free".
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

# gpt-4o-2024-07-18, claude-sonnet-4-20250514, claude-sonnet-4@20250514, and Bedrock's revision after it (-v1:0).
_DATE = re.compile(r"[-@]20\d\d(?:-(?:0[1-9]|1[0-2])-|(?:0[1-9]|1[0-2]))(?:0[1-9]|[12]\d|3[01])(?:-v\d+(?::\d+)?)?$")
_BEDROCK_REGION = re.compile(r"^(?:us|us-gov|eu|apac|jp|au|ca|in|sa|me|af|global)\.(?=[a-z0-9-]+\.)")
_MODELS = re.compile(r"^(?:.*/)?models/")
FINE_TUNE = "ft:"
BATCH, FREE = ":batch", ":free"


def normalize(model: str) -> str:
    """Returns the form in which model ids, and providers' labels, are compared and stored in rollups."""
    return model.strip().lower()


def vendor_names(slug: str, aliases: Iterable[str]) -> frozenset[str]:
    """Returns a provider's namespaces in one spelling: "vertex ai", "vertex_ai" and "Vertex-AI" become one."""
    return frozenset(_normalize_vendor(name) for name in (slug, *aliases))


def own_forms(model: str, vendor: Container[str]) -> Iterator[str]:
    """Yields the id (normalized) and its other names, closest first; `vendor` is the result of vendor_names()."""
    for unsuffixed in _without_suffix(model):
        for bare in _without_path(unsuffixed, vendor):
            yield from _without_date(bare)


def base_forms(model: str, vendor: Container[str]) -> Iterator[str]:
    """Yields the names of the base model of a fine-tune (`ft:base:organisation::id`)."""
    for form in own_forms(model, vendor):
        if form.startswith(FINE_TUNE):
            yield from own_forms(form.removeprefix(FINE_TUNE), vendor)


def is_unsuffixed(served: str, model: str, vendor: Container[str]) -> bool:
    """Tells whether the served id (both normalized) is the requested one without its suffix (":groq", ":free")."""
    bare, colon, _ = model.rpartition(":")
    if not colon:
        return False
    forms = set(own_forms(bare, vendor))
    if "/" not in served:
        forms |= {form.rpartition("/")[2] for form in forms}
    return not forms.isdisjoint(own_forms(served, vendor))


def _without_suffix(model: str) -> Iterator[str]:
    yield model
    if model.endswith(BATCH):
        yield model.removesuffix(BATCH)
    if model.startswith(FINE_TUNE):
        yield ":".join(model.split(":")[:2])


def after_models(model: str) -> str:
    """Strips a prefix such as `models/` or `publishers/x/models/`."""
    return _MODELS.sub("", model)


def _without_path(model: str, vendor: Container[str]) -> Iterator[str]:
    """Yields the id, then without its models folder or ARN, the provider's own namespace, and the Bedrock region."""
    yield model
    bare = model.rpartition("/")[2] if model.startswith("arn:") else after_models(model)
    if bare != model:
        yield bare
    head, slash, tail = bare.partition("/")
    if slash and _normalize_vendor(head) in vendor:
        yield tail
        bare = tail
    if "bedrock" in vendor and _BEDROCK_REGION.match(bare):
        yield _BEDROCK_REGION.sub("", bare)


def _without_date(model: str) -> Iterator[str]:
    yield model
    undated = _DATE.sub("", model)
    if undated and undated != model:
        yield undated


def _normalize_vendor(name: str) -> str:
    return re.sub(r"[-_ ]+", " ", normalize(name))
