"""The pages for a forgotten password: ask for a mail, open its link, choose a password. Work without JavaScript.

The token is in the path, because a fragment needs JavaScript. It works once and for a short time, the log masks it,
and the pages send no referrer.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.capacity import hashes_passwords
from app.api.deps import AuthDep, GuessDep, SessionDep
from app.api.web.form import require_same_origin
from app.api.web.page_route import PageRoute
from app.api.web.password_form import GivenEmail, NewPassword
from app.api.web.rendering import page, redirect
from app.core.errors import DomainError, InvalidInput, InvalidResetToken
from app.core.security import OPAQUE_TOKEN, without_punctuation
from app.services.accounts import auth_service, guess_service

SPENT = "This link was used before, has expired, or was not copied completely. It works once and for a short time."
DONE = {
    "mailed": "If there is an account with this address, a mail with a link is on its way. Check your spam folder too.",
    "set": "Your new password is set, and every session has ended. Log in again with the new password.",
}


class PasswordRoute(PageRoute):
    """Shows the form again, with the error."""

    def refusal(self, request: Request, error: DomainError) -> Response:
        has_token = "token" in request.path_params
        if isinstance(error, InvalidInput):
            return page(_form(has_token), HTTPStatus.UNPROCESSABLE_ENTITY, wrong=str(error))
        if isinstance(error, InvalidResetToken):
            return page("recovery.html", HTTPStatus.BAD_REQUEST, wrong=SPENT, action="../reset-password")
        return super().refusal(request, error)


def _form(has_token: bool) -> str:
    return "password.html" if has_token else "recovery.html"


router = APIRouter(prefix="/reset-password", route_class=PasswordRoute, include_in_schema=False)
SAME_ORIGIN = [Depends(require_same_origin)]


async def get_token(token: str) -> str:
    """The token of the link, without punctuation that was copied with it."""
    return without_punctuation(token, OPAQUE_TOKEN)


Token = Annotated[str, Depends(get_token)]


@router.api_route("", methods=["GET", "HEAD"])
async def show_recovery(done: str = "") -> Response:
    """Show the form that requests a mail, or its confirmation."""
    return page("recovery.html", done=DONE.get(done))


@router.api_route("/{token}", methods=["GET", "HEAD"])
def show_password_form(token: Token, session: SessionDep, guess: GuessDep) -> Response:
    """Show the form for a new password. It does not spend the token: mail scanners open every link."""
    made = guess("password_reset")
    owner = auth_service.owner_of_reset_token(session, token)
    guess_service.succeeded(session, made)
    return page("password.html", email=owner.email)


@router.api_route("/{token}/", methods=["GET", "HEAD"])
async def return_to_form(token: Token) -> Response:
    """Show the form at the address with a trailing slash."""
    return redirect(f"../{token}")


@router.api_route("/", methods=["GET", "HEAD"])
async def return_to_recovery() -> Response:
    """Show the form that requests a mail at the address with a trailing slash."""
    return redirect("../reset-password")


@router.post("", dependencies=SAME_ORIGIN)
def ask_for_mail(email: GivenEmail, auth: AuthDep, session: SessionDep, guess: GuessDep) -> Response:
    """Mail a link for a new password. The answer does not reveal whether the address has an account."""
    guess("password_recovery", account=email)
    auth_service.request_password_reset(session, auth, email)
    return redirect("reset-password?done=mailed")


@router.post("/{token}", dependencies=SAME_ORIGIN)
@hashes_passwords
def set_password(token: Token, password: NewPassword, auth: AuthDep, session: SessionDep, guess: GuessDep) -> Response:
    """Set the new password. This uses up the token and ends every session of the user."""
    made = guess("password_reset")
    auth_service.reset_password(session, auth, token=token, new_password=password, guess=made)
    return redirect("../reset-password?done=set")
