"""Signing up, logging in and out, resetting a password."""

from typing import Annotated

from fastapi import APIRouter, Header, Path

from app.api.capacity import hashes_passwords
from app.api.deps import AnyUser, AuthDep, DatabaseDep, GuessDep, RateLimitDep, ServicesDep, SessionDep
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import (
    DuplicateEmail,
    InvalidResetToken,
    NotAuthenticated,
    NotFound,
    SignupClosed,
    TooManyRequests,
    WrongCredentials,
)
from app.schemas.base import Message
from app.schemas.types import Email
from app.schemas.user import (
    EXAMPLE_EMAIL,
    LoginBody,
    PasswordReset,
    RefreshRequest,
    Signup,
    TokenPair,
    UserRead,
)
from app.services.accounts import auth_service, own_account_service

router = APIRouter(prefix="/auth", tags=["auth"], route_class=TransactionalRoute)

# Examples for OpenAPI.
ENDED_SESSION = NotAuthenticated("The refresh token is invalid, used or expired. Log in again.")
NO_ADDRESS = NotFound("email is no address.")

LOGIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Credentials"}},
            "application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/LoginForm"}},
        },
    }
}


@router.post("/signup", status_code=201, responses=problems(SignupClosed, DuplicateEmail, TooManyRequests))
@hashes_passwords
def sign_up(body: Signup, auth: AuthDep, services: ServicesDep, session: SessionDep, hit: RateLimitDep) -> UserRead:
    """Sign up. The account gets no special rights.

    A code is sent to the address. Until it is confirmed, policies that name the address do not page this account.
    """
    hit("signup")
    is_open = bool(services.settings.open_signup)
    return UserRead.model_validate(own_account_service.sign_up(session, body, auth, is_open=is_open))


@router.post("/login/access-token", responses=problems(WrongCredentials, TooManyRequests), openapi_extra=LOGIN_BODY)
@hashes_passwords
def log_in(
    body: LoginBody,
    auth: AuthDep,
    database: DatabaseDep,
    guess: GuessDep,
    user_agent: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> TokenPair:
    """Log in. Takes JSON or the OAuth2 password form."""
    made = guess("login", account=body.username)
    return auth_service.log_in(
        database, auth, username=body.username, password=body.password, user_agent=user_agent, guess=made
    )


@router.post("/login/refresh-token", responses=problems(ENDED_SESSION))
def refresh_tokens(body: RefreshRequest, auth: AuthDep, database: DatabaseDep) -> TokenPair:
    """Exchange a refresh token for a new pair of tokens. Using one twice ends its whole session."""
    return auth_service.refresh(database, auth, body.refresh_token)


@router.post("/logout", responses=problems(ENDED_SESSION))
def log_out(body: RefreshRequest, session: SessionDep) -> Message:
    """Log out. Ends the session of the refresh token, including its access tokens."""
    auth_service.log_out(session, body.refresh_token)
    return Message(msg="Logged out.")


@router.post("/login/test-token")
def check_token(user: AnyUser, session: SessionDep) -> UserRead:
    """Check an access token. Answers with its user."""
    return UserRead.model_validate(user)


@router.post("/password-recovery/{email}", responses=problems(NO_ADDRESS, TooManyRequests))
def recover_password(
    email: Annotated[Email, Path(description="The account's address", examples=[EXAMPLE_EMAIL])],
    auth: AuthDep,
    session: SessionDep,
    guess: GuessDep,
) -> Message:
    """Mail a single-use token to reset the password. The answer does not reveal whether the address has an account."""
    guess("password_recovery", account=email)
    auth_service.request_password_reset(session, auth, email)
    return Message(msg="If the address has an account, a mail is on its way.")


@router.post("/reset-password", responses=problems(InvalidResetToken, TooManyRequests))
@hashes_passwords
def reset_password(body: PasswordReset, auth: AuthDep, session: SessionDep, guess: GuessDep) -> Message:
    """Set a new password with the token from the mail. This uses up the token and ends every session of the user."""
    made = guess("password_reset")
    auth_service.reset_password(session, auth, token=body.token, new_password=body.new_password, guess=made)
    return Message(msg="The password is set. Log in again.")
