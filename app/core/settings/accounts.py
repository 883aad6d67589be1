"""Accounts: who may sign up, the first administrator, passwords, and rate limits."""

from typing import Annotated

from pydantic import Field, SecretStr

from app.core.common_passwords import is_common
from app.core.settings.section import Section

MIN_PASSWORD_LENGTH = 8  # NIST SP 800-63B, section 5.1.1.1


class AccountSettings(Section):
    """Signing up and logging in."""

    password_reset_expire_minutes: Annotated[int, Field(ge=1, le=60 * 24)] = 30
    bcrypt_rounds: Annotated[int, Field(ge=4, le=16)] = 12
    open_signup: bool | None = None
    first_superuser: str | None = None
    first_superuser_password: SecretStr | None = None
    rate_limit_enabled: bool | None = None

    def problems(self) -> list[str]:
        found = []
        if (self.first_superuser is None) != (self.first_superuser_password is None):
            found.append("FIRST_SUPERUSER and FIRST_SUPERUSER_PASSWORD go together: set both or neither")
        password = self.first_superuser_password
        if password is not None and len(password.get_secret_value()) < MIN_PASSWORD_LENGTH:
            found.append(f"FIRST_SUPERUSER_PASSWORD is shorter than {MIN_PASSWORD_LENGTH} characters")
        elif password is not None and is_common(password.get_secret_value()):
            found.append("FIRST_SUPERUSER_PASSWORD is one of the passwords that everybody guesses: choose another one")
        return found
