"""Many policies are matched at once, with the same result as one by one."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.services import policy_matcher
from app.services.escalation import Facts, matches
from app.services.policy_matcher import PolicyMatcher


@dataclass(frozen=True)
class Policy:
    """A policy as far as it is matched."""

    number: int
    conditions: Any


SERVICES = st.sampled_from(["payments", "payments-eu", "api", "db"])
SEVERITIES = st.sampled_from(["critical", "high", "medium", "low"])
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "severity": st.lists(SEVERITIES, min_size=1, max_size=2),
        "service": st.sampled_from(["payments*", "api", ["db", "*-eu"], "*"]),
        "source": st.sampled_from(["api", "elastic"]),
        "assigned": st.booleans(),
        "metadata.team": st.sampled_from(["core", ["edge", "core"], None]),
        "metadata.host.name": st.just("a*"),
    },
)
FACTS = st.builds(
    Facts,
    severity=SEVERITIES,
    service=SERVICES,
    source=st.sampled_from(["api", "elastic"]),
    is_assigned=st.booleans(),
    metadata=st.sampled_from([{}, {"team": "core"}, {"team": ["edge"]}, {"host": {"name": "a*"}}, {"host.name": "a*"}]),
)


def refused(policy: Policy) -> None:
    raise AssertionError(f"{policy} is not malformed")


@given(st.lists(CONDITIONS, max_size=8), st.lists(FACTS, max_size=8))
def test_the_result_is_that_of_asking_each_policy(conditions: list[Any], asked: list[Facts]) -> None:
    policies = [Policy(number, of) for number, of in enumerate(conditions)]
    matcher = PolicyMatcher(policies, refused)

    for facts in asked * 2:
        assert matcher.matching(facts) == [policy for policy in policies if matches(policy.conditions, facts)]


def facts(service: str = "api", **metadata: Any) -> Facts:
    return Facts("high", service, "api", is_assigned=False, metadata=metadata)


def test_a_malformed_policy_matches_nothing_and_stops_no_other() -> None:
    broken, sound = Policy(1, {"nonsense": 1}), Policy(2, {})
    told: list[Policy] = []
    matcher = PolicyMatcher([broken, sound], told.append)

    assert matcher.matching(facts()) == [sound]
    assert told == [broken]


def test_conditions_that_are_no_object_are_malformed() -> None:
    told: list[Policy] = []

    assert PolicyMatcher([Policy(1, ["severity"])], told.append).matching(facts()) == []
    assert told == [Policy(1, ["severity"])]


def test_metadata_is_asked_every_time() -> None:
    policy = Policy(1, {"metadata.team": "core"})
    matcher = PolicyMatcher([policy], refused)

    assert matcher.matching(facts(team="edge")) == []
    assert matcher.matching(facts(team="core")) == [policy]
    assert matcher.matching(facts()) == []


def test_no_number_of_services_fills_the_memory() -> None:
    policy = Policy(1, {"service": "s-7*"})
    matcher = PolicyMatcher([policy], refused)
    names = [f"s-{number}" for number in range(policy_matcher.MAX_REMEMBERED + 100)]

    found, most = [], 0
    for name in names:
        found.append(bool(matcher.matching(facts(service=name))))
        most = max(most, len(matcher._remembered))

    assert found == [name.startswith("s-7") for name in names]
    assert most == policy_matcher.MAX_REMEMBERED


def test_what_was_found_for_like_incidents_is_not_decided_again() -> None:
    class Counted:
        asked = 0

        @property
        def conditions(self) -> dict[str, Any]:
            self.asked += 1
            return {"service": "api"}

    policy = Counted()
    matcher = PolicyMatcher([policy], lambda _: None)
    assert (matcher.matching(facts()), matcher.matching(facts("db"))) == ([policy], [])
    before = policy.asked

    assert (matcher.matching(facts()), matcher.matching(facts("db"))) == ([policy], [])
    assert policy.asked == before
