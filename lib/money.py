"""Money as integer nano-USD (10^-9 USD): the one place that converts, rounds and formats it. Pure."""

from decimal import ROUND_HALF_EVEN, Decimal

NANO = 1_000_000_000
CENT = NANO // 100
EVENT_LIMIT_NANO = 1_000_000 * NANO  # no single event costs more, whoever says so


def nano_from_usd(usd: Decimal) -> int:
    """USD to nano-USD, half-even. The caller has bounded the exponent: Decimal("1e1000000") would take a minute."""
    return int((usd * NANO).to_integral_value(rounding=ROUND_HALF_EVEN))


def usd_from_nano(amount: int) -> Decimal:
    """Nano-USD to exact USD."""
    return Decimal(amount).scaleb(-9)


def exact_usd(amount: int) -> str:
    """Nano-USD as the API writes it: exact, plain, without trailing zeros ("0.000125", "12", "-0.5")."""
    whole, rest = divmod(abs(amount), NANO)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")


def exact_usd_or_none(amount: int | None) -> str | None:
    """As exact_usd; None where the amount is not known."""
    return None if amount is None else exact_usd(amount)


def format_usd(amount: int) -> str:
    """Nano-USD as a page shows it: half-even to cents with separators, "<$0.01" for what would vanish."""
    if 0 < abs(amount) < CENT:
        return "<$0.01" if amount > 0 else ">-$0.01"
    cents = half_even(amount, CENT)
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}.{rest:02d}"


def half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator (> 0), rounded half to even, in integers."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))
