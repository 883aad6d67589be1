"""Accounts: your own, and everybody's for administrators."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.api.capacity import hashes_passwords
from app.api.deps import (
    AdminUser,
    AnyUser,
    AuthDep,
    CurrentUser,
    GuessDep,
    PaginatedDep,
    PagingDep,
    SessionDep,
    UserId,
)
from app.api.gathered import gathered
from app.api.idempotency import idempotent
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.api.usual import nothing
from app.core.errors import (
    Conflict,
    DuplicateEmail,
    InvalidInput,
    LastAdmin,
    NotFound,
    TooManyRequests,
    WrongCode,
    WrongPassword,
)
from app.schemas.base import Message
from app.schemas.notification import Confirmation
from app.schemas.types import SearchWords
from app.schemas.user import DirectoryEntry, UserCreate, UserRead, UserUpdate, UserUpdateMe
from app.services.accounts import guess_service, own_account_service, user_service
from app.services.explain import loss_service

NameWords = Annotated[
    SearchWords,
    Query(description="Up to 6 words of the name, or of the part of the address before the @. All must match"),
]

# Examples for OpenAPI.
NEEDS_PASSWORD = InvalidInput(
    "A new e-mail address or password needs current_password. Add it.", pointer="/current_password"
)
ALL_PROVED = Conflict(
    "The address of this account is confirmed, and no new one is waiting. There is nothing to confirm."
)

router = APIRouter(prefix="/users", tags=["users"], route_class=TransactionalRoute)


@router.get("/me")
@gathered(user_service.themselves, reads=nothing, is_reading=True)
def read_me(user: AnyUser, session: SessionDep) -> UserRead:
    """Read your own account."""
    return UserRead.model_validate(user)


@router.put("/me", responses=problems(DuplicateEmail, TooManyRequests, NEEDS_PASSWORD, WrongPassword))
@hashes_passwords
def update_me(
    body: UserUpdateMe, user: AnyUser, auth: AuthDep, paging: PagingDep, session: SessionDep, guess: GuessDep
) -> UserRead:
    """Change your own account. Absent fields stay. A new password ends every session, including this one.

    A new password or e-mail address needs `current_password`. A code is sent to a new address, which stays the
    `pending_email` until the code is confirmed.
    """
    made = guess("password_check", account=str(user.id)) if body.current_password is not None else None
    changed = own_account_service.update(session, user, body, auth)
    guess_service.succeeded(session, made)
    return UserRead.with_warnings(changed, loss_service.of_change(session, changed, paging))


@router.post("/me/email/verify", responses=problems(ALL_PROVED, TooManyRequests))
def verify_my_email(user: AnyUser, auth: AuthDep, session: SessionDep, guess: GuessDep) -> Message:
    """Send another code to your account's address that is not confirmed yet."""
    guess("address_verification", account=str(user.id))
    minutes = own_account_service.send_code(session, user, auth) // timedelta(minutes=1)
    return Message(msg=f"A code is on its way. It expires after {minutes} minutes.")


@router.post("/me/email/confirm", responses=problems(DuplicateEmail, TooManyRequests, WrongCode))
def confirm_my_email(
    body: Confirmation, user: AnyUser, auth: AuthDep, paging: PagingDep, session: SessionDep, guess: GuessDep
) -> UserRead:
    """Confirm the code that was sent to the address of your account. Each code allows five tries.

    `warnings` list the policies that still name your former address.
    """
    made = guess("address_confirmation", account=str(user.id))
    changed = own_account_service.confirm(session, user, body.code, auth)
    guess_service.succeeded(session, made)
    warnings = loss_service.of_change(session, changed.user, paging, former_address=changed.former_address)
    return UserRead.with_warnings(changed.user, warnings)


@router.get("/directory")
def search_directory(
    user: CurrentUser, session: SessionDep, paginated: PaginatedDep, q: NameWords = ""
) -> list[DirectoryEntry]:
    """Find colleagues by name. Lists the ids and names of active accounts, oldest first; `q` narrows the list."""
    found = user_service.search_directory(session, q, paginated.part)
    paginated.link_next(found)
    return [DirectoryEntry.model_validate(colleague) for colleague in found]


@router.get("")
def list_users(
    user: AdminUser,
    session: SessionDep,
    paginated: PaginatedDep,
    is_address_proved: Annotated[
        bool | None, Query(description="Only accounts whose address is confirmed (true) or not (false)")
    ] = None,
) -> list[UserRead]:
    """List accounts, oldest first. For administrators."""
    users = user_service.list_users(session, paginated.part, is_address_proved=is_address_proved)
    paginated.link_next(users)
    return [UserRead.model_validate(user) for user in users]


@router.post("", status_code=201, responses=problems(DuplicateEmail))
@idempotent
@hashes_passwords
def create_user(body: UserCreate, user: AdminUser, auth: AuthDep, session: SessionDep) -> UserRead:
    """Create an account for somebody else. Its address counts as confirmed. For administrators."""
    return UserRead.model_validate(user_service.create(session, body, auth.passwords))


@router.get("/{user_id}", responses=problems(NotFound))
def read_user(user_id: UserId, user: AdminUser, session: SessionDep) -> UserRead:
    """Read an account. For administrators."""
    return UserRead.model_validate(user_service.get(session, user_id))


@router.put("/{user_id}", responses=problems(NotFound, DuplicateEmail, LastAdmin))
@hashes_passwords
def update_user(
    user_id: UserId, body: UserUpdate, user: AdminUser, auth: AuthDep, paging: PagingDep, session: SessionDep
) -> UserRead:
    """Change an account. Absent fields stay. Deactivating it or setting its password ends its sessions at once.

    Deactivating it also ends its API keys. `warnings` list those, and the policies that name a deactivated account or
    its former address. For administrators. The last active administrator cannot be deactivated or demoted.
    """
    changed = user_service.update(session, user_id, body, auth.passwords)
    return UserRead.with_warnings(changed.user, loss_service.of_closing(session, changed, paging))


@router.delete("/{user_id}", responses=problems(NotFound, LastAdmin))
def delete_user(user_id: UserId, user: AdminUser, paging: PagingDep, session: SessionDep) -> UserRead:
    """Delete an account. It is hidden, its address becomes free, and what it wrote keeps its author.

    `warnings` list the policies that name it and its API keys, which end. For administrators. The last active
    administrator cannot be deleted.
    """
    deleted = user_service.delete(session, user_id)
    return UserRead.with_warnings(deleted.user, loss_service.of_closing(session, deleted, paging))
