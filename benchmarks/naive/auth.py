"""Passwords and tokens, as the security tutorial has them."""

import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Header, HTTPException
from fastapi.security import OAuth2PasswordBearer
from jose import JWTError, jwt
from passlib.context import CryptContext
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.naive.database import get_session
from benchmarks.naive.models import User

SECRET_KEY = os.environ["SECRET_KEY"]
WEBHOOK_TOKEN = os.environ["ELASTIC_WEBHOOK_TOKEN"]
ALGORITHM = "HS256"
TOKEN_LIFE = timedelta(hours=24)

passwords = CryptContext(schemes=["bcrypt"], bcrypt__rounds=int(os.environ.get("BCRYPT_ROUNDS", "12")))
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/v1/auth/login/access-token")

SessionDep = Annotated[Session, Depends(get_session)]


def create_access_token(user: User) -> str:
    """A signed token that names the user."""
    return jwt.encode({"sub": str(user.id), "exp": datetime.now(UTC) + TOKEN_LIFE}, SECRET_KEY, algorithm=ALGORITHM)


def authenticate(session: Session, email: str, password: str) -> User | None:
    """The user of these credentials."""
    user = session.scalar(select(User).where(User.email == email))
    if user is None or not passwords.verify(password, user.hashed_password):
        return None
    return user


def get_current_user(session: SessionDep, token: Annotated[str, Depends(oauth2_scheme)]) -> User:
    """The active user of the token."""
    credentials_error = HTTPException(401, "Could not validate credentials", {"WWW-Authenticate": "Bearer"})
    try:
        user_id = int(jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM])["sub"])
    except (JWTError, KeyError, ValueError) as error:
        raise credentials_error from error
    user = session.get(User, user_id)
    if user is None or not user.is_active:
        raise credentials_error
    return user


def require_webhook_token(authorization: Annotated[str, Header()] = "") -> None:
    """Only who knows the secret may open incidents."""
    if not secrets.compare_digest(authorization, f"Bearer {WEBHOOK_TOKEN}"):
        raise HTTPException(401, "The webhook's token is missing or wrong")


CurrentUser = Annotated[User, Depends(get_current_user)]
