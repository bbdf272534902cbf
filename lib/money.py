"""Money as integer nano-USD (10^-9 USD): conversion, rounding and formatting. Pure."""

from decimal import ROUND_HALF_EVEN, Decimal

NANO = 1_000_000_000
CENT = NANO // 100
MAX_EVENT_NANO = 1_000_000 * NANO  # the highest accepted cost of one event


def nano_from_usd(usd: Decimal) -> int:
    """USD to nano-USD, rounded half to even. The caller bounds the exponent: Decimal("1e1000000") would take a minute."""
    return int((usd * NANO).to_integral_value(rounding=ROUND_HALF_EVEN))


def usd_from_nano(amount: int) -> Decimal:
    """Nano-USD to exact USD."""
    return Decimal(amount).scaleb(-9)


def exact_usd(amount: int) -> str:
    """Nano-USD as the API writes it: exact USD without trailing zeros ("0.000125", "12", "-0.5")."""
    dollars, nano = divmod(abs(amount), NANO)
    sign = "-" if amount < 0 else ""
    return f"{sign}{dollars}.{nano:09d}".rstrip("0").rstrip(".")


def exact_usd_or_none(amount: int | None) -> str | None:
    """Like exact_usd; None for an unknown amount."""
    return None if amount is None else exact_usd(amount)


def format_usd(amount: int) -> str:
    """Nano-USD as pages show it: rounded half to even to cents, with separators; "<$0.01" for less than a cent."""
    if 0 < abs(amount) < CENT:
        return "<$0.01" if amount > 0 else ">-$0.01"
    cents = divide_half_even(amount, CENT)
    dollars, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${dollars:,}.{rest:02d}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator (> 0), rounded half to even, in integer arithmetic."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))
