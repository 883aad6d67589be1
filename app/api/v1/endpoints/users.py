"""Accounts: one's own, and for administrators everybody's."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.capacity import hashes_passwords
from app.api.deps import AdminUser, AnyUser, AuthDep, CurrentUser, PaginatedDep, SessionDep, UserId
from app.api.errors import problems
from app.api.gathered import gathered, nothing
from app.api.idempotency import idempotent
from app.api.transaction import TransactionalRoute
from app.schemas.types import Storable
from app.schemas.user import DirectoryEntry, UserCreate, UserRead, UserUpdate, UserUpdateMe
from app.services.accounts import user_service

SearchWords = Annotated[
    str,
    Storable,
    Query(max_length=200, description="Words of the name, or of the address before the @. All must match"),
]

router = APIRouter(prefix="/users", tags=["users"], route_class=TransactionalRoute)


@router.get("/me")
@gathered(user_service.themselves, reads=nothing, is_reading=True)
def read_me(user: AnyUser, session: SessionDep) -> UserRead:
    """Read one's own account."""
    return UserRead.model_validate(user)


@router.put("/me", responses=problems(409))
@hashes_passwords
def update_me(body: UserUpdateMe, user: AnyUser, auth: AuthDep, session: SessionDep) -> UserRead:
    """Change one's own account. What is absent stays. A new password ends every session, this one too."""
    return UserRead.model_validate(user_service.update(session, user.id, body, auth.passwords))


@router.get("/directory", responses=problems(403))
def search_directory(
    user: CurrentUser, session: SessionDep, paginated: PaginatedDep, q: SearchWords = ""
) -> list[DirectoryEntry]:
    """Find colleagues by their names. Lists active accounts with id and name, oldest first; `q` narrows the list."""
    found = user_service.search_directory(session, q, paginated.part)
    paginated.link_next(found)
    return [DirectoryEntry.model_validate(colleague) for colleague in found]


@router.get("", responses=problems(403))
def list_users(user: AdminUser, session: SessionDep, paginated: PaginatedDep) -> list[UserRead]:
    """List accounts, oldest first. For administrators."""
    users = user_service.list_users(session, paginated.part)
    paginated.link_next(users)
    return [UserRead.model_validate(user) for user in users]


@router.post("", status_code=201, responses=problems(403, 409))
@idempotent
@hashes_passwords
def create_user(body: UserCreate, user: AdminUser, auth: AuthDep, session: SessionDep) -> UserRead:
    """Make an account for somebody else. For administrators."""
    return UserRead.model_validate(user_service.create(session, body, auth.passwords))


@router.get("/{user_id}", responses=problems(403, 404))
def read_user(user_id: UserId, user: AdminUser, session: SessionDep) -> UserRead:
    """Read an account. For administrators."""
    return UserRead.model_validate(user_service.get(session, user_id))


@router.put("/{user_id}", responses=problems(403, 404, 409))
@hashes_passwords
def update_user(user_id: UserId, body: UserUpdate, user: AdminUser, auth: AuthDep, session: SessionDep) -> UserRead:
    """Change an account. What is absent stays. Deactivating it or setting its password ends its sessions at once.

    For administrators. The last active one of them can be neither deactivated nor demoted.
    """
    return UserRead.model_validate(user_service.update(session, user_id, body, auth.passwords))


@router.delete("/{user_id}", responses=problems(403, 404, 409))
def delete_user(user_id: UserId, user: AdminUser, session: SessionDep) -> UserRead:
    """Delete an account. It is hidden from now on, its address free, its authorship kept.

    For administrators. The last active one of them cannot be deleted.
    """
    return UserRead.model_validate(user_service.delete(session, user_id))
