"""Keys for machines."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.capacity import hashes_passwords
from app.api.deps import AnyUser, AuthDep, GuessDep, PaginatedDep, SessionDep
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import InvalidInput, NotFound, TooManyRequests, WrongPassword
from app.core.security import MAX_ID
from app.schemas.api_key import ApiKeyCreate, ApiKeyMade, ApiKeyRead
from app.services.accounts import api_key_service, guess_service

# An example for OpenAPI.
NEEDS_PASSWORD = InvalidInput("A key with the scope admin needs current_password. Add it.", pointer="/current_password")

ApiKeyId = Annotated[int, Path(ge=1, le=MAX_ID, description="The API key", examples=[1])]

router = APIRouter(prefix="/api-keys", tags=["api keys"], route_class=TransactionalRoute)


@router.post("", status_code=201, responses=problems(TooManyRequests, NEEDS_PASSWORD, WrongPassword))
@hashes_passwords
def create_api_key(
    body: ApiKeyCreate, user: AnyUser, auth: AuthDep, session: SessionDep, guess: GuessDep
) -> ApiKeyMade:
    """Make an API key. It acts as you, within its scopes and your rights. The key itself is shown only here.

    The scope `admin` includes the others; only administrators may give it, with `current_password`. A key cannot make
    keys. Repeating the request makes another key: revoke the one whose answer got lost.
    """
    counted = guess("password_check", account=str(user.id)) if body.current_password is not None else None
    made = api_key_service.make(session, user, body, auth.passwords)
    guess_service.succeeded(session, counted)
    return ApiKeyMade.of(made.record, made.key)


@router.get("")
def list_api_keys(user: AnyUser, session: SessionDep, paginated: PaginatedDep) -> list[ApiKeyRead]:
    """List API keys, oldest first. Your own, or everybody's for administrators. Revoked ones are left out."""
    keys = api_key_service.list_keys(session, paginated.part, user=user)
    paginated.link_next(keys)
    return [ApiKeyRead.model_validate(key) for key in keys]


@router.delete("/{api_key_id}", responses=problems(NotFound))
def revoke_api_key(api_key_id: ApiKeyId, user: AnyUser, session: SessionDep) -> ApiKeyRead:
    """Revoke an API key. It stops working at once. Your own, or anybody's for administrators."""
    return ApiKeyRead.model_validate(api_key_service.revoke(session, api_key_id, user=user))
