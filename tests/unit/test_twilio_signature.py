"""How Twilio signs what it reports: fields in order, and one that comes twice in the same words once."""

from app.integrations.channels.sms.twilio_callback import signature

URL = "https://pager.example.com/v1/notifications/callbacks/twilio?key=1"
ONCE = [("MessageSid", "SM1"), ("MessageStatus", "sent")]


def test_a_field_that_is_repeated_in_the_same_words_is_signed_once() -> None:
    assert signature(URL, [*ONCE, ("MessageSid", "SM1")], "secret") == signature(URL, ONCE, "secret")


def test_a_field_that_is_repeated_in_other_words_is_signed_as_well() -> None:
    other = signature(URL, [*ONCE, ("MessageSid", "SM2")], "secret")
    assert other != signature(URL, ONCE, "secret")
    assert other == signature(URL, [("MessageSid", "SM2"), *ONCE], "secret")
