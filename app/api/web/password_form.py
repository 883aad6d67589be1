"""Reads the forms for a forgotten password. No error message ever shows the password."""

from typing import Annotated

from fastapi import Depends, Request
from pydantic import TypeAdapter, ValidationError

from app.api.validation_words import words_for
from app.api.web.form import fields_of
from app.core.errors import InvalidInput
from app.schemas.types import Email, Password

_email: TypeAdapter[str] = TypeAdapter(Email)
_password: TypeAdapter[str] = TypeAdapter(Password)


def _checked(kind: TypeAdapter[str], given: str, subject: str, *, pointer: str) -> str:
    try:
        return kind.validate_python(given)
    except ValidationError as error:
        raise InvalidInput(words_for(error.errors()[0], subject, may_show=False), pointer=pointer) from error


async def get_email(request: Request) -> str:
    """The address that a mail is requested for. Raises InvalidInput."""
    given = fields_of(await request.body()).get("email", "").strip()
    return _checked(_email, given, "The e-mail address", pointer="email")


async def get_new_password(request: Request) -> str:
    """The new password, typed twice. Raises InvalidInput."""
    fields = fields_of(await request.body())
    password = _checked(_password, fields.get("new_password", ""), "The new password", pointer="new_password")
    if fields.get("again", "") != password:
        raise InvalidInput("The two passwords differ. Type the same one twice.", pointer="again")
    return password


GivenEmail = Annotated[str, Depends(get_email)]
NewPassword = Annotated[str, Depends(get_new_password)]
