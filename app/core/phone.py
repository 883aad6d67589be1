"""Telephone numbers in the one form in which they can be dialled from anywhere: E.164."""

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

EXAMPLE = "+49 151 12345678"


def e164(written: str, region: str | None) -> str:
    """The number as `+4915112345678`. One without a country is of the region. Raises ValueError with a sentence.

    Whether it is assigned is not asked: numbering plans change faster than anybody's copy of them.
    """
    if region is None and written.startswith("00"):
        written = f"+{written[2:]}"  # how most of the world dials another country (ITU-T E.164, annex A)
    if region is None and not written.startswith("+"):
        raise ValueError(f"has no country: write it with a plus and the country's code, such as {EXAMPLE}")
    try:
        number = phonenumbers.parse(written, region)
    except NumberParseException:
        raise ValueError(f"is not a telephone number, such as {EXAMPLE}") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError(f"cannot be a telephone number: it has too few or too many digits, unlike {EXAMPLE}")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def known_region(region: str) -> str:
    """The two letters of a country, in capitals. Raises ValueError."""
    if region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be the two letters of a country, such as DE or US")
    return region.upper()
