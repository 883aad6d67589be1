"""Who takes part in a run, what is ready made for its checks, and the list of the checks."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from e2e.api import Api, Json
from e2e.expectations import holds

RUN = f"e2e-{secrets.token_hex(4)}"
PASSWORD = secrets.token_urlsafe(12)  # of every account made here: one that is left behind opens to nobody
BEYOND_32_BITS = 2**31
NOTIFY_CREATOR = {"type": "notify", "target": "creator"}


@dataclass
class World:
    """Who takes part. The setup logs them in."""

    nobody: Api
    webhook_token: str
    admin_login: "Future[tuple[str, str]]"  # an administrator's address and password
    is_admin_ours: bool = False  # made by this run
    user: Api = field(init=False)  # opens the incidents
    outsider: Api = field(init=False)  # has nothing to do with them
    paged: Json = field(init=False)  # an incident whose policy pages at once
    hourly: Json = field(init=False)  # a policy that pages after an hour
    untouched: Json = field(init=False)  # an incident of which every change is refused
    _numbers: Iterator[int] = field(default_factory=count)

    def new_name(self) -> str:
        """A name that nothing on the server has."""
        return f"{RUN}-{next(self._numbers)}"

    def new_account(self, **fields: object) -> Json:
        """What to send for a new account."""
        return {"email": f"{self.new_name()}@example.com", "password": PASSWORD, **fields}

    def new_policy(self, **fields: object) -> Json:
        """What to send for a new policy: for the service of its name, it pages an incident's creator after an hour."""
        name = self.new_name()
        steps = [{"delay_minutes": 60, "actions": [NOTIFY_CREATOR]}]
        return {"name": name, "conditions": {"severity": "low", "service": name}, "steps": steps, **fields}

    def log_in(self, email: str, password: str = PASSWORD) -> Json:
        """A new pair of tokens."""
        pair: Json = self.nobody.call("POST /v1/auth/login/access-token", {"username": email, "password": password})
        return pair

    def logged_in(self, user: Json, password: str = PASSWORD) -> Api:
        """The service as this user sees it."""
        return self.nobody.bearing(self.log_in(user["email"], password)["access_token"], user)

    @cached_property
    def admin(self) -> Api:
        """An administrator, who may still be in the making. Raises Failed if there is none."""
        email, password = self.admin_login.result()
        pair = self.log_in(email, password)
        account = self.nobody.call("GET /v1/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
        holds(account["is_superuser"], f"{email} is an administrator")
        return self.nobody.bearing(pair["access_token"], account)

    def new_user(self) -> Api:
        """A new ordinary user. Where signing up is closed, the administrator makes it."""
        body = self.new_account()
        answer = self.nobody.answer("POST /v1/auth/signup", body, wants=(201, 403))
        return self.logged_in(answer.json() if answer.ok else self.admin.call("POST /v1/users", body, wants=201))

    def incident(self, **fields: object) -> Json:
        """A new incident, opened by the user."""
        body = {"title": "End-to-end check", "severity": "low", "service": RUN, **fields}
        incident: Json = self.user.call("POST /v1/incidents", body, wants=201)
        return incident

    def policy(self, **fields: object) -> Json:
        """A new policy."""
        policy: Json = self.admin.call("POST /v1/escalation/policies", self.new_policy(**fields), wants=201)
        return policy

    def alert(self, body: object) -> Json:
        """Post to the webhook, with its secret if there is one."""
        answer: Json = self.nobody.call("POST /v1/alerts/elastic", body, wants=201, headers=self.webhook_headers())
        return answer

    def webhook_headers(self) -> dict[str, str]:
        return {"X-Webhook-Token": self.webhook_token} if self.webhook_token else {}


@dataclass(frozen=True)
class Check:
    """One thing that must hold: its function returns, or raises with the reason."""

    group: str
    name: str
    run: Callable[[World], None]


CHECKS: list[Check] = []


def check(group: str, name: str) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    """Register a check. They are run in the order in which they stand."""

    def register(run: Callable[[World], None]) -> Callable[[World], None]:
        CHECKS.append(Check(group, name, run))
        return run

    return register
