"""Money is an integer count of micro-dollars; floats never hold it."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

MICROS_PER_USD = 1_000_000


def usd(micros: int) -> float:
    """Micro-dollars as dollars, for showing."""
    return micros / MICROS_PER_USD


def priced(micros_per_hour: int, seconds: float) -> int:
    """What `seconds` cost at an hourly price, rounded half up to a whole micro-dollar."""
    exact = Decimal(micros_per_hour) * Decimal(str(seconds)) / Decimal(3600)
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def seconds_for(micros_per_hour: int, amount_micros: int) -> float:
    """The time that an amount pays for at an hourly price above 0, rounded down to a millisecond."""
    exact = Decimal(amount_micros) * Decimal(3600) / Decimal(micros_per_hour)
    return float(exact.quantize(Decimal("0.001"), rounding=ROUND_DOWN))
