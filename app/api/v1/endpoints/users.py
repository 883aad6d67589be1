"""Accounts: one's own, and for administrators everybody's."""

from fastapi import APIRouter

from app.api.deps import AdminUser, AuthDep, CurrentUser, PaginatedDep, SessionDep, UserId
from app.api.errors import problems
from app.api.gathered import gathered, nothing
from app.api.idempotency import idempotent
from app.api.transaction import TransactionalRoute
from app.schemas.user import UserCreate, UserRead, UserUpdate, UserUpdateMe
from app.services.accounts import user_service

router = APIRouter(prefix="/users", tags=["users"], route_class=TransactionalRoute)


@router.get("/me")
@gathered(user_service.themselves, reads=nothing, is_reading=True)
def read_me(user: CurrentUser, session: SessionDep) -> UserRead:
    """Read one's own account."""
    return UserRead.model_validate(user)


@router.put("/me", responses=problems(409))
def update_me(body: UserUpdateMe, user: CurrentUser, auth: AuthDep, session: SessionDep) -> UserRead:
    """Change one's own account. What is absent stays. A new password ends every session, this one too."""
    return UserRead.model_validate(user_service.update(session, user.id, body, auth.passwords))


@router.get("", responses=problems(403))
def list_users(user: AdminUser, session: SessionDep, paginated: PaginatedDep) -> list[UserRead]:
    """List accounts, oldest first. For administrators."""
    users = user_service.list_users(session, paginated.part)
    paginated.link_next(users)
    return [UserRead.model_validate(user) for user in users]


@router.post("", status_code=201, responses=problems(403, 409))
@idempotent
def create_user(body: UserCreate, user: AdminUser, auth: AuthDep, session: SessionDep) -> UserRead:
    """Make an account for somebody else. For administrators."""
    return UserRead.model_validate(user_service.create(session, body, auth.passwords))


@router.get("/{user_id}", responses=problems(403, 404))
def read_user(user_id: UserId, user: AdminUser, session: SessionDep) -> UserRead:
    """Read an account. For administrators."""
    return UserRead.model_validate(user_service.get(session, user_id))


@router.put("/{user_id}", responses=problems(403, 404, 409))
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
