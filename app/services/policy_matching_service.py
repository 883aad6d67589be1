"""Finds the policies that match an incident. The active policies are kept compiled between transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.crud import crud_policy
from app.crud.crud_policy import ActivePolicy
from app.services import escalation
from app.services.policy_matcher import PolicyMatcher

log = structlog.get_logger()

Matcher = PolicyMatcher[ActivePolicy]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The active policies, with the fingerprint that the database had of them."""

    fingerprint: int
    policies: Sequence[ActivePolicy]
    matcher: Matcher


_compiled: "WeakKeyDictionary[Engine, _Compiled]" = WeakKeyDictionary()


def active_policies(session: Session) -> Sequence[ActivePolicy]:
    """The active policies, in order. The rollout of a newer one waits until this transaction has ended."""
    return _current(session).policies


def matcher(session: Session) -> Matcher:
    """Finds those of the active policies that match. The rollout of a newer one waits until this transaction ends.

    A malformed policy matches nothing and is logged as an error: it must not stop the others.
    """
    return _current(session).matcher


def matcher_of(policies: Sequence[ActivePolicy]) -> Matcher:
    """Finds those of some policies that match. What is wrong with a malformed one is logged while it is handled."""
    return PolicyMatcher([policy for policy in policies if _has_steps(policy)], _report_malformed)


def _current(session: Session) -> _Compiled:
    """What is compiled, unless a policy has changed since, as this transaction sees them."""
    engine = session.get_bind().engine
    fingerprint = crud_policy.fingerprint_until_the_end(session)
    compiled = _compiled.get(engine)
    if compiled is None or compiled.fingerprint != fingerprint:
        policies = crud_policy.active(session)
        compiled = _compiled[engine] = _Compiled(fingerprint, policies, matcher_of(policies))
    return compiled


def _has_steps(policy: ActivePolicy) -> bool:
    try:
        return escalation.delays_of(policy.steps)[0] >= timedelta()
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        _report_malformed(policy)
        return False


def _report_malformed(policy: ActivePolicy) -> None:
    log.error("policy_malformed", policy_id=policy.policy_id, exc_info=True)  # noqa: LOG014 - see matcher_of
