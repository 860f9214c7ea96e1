"""Amounts of money: Decimal inside, whole smallest units in the API (docs/adr/0003)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

# ISO 4217 (list one): the currencies in use, by how many decimal places their smallest unit has.
_WITHOUT_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_PLACES = "BHD IQD JOD KWD LYD OMR TND"
_TWO_PLACES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE "
    "CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
    "PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU "
    "UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
_PLACES = {
    **dict.fromkeys(_WITHOUT_PLACES.split(), 0),
    **dict.fromkeys(_TWO_PLACES.split(), 2),
    **dict.fromkeys(_THREE_PLACES.split(), 3),
}
CURRENCIES: tuple[str, ...] = tuple(sorted(_PLACES))


def places(currency: str) -> int:
    """Give the decimal places of a currency (ISO 4217). Raises ValueError for one that is not in use."""
    if currency not in _PLACES:
        raise ValueError(f"“{currency}” is no currency in use.")
    return _PLACES[currency]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round an amount to the currency's smallest unit, halves up. Raises ValueError for an unknown currency."""
    return amount.quantize(Decimal(1).scaleb(-places(currency)), ROUND_HALF_UP)


def to_minor(amount: Decimal, currency: str) -> int:
    """Give an amount in the currency's smallest unit: EUR 12.34 is 1234, JPY 12 is 12."""
    return int(rounded(amount, currency).scaleb(places(currency)))


def from_minor(units: int, currency: str) -> Decimal:
    """Give the amount of so many smallest units. Raises ValueError for an unknown currency."""
    return Decimal(units).scaleb(-places(currency))
