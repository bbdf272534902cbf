"""Detection rules that price sources propose: the hosts of a provider. None has an effect until an operator accepts it."""

from __future__ import annotations

from collections.abc import Iterable

from lib import retry
from providers import rulebook
from providers.detection import HOST
from providers.models import DetectionRule, Provider


@retry.atomic
def propose(hosts: Iterable[tuple[str, str]], *, edition: str) -> int:
    """Adds an inactive rule for each pair of a provider's slug and a host. Returns how many were added.

    Leaves out unknown providers, and hosts that any rule matches or that had a rule before: a rejected one stays so.
    """
    a_region = "us-east-1"  # stands for the wildcard of a host
    ids = dict(Provider.objects.values_list("slug", "pk"))
    stored = DetectionRule.objects.filter(evidence=HOST)
    taken = {text for row in stored.values_list("slug", "pattern") for text in row}
    rules = rulebook.current().rules
    new = {
        host: slug
        for slug, host in hosts
        if slug in ids and not {host, _slug(host)} & taken and not rules.has_host(host.replace("*", a_region))
    }
    DetectionRule.objects.bulk_create(
        DetectionRule(
            slug=_slug(host),
            evidence=HOST,
            pattern=host,
            provider_id=ids[slug],
            active=False,
            proposed=True,
            note=f"Proposed by {edition}"[:200],
        )
        for host, slug in sorted(new.items())
    )
    return len(new)


def _slug(host: str) -> str:
    """Never the slug of a rule that a later release ships."""
    return f"listed-host-{host.replace('*', 'any')}"
