"""Passwords and tokens: what counts and what does not."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import bcrypt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from app.core import api_key
from app.core.clock import utcnow
from app.core.config import Settings
from app.core.errors import NotAuthenticated
from app.core.security import MAX_ID, Claims, Passwords, Tokens, fingerprint, new_opaque_token, same_secret

KEY = "0123456789abcdef0123456789abcdef"
CLAIMS = Claims(7, UUID("c1b8dbb5-3f27-4a05-8a8b-5fb1d7f9d4f0"))


def tokens(**settings: Any) -> Tokens:
    return Tokens(Settings(_env_file=None, **{"secret_key": KEY, **settings}))


def signed(payload: dict[str, Any], *, key: str = KEY, algorithm: str = "HS256") -> str:
    token: str = jwt.encode(payload, key, algorithm=algorithm)
    return token


def payload(**changes: Any) -> dict[str, Any]:
    """What a valid token says, with changes; None leaves a claim out."""
    claims = {"sub": "7", "sid": str(CLAIMS.session_id), "exp": utcnow() + timedelta(minutes=1), **changes}
    return {name: value for name, value in claims.items() if value is not None}


def unsigned(header: Any, body: Any, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(body).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_token_says_who_and_in_which_session() -> None:
    assert tokens().read(tokens().issue(CLAIMS)) == CLAIMS


def test_a_token_made_by_hand_like_ours_would_count() -> None:
    """So that the refusals below are for what they say."""
    assert tokens().read(signed(payload())) == CLAIMS


def test_no_two_tokens_are_the_same() -> None:
    assert tokens().issue(CLAIMS) != tokens().issue(CLAIMS)


def test_a_token_lives_as_long_as_the_settings_say() -> None:
    issued = jwt.get_unverified_claims(tokens(access_token_expire_minutes=5).issue(CLAIMS))
    assert issued["exp"] - issued["iat"] == 300


def test_a_token_says_nothing_but_numbers() -> None:
    assert jwt.get_unverified_claims(tokens().issue(CLAIMS)).keys() == {"sub", "sid", "iat", "exp", "jti"}


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 2**40},
        {"sub": None},
        {"sub": ""},
        {"sub": "admin"},
        {"sub": "0"},
        {"sub": "-7"},
        {"sub": str(MAX_ID + 1)},
        {"sub": "9" * 5000},
        {"sub": 7},
        {"sid": None},
        {"sid": ""},
        {"sid": 7},
        {"sid": ["c1b8dbb5-3f27-4a05-8a8b-5fb1d7f9d4f0"]},
        {"sid": "not a uuid"},
    ],
)
def test_a_signed_token_that_does_not_say_what_it_must_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        tokens().read(signed(payload(**changes)))


def test_a_token_signed_with_another_key_is_refused() -> None:
    with pytest.raises(NotAuthenticated):
        tokens().read(signed(payload(), key=KEY[::-1]))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_of_another_algorithm_is_refused_though_the_key_is_right(algorithm: str) -> None:
    forged = signed(payload(), algorithm=algorithm)
    assert tokens(algorithm=algorithm).read(forged) == CLAIMS
    with pytest.raises(NotAuthenticated):
        tokens().read(forged)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], {"HS256": 1}])
@pytest.mark.parametrize("signature", [b"", b"x"])
def test_a_token_without_a_real_algorithm_is_refused(name: Any, signature: bytes) -> None:
    body = payload(exp=int(utcnow().timestamp()) + 60)
    with pytest.raises(NotAuthenticated):
        tokens().read(unsigned({"alg": name, "typ": "JWT"}, body, signature))


def test_a_token_signed_by_a_private_key_is_refused() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with pytest.raises(NotAuthenticated):
        tokens().read(signed(payload(), key=pem, algorithm="RS256"))


@pytest.mark.parametrize("header", [{}, [], None, "HS256", 1, {"alg": "HS256", "crit": ["exp"]}, {"typ": "JWT"}])
def test_a_token_with_a_strange_header_is_refused(header: Any) -> None:
    with pytest.raises(NotAuthenticated):
        tokens().read(unsigned(header, payload(exp=2**40), b"signature"))


@pytest.mark.parametrize("body", [[], None, "sub", 1, [[[]]]])
def test_a_token_whose_claims_are_no_object_is_refused(body: Any) -> None:
    with pytest.raises(NotAuthenticated):
        tokens().read(unsigned({"alg": "HS256"}, body, b"signature"))


def test_a_token_with_one_changed_character_is_refused() -> None:
    header, claims, signature = tokens().issue(CLAIMS).split(".")
    other = "A" if claims[5] != "A" else "B"
    with pytest.raises(NotAuthenticated):
        tokens().read(f"{header}.{claims[:5]}{other}{claims[6:]}.{signature}")


@given(st.text() | st.from_regex(r"[\w\-=]{0,40}\.[\w\-=]{0,40}\.[\w\-=]{0,40}", fullmatch=True))
def test_no_text_but_a_token_counts(text: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens().read(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "a" * 100_000, "\ud800.a.b", "é.é.é", "\x00", "ey" + "." * 9999]
)
def test_garbage_of_any_length_is_refused(text: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens().read(text)


def test_a_generated_key_serves_every_process_on_the_same_directory(tmp_path: Path) -> None:
    one, other = (tokens(secret_key=None, data_dir=tmp_path) for _ in range(2))
    assert other.read(one.issue(CLAIMS)) == CLAIMS


def test_a_seal_depends_on_the_key_and_on_every_byte() -> None:
    seal = tokens().seal(b"body")
    assert seal == tokens().seal(b"body")
    assert len({seal, tokens().seal(b"bodY"), tokens(secret_key=KEY[::-1]).seal(b"body")}) == 3


def test_a_seal_is_no_signature_of_a_token() -> None:
    head = unsigned({"alg": "HS256"}, payload(exp=2**40)).rpartition(".")[0]
    signature = bytes.fromhex(tokens().seal(head.encode()))
    with pytest.raises(NotAuthenticated):
        tokens().read(f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@pytest.mark.parametrize(
    "password", ["correct horse battery", "p" * 73, "p" * 1024, "\N{PILE OF POO}" * 1024, "ä" * 72, " ", "a\x00b"]
)
def test_a_password_of_any_length_counts_in_full(password: str) -> None:
    passwords = Passwords(4)
    hashed = passwords.hash(password)
    assert passwords.verify(password, hashed)
    assert not passwords.verify(password[:-1], hashed)
    assert not passwords.verify(password + "x", hashed)
    assert password not in hashed


def test_the_same_password_has_another_hash_each_time() -> None:
    assert Passwords(4).hash("password") != Passwords(4).hash("password")


def test_a_hash_of_fewer_rounds_still_counts() -> None:
    assert Passwords(6).verify("password", Passwords(4).hash("password"))


def test_nobody_has_no_password() -> None:
    assert not any(Passwords(4).verify(password, None) for password in ("", "password", "\x00"))


@pytest.mark.parametrize("hashed", [None, "of somebody"])
def test_for_nobody_a_hash_is_computed_as_for_somebody(hashed: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(5)
    stored = passwords.hash("password") if hashed else None
    passwords.verify("warms up", None)
    costs: list[bytes] = []
    original = bcrypt.hashpw

    def watched(password: bytes, salt: bytes) -> bytes:
        costs.append(salt[:7])
        return original(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", watched)
    assert not passwords.verify("a guess", stored)
    assert costs == [b"$2b$05$"]


def test_opaque_tokens_cannot_be_guessed_and_are_kept_as_fingerprints() -> None:
    made = {new_opaque_token() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 43  # 256 bits in base64
    assert all(len(fingerprint(token)) == 64 and token not in fingerprint(token) for token in made)


@pytest.mark.parametrize(
    ("offered", "is_same"), [("secret", True), ("Secret", False), ("", False), ("secret ", False), ("\ud800é", False)]
)
def test_secrets_are_the_same_or_not(offered: str, is_same: bool) -> None:
    assert same_secret(offered, "secret") is is_same


def test_a_session_is_never_taken_for_another() -> None:
    assert tokens().read(tokens().issue(Claims(7, uuid4()))) != CLAIMS


OLD, NEW = KEY, KEY[::-1]


def rotated(*keys: str) -> Tokens:
    return tokens(secret_key=",".join(keys))


def test_what_an_older_key_signed_counts_until_the_key_is_gone() -> None:
    token = rotated(OLD).issue(CLAIMS)
    assert rotated(NEW, OLD).read(token) == CLAIMS
    with pytest.raises(NotAuthenticated):
        rotated(NEW).read(token)


def test_the_first_key_signs() -> None:
    token = rotated(NEW, OLD).issue(CLAIMS)
    assert rotated(NEW).read(token) == CLAIMS
    with pytest.raises(NotAuthenticated):
        rotated(OLD).read(token)


def test_a_token_of_a_release_without_key_names_counts_by_any_key() -> None:
    assert rotated(NEW, OLD).read(signed(payload(), key=OLD)) == CLAIMS


def test_a_token_names_its_key_without_giving_it_away() -> None:
    names = {jwt.get_unverified_header(rotated(key).issue(CLAIMS))["kid"] for key in (OLD, NEW)}
    assert len(names) == 2
    assert all(len(name) == 8 and name not in OLD + NEW for name in names)


@pytest.mark.parametrize("kid", ["unknown", "", 7, ["HS256"], {"k": 1}])
def test_a_token_that_names_no_key_of_ours_is_refused(kid: Any) -> None:
    forged = jwt.encode(payload(), KEY, algorithm="HS256", headers={"kid": kid})
    with pytest.raises(NotAuthenticated):
        tokens().read(forged)


def test_a_token_that_names_another_key_than_signed_it_is_refused() -> None:
    name = jwt.get_unverified_header(rotated(NEW).issue(CLAIMS))["kid"]
    forged = jwt.encode(payload(), OLD, algorithm="HS256", headers={"kid": name})
    with pytest.raises(NotAuthenticated):
        rotated(NEW, OLD).read(forged)


def test_a_seal_by_an_older_key_is_known_and_new_ones_are_by_the_first() -> None:
    seal = rotated(OLD).seal(b"code")
    assert rotated(NEW, OLD).has_sealed(b"code", seal)
    assert not rotated(NEW, OLD).has_sealed(b"cod3", seal)
    assert not rotated(NEW).has_sealed(b"code", seal)
    assert rotated(NEW, OLD).seal(b"code") == rotated(NEW).seal(b"code")
    assert rotated(NEW, OLD).seals(b"code") == (rotated(NEW).seal(b"code"), seal)


def test_an_api_key_is_read_as_one_and_not_as_a_token() -> None:
    key = api_key.new()
    assert tokens().read(key) == api_key.proof_of(key)
    with pytest.raises(NotAuthenticated, match="mistyped"):
        tokens().read(key[:-1])
