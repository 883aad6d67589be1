"""How many requests a client may make."""

from importlib.util import find_spec
from typing import Annotated

from pydantic import Field, SecretStr

from app.core.settings.section import Section

Quota = Annotated[int, Field(ge=0, le=10_000_000)]
SCHEMES = ("redis://", "rediss://", "redis+unix://")
PACKAGE = "redis"


class LimitSettings(Section):
    """Requests a minute, approximately. 0 is no limit. Guesses of secrets have limits of their own."""

    rate_limit_per_user: Quota = 1_200
    rate_limit_per_api_key: Quota = 6_000
    rate_limit_per_sender: Quota = 6_000
    rate_limit_storage_url: SecretStr | None = None

    def problems(self) -> list[str]:
        if self.rate_limit_storage_url is None:
            return []
        if not self.rate_limit_storage_url.get_secret_value().startswith(SCHEMES):
            return ["RATE_LIMIT_STORAGE_URL must look like redis://:password@127.0.0.1:6379/0"]
        if find_spec(PACKAGE) is None:
            return [f"RATE_LIMIT_STORAGE_URL needs the package {PACKAGE}: run `pip install {PACKAGE}`"]
        return []
