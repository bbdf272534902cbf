"""Providers, detection rules and prices. Read them through rulebook.py and price_book.py."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from providers.costing import Rate

SLUG = RegexValidator(r"^[a-z0-9][a-z0-9_-]*$", "Use lower-case letters, digits, hyphens and underscores only.")


class Provider(models.Model):
    """A company whose API serves calls and sends invoices. Logs store its `slug` in `actual_provider_name`."""

    slug = models.CharField(max_length=50, unique=True, validators=[SLUG])
    name = models.CharField(max_length=100, help_text="Display name, e.g. WaveSpeed.")
    aliases = models.JSONField(default=list, blank=True, help_text="Other names that callers use, in lower case.")
    is_gateway = models.BooleanField(default=False, help_text="Serves and bills other companies' models.")
    shipped = models.BooleanField(default=False, editable=False)
    shipped_values = models.JSONField(
        null=True, editable=False, help_text="The values as shipped. A row that differs was edited and is kept."
    )

    class Meta:
        db_table = "providers"
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class DetectionRule(models.Model):
    """Maps evidence to a provider. Patterns match whole tokens or are globs, never substrings or regular expressions."""

    class Evidence(models.TextChoices):
        HOST = "host", "endpoint host"
        PATH = "path", "endpoint path segment"
        NAMESPACE = "namespace", "model namespace"
        FAMILY = "family", "model family"
        DECLARED = "declared", "declared label"

    slug = models.CharField(
        max_length=100, unique=True, help_text="Stable name. Logs store it as the rule that identified their provider."
    )
    evidence = models.CharField(max_length=20, choices=Evidence.choices)
    pattern = models.CharField(
        max_length=200, help_text="A host, path segment, namespace, model glob or label; * matches any text."
    )
    declared = models.JSONField(
        default=list, blank=True, help_text="Declared labels that the rule applies to; empty: all."
    )
    provider = models.ForeignKey(
        Provider,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Empty: the rule only sets a category or marks evidence to ignore.",
    )
    ignore_host = models.BooleanField(
        default=False, help_text="This host is our own proxy: use the other evidence instead."
    )
    category = models.CharField(
        max_length=20, blank=True, help_text="Category of the call if the label does not give one."
    )
    order = models.IntegerField(
        default=1000, help_text="Rules with a lower number are tried first, within the same kind of evidence."
    )
    active = models.BooleanField(default=True)
    proposed = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="A price source names this host, and no operator has accepted or rejected the rule yet.",
    )
    shipped = models.BooleanField(default=False, editable=False)
    shipped_values = models.JSONField(
        null=True, editable=False, help_text="The values as shipped. A row that differs was edited and is kept."
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "detection_rules"
        ordering = ["shipped", "evidence", "order", "id"]

    def __str__(self) -> str:
        return self.slug


class Price(models.Model):
    """What one provider charges for one model (an id or a glob) from a UTC date until the next price's date."""

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT)
    pattern = models.CharField(max_length=200, help_text="Model id or glob, lower case.")
    aliases = models.JSONField(default=list, blank=True, help_text="Other ids of the same model, lower case.")
    category = models.CharField(max_length=20, blank=True)
    valid_from = models.DateField(help_text="First day of this price (UTC).")
    revision = models.PositiveIntegerField(
        default=1, help_text="Corrections of the same day's price; the highest revision applies."
    )
    source = models.CharField(max_length=200, help_text="Where the price was found.")
    holds_for = models.JSONField(
        default=list,
        db_default=[],
        blank=True,
        help_text="Conditions that do not change this price. A call that states an unusual value, such as service tier batch,"
        " is unpriced unless a rate names that value or its condition is chosen here.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    shipped = models.BooleanField(default=False, editable=False)

    class Meta:
        db_table = "prices"
        ordering = ["provider__slug", "pattern", "-valid_from", "-revision"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "pattern", "valid_from", "revision"], name="prices_one_a_day_and_revision"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pattern} from {self.valid_from}"


class PriceRate(models.Model):
    """The rate of one unit: nano-USD per million units, for a variant and above a total of input tokens."""

    price = models.ForeignKey(Price, on_delete=models.CASCADE, related_name="rates")
    unit = models.CharField(max_length=30, help_text="A usage field of an event: input_tokens, images, seconds, ...")
    variant = models.CharField(
        max_length=200,
        blank=True,
        help_text="For example resolution=720p, service_tier=batch, region=eu-west-1 or hours=16:30-00:30 (UTC); empty: any.",
    )
    above = models.PositiveBigIntegerField(
        default=0, help_text="Applies if the call's total input is strictly above this many tokens."
    )
    nano_per_million = models.PositiveBigIntegerField(
        help_text="Nano-USD per million units: $2.50 per million tokens is 2500000000."
    )

    class Meta:
        db_table = "price_rates"
        constraints = [
            models.UniqueConstraint(fields=["price", "unit", "variant", "above"], name="price_rates_one_a_unit")
        ]

    def __str__(self) -> str:
        return self.unit


class PriceProposal(models.Model):
    """A difference between a price source and the price book. It has no effect until an operator accepts it."""

    class Source(models.TextChoices):
        GENAI = "genai", "genai-prices"
        LITELLM = "litellm", "LiteLLM"
        SHIPPED = "shipped", "a release of Tollgate"

    class Kind(models.TextChoices):
        NEW = "new", "new"
        CHANGED = "changed", "changed"
        GONE = "gone", "gone"

    class State(models.TextChoices):
        OPEN = "open", "open"
        ACCEPTED = "accepted", "accepted"
        REJECTED = "rejected", "rejected"
        SUPERSEDED = "superseded", "superseded"

    source = models.CharField(max_length=20, choices=Source.choices)
    edition = models.CharField(max_length=200, help_text="Becomes the source of the price.")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.OPEN)
    provider = models.CharField(
        max_length=50, help_text="A slug. Accepting the proposal creates the provider if it does not exist."
    )
    provider_name = models.CharField(max_length=100)
    pattern = models.CharField("model", max_length=200)
    aliases = models.JSONField(default=list)
    category = models.CharField(max_length=20, blank=True)
    stated_from = models.DateField(null=True, help_text="The source's own date; empty if it gives none.")
    valid_from = models.DateField()
    rates = models.JSONField(default=list, help_text="A list of [unit, variant, above, nano-USD per million units].")
    without = models.JSONField(
        default=list, db_default=[], help_text="What the source states and these rates lack: its keys, or sentences."
    )
    hosts = models.JSONField(
        default=list, db_default=[], help_text="Hosts of the provider that the source names, as patterns of rules."
    )
    base = models.ForeignKey(
        Price, on_delete=models.PROTECT, null=True, related_name="+", help_text="The price it was compared with."
    )
    over_20 = models.BooleanField("over 20 %", default=False)
    sources_disagree = models.BooleanField(default=False)
    drops_rates = models.BooleanField(
        default=False, db_default=False, help_text="The price it was compared with has rates that this one lacks."
    )
    new_provider = models.BooleanField(default=False)
    open_key = models.UUIDField(
        null=True,
        unique=True,
        editable=False,
        help_text="Allows one open proposal per model and date of a source; empty once it is closed.",
    )
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    price = models.ForeignKey(
        Price, on_delete=models.PROTECT, null=True, related_name="+", help_text="The price created by accepting it."
    )

    class Meta:
        db_table = "price_proposals"
        ordering = ["provider", "pattern", "valid_from", "id"]
        indexes = [models.Index(fields=["state", "provider", "pattern"], name="price_proposals_by_state")]

    def __str__(self) -> str:
        return f"{self.provider} {self.pattern}, {self.kind} from {self.valid_from}"

    @property
    def proposed_rates(self) -> tuple[Rate, ...]:
        """The proposed rates; empty if the source no longer lists the model."""
        return tuple(Rate(*row) for row in self.rates)


class CatalogVersion(models.Model):
    """The version of one catalog (rules, prices, plans). It grows with each change, so that every process reloads."""

    book = models.CharField(max_length=20, primary_key=True)
    version = models.PositiveBigIntegerField(default=1)

    class Meta:
        db_table = "book_versions"

    def __str__(self) -> str:
        return f"{self.book} {self.version}"
