"""Remembers the webhook tokens that were accepted, so that most requests need not ask the database."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.crud import crud_webhook_token
from app.services.operations import webhook_token_service
from app.utils.service_locator import Services

log = structlog.get_logger()

LOOK_AGAIN_SECONDS = 10.0  # at most, however many wrong tokens arrive


@dataclass
class KnownTokens:
    """The tokens of one source: those this process has seen working, and those in the database."""

    source: str
    _kept: set[str] = field(default_factory=set)
    _taken: frozenset[str] = frozenset()
    _look_at: float = 0.0

    def has_kept(self, services: Services, token: str) -> bool:
        """True if this process has kept that a token works."""
        return _seal(services, token) in self._kept

    async def keep_working(self, services: Services, token: str) -> None:
        """Record that a token was accepted, once for each process. If that fails, the alert is still taken."""
        seal = _seal(services, token)
        if seal not in self._kept:
            await self._try(lambda: self._keep(services, seal))

    async def tell_refused(self, services: Services, tokens: Sequence[str]) -> None:
        """Page the admins if one of these tokens was accepted before."""
        seals = {seal for token in tokens if token for seal in _seals(services, token)}
        await self._try(lambda: self._tell(services, seals))

    async def _try(self, job: Callable[[], None]) -> None:
        try:
            await run_in_threadpool(job)
        except SQLAlchemyError:
            log.exception("webhook_token_not_kept", source=self.source)

    def _keep(self, services: Services, seal: str) -> None:
        with services.database.transaction() as session:
            webhook_token_service.keep_working(session, self.source, seal)
        self._kept.add(seal)

    def _tell(self, services: Services, seals: set[str]) -> None:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
            with services.database.transaction() as session:
                self._taken = crud_webhook_token.taken(session, self.source)
        for seal in self._taken & seals:
            with services.database.transaction() as session:
                webhook_token_service.tell_refused(session, self.source, seal, services.paging)
            self._taken -= {seal}


def _seal(services: Services, token: str) -> str:
    return services.auth.tokens.seal(_sealed(token))


def _seals(services: Services, token: str) -> tuple[str, ...]:
    """The token's seal by each signing key: it may have been accepted before the key was replaced."""
    return services.auth.tokens.seals(_sealed(token))


def _sealed(token: str) -> bytes:
    return b"webhook token:" + token.encode("utf-8", "replace")
