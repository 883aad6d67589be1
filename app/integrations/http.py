"""The only way for channels to call out over HTTP: a POST with a deadline, never to a forbidden address."""

import json as json_format
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import structlog
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.util import Url, make_headers

from app.core import spans, tracing
from app.core.channel import ANSWERED, Outcome
from app.core.clock import utcnow
from app.core.spans import Kind, Span
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import may_be_called, parsed, resolve
from app.integrations.connections import Watch, pools

log = structlog.get_logger()

TEMPORARY = {408, 425, 429}  # RFC 9110, RFC 8470, RFC 6585: a retry may work
SERVER_ERROR = 500
FORM_REFUSED = {400, 413, 422}
MAX_RETRY_AFTER = 24 * 3600.0
MAX_ANSWER_BYTES = 8192
MAX_ERROR = 1000
ERROR_EXCERPT = 300
MAX_ADDRESSES = 4
MAX_ID = 255
USER_AGENT = "incident-service"


@dataclass(frozen=True, slots=True)
class Limits:
    """A channel's limits, and how it reads answers.

    `gone` are the status codes for an address that will never work again. `id_header` and `id_field` say where the
    provider's id is. The first `answer_characters` of the body become the outcome's `answer`.
    """

    timeout_seconds: float = 10.0
    allows_private: bool = False
    gone: frozenset[int] = frozenset()
    id_header: str | None = None
    id_field: str | None = None
    answer_characters: int = 0


Attempt = Callable[[Limits], Outcome]


def post(
    url: str,
    *,
    json: Any = None,
    data: bytes | str | Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    limits: Limits | None = None,
) -> Outcome:
    """Post JSON, a form (a mapping) or a raw body, and return the outcome. Never raises because of the other side.

    2xx is accepted. 408, 425, 429, 5xx, time-outs and network errors are retried. Everything else is final; redirects
    are not followed. The host is resolved once, and only the checked addresses are connected to.
    """
    limits = limits or Limits()
    try:
        target = parsed(url)
        body, own = _content(json, data)
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **own, **(headers or {})}
        if auth is not None:
            sent |= make_headers(basic_auth=":".join(auth))
        sent["Host"] = target.netloc or ""
    except ValueError as error:
        return Outcome(AttemptOutcome.DEAD, error=str(error)[:MAX_ERROR])
    with spans.span("POST", Kind.CLIENT, parent=tracing.current()) as span, Watch(limits.timeout_seconds) as watch:
        outcome = _exchange(target, body, sent | {"traceparent": span.traceparent}, limits, watch)
        _tell(span, target, outcome)
        return outcome


def _tell(span: Span, target: Url, outcome: Outcome) -> None:
    """Say whom it called. In many URLs the path is a secret."""
    about = {"http.request.method": "POST", "server.address": target.host, "server.port": _port(target)}
    span.tell({**about, "http.response.status_code": outcome.status_code})
    if outcome.result is not AttemptOutcome.ACCEPTED:
        span.fail(outcome.result)


def post_or_plainer(
    limits: Limits, first: Attempt, plainer: Attempt, *, is_refused: Callable[[Outcome], bool]
) -> Outcome:
    """Post a message. If the server refuses its content, post it again without extras, in the remaining time.

    A button or a delivery report is nice to have. Waking somebody is a must.
    """
    began = time.monotonic()
    outcome = first(limits)
    left = limits.timeout_seconds - (time.monotonic() - began)
    if not is_refused(outcome) or left <= 0:
        return outcome
    log.warning("extras_refused", status_code=outcome.status_code)
    return plainer(replace(limits, timeout_seconds=left))


def is_form_refused(outcome: Outcome) -> bool:
    """True if a server refuses the content, rather than the recipient or the sender."""
    return outcome.status_code in FORM_REFUSED


def _content(json: Any, data: bytes | str | Mapping[str, str] | None) -> tuple[bytes, dict[str, str]]:
    if json is not None:
        return json_format.dumps(json, ensure_ascii=False).encode(), {"Content-Type": "application/json"}
    if isinstance(data, Mapping):
        return urlencode(data).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return (data.encode() if isinstance(data, str) else data or b""), {}


def _exchange(target: Url, body: bytes, headers: dict[str, str], limits: Limits, watch: Watch) -> Outcome:
    try:
        addresses = _allowed(target, limits, watch)
        if not addresses:
            reason = "The URL leads to a private address, which is not allowed here."
            return Outcome(AttemptOutcome.DEAD, error=reason)
        response = _first_to_answer(addresses, target, body, headers, watch)
        content, is_whole = _beginning(response)
        if (watch.has_expired or not is_whole) and classified(response.status) is AttemptOutcome.ACCEPTED:
            raise ProtocolError(f"the answer {response.status} was cut off")
        return _outcome(response, content, target, limits)
    except (HTTPError, OSError) as error:
        if watch.has_expired or isinstance(error, ReadTimeoutError):
            return Outcome(AttemptOutcome.RETRY, error=f"No answer within {limits.timeout_seconds:g} s.")
        return Outcome(AttemptOutcome.RETRY, error=_without_secrets(f"{type(error).__name__}: {error}", target))
    except (ValueError, TypeError) as error:  # such as a line break in a header
        return Outcome(AttemptOutcome.DEAD, error=f"This cannot be sent: {type(error).__name__}.")


def _allowed(target: Url, limits: Limits, watch: Watch) -> list[str]:
    found = resolve((target.host or "").strip("[]"), _port(target), seconds=watch.remaining())
    return [a for a in found if may_be_called(a, allows_private=limits.allows_private)][:MAX_ADDRESSES]


def _port(target: Url) -> int:
    return target.port or (443 if target.scheme == "https" else 80)


def _first_to_answer(
    addresses: list[str], target: Url, body: bytes, headers: dict[str, str], watch: Watch
) -> BaseHTTPResponse:
    """The answer of the first address that accepts a connection. Each address gets a share of the time."""
    for left, address in zip(range(len(addresses), 1, -1), addresses, strict=False):
        with suppress(NewConnectionError, ConnectTimeoutError):
            return _ask(address, target, body, headers, watch, connect_seconds=watch.remaining() / left)
    return _ask(addresses[-1], target, body, headers, watch, connect_seconds=watch.remaining())


def _ask(
    address: str, target: Url, body: bytes, headers: dict[str, str], watch: Watch, *, connect_seconds: float
) -> BaseHTTPResponse:
    """Post to exactly this address. The certificate must match the host's name."""
    name = (target.host or "").strip("[]")
    tls = {"server_hostname": name} if target.scheme == "https" else {}
    pool = pools().connection_from_host(address, _port(target), target.scheme, pool_kwargs=tls)
    return pool.urlopen(
        "POST",
        target.request_uri,
        body=body,
        headers=headers,
        retries=False,
        redirect=False,
        assert_same_host=False,
        timeout=Timeout(connect=connect_seconds, read=watch.remaining()),
        preload_content=False,
        decode_content=False,
    )


def _beginning(response: BaseHTTPResponse) -> tuple[bytes, bool]:
    """The start of the body, and whether the body is complete.

    A server whose answer is cut off may have failed: a duplicate is better than no message. An answer without a length
    ends with its connection.
    """
    content, is_whole = b"", False
    with suppress(HTTPError, OSError):
        while part := response.read(MAX_ANSWER_BYTES - len(content), decode_content=False):
            content += part
        is_whole = True  # reading at the end raises if the stated length was not reached
    if not response.closed:
        response.close()  # do not wait for the rest, and do not reuse the connection
    return content, is_whole


def _outcome(response: BaseHTTPResponse, content: bytes, target: Url, limits: Limits) -> Outcome:
    status, text = response.status, content.decode("utf-8", "replace").replace("\x00", "")
    result = classified(status)
    is_accepted = result is AttemptOutcome.ACCEPTED
    said = f"{ANSWERED} {status}: {' '.join(text.split())[:ERROR_EXCERPT]}".rstrip(": ")
    return Outcome(
        result,
        status_code=status,
        provider_id=_provider_id(response, text, limits) if is_accepted else None,
        error=None if is_accepted else _without_secrets(said, target),
        retry_after_seconds=retry_after(response.headers) if result is AttemptOutcome.RETRY else None,
        is_address_gone=status in limits.gone,
        answer=text[: limits.answer_characters] if limits.answer_characters else None,
    )


def classified(status: int) -> AttemptOutcome:
    """The outcome for a status code."""
    if 200 <= status < 300:
        return AttemptOutcome.ACCEPTED
    return AttemptOutcome.RETRY if status in TEMPORARY or status >= SERVER_ERROR else AttemptOutcome.DEAD


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After. A date (RFC 9110, section 10.2.3) is read by the sender's clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(value)
        seconds = (until - _date(headers)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _date(headers: Mapping[str, str]) -> datetime:
    """When the answer was sent, by its sender's clock; now, if it has no date."""
    with suppress(ValueError, TypeError):
        sent_at = parsedate_to_datetime(headers.get("Date", ""))
        if sent_at.tzinfo is not None:
            return sent_at
    return utcnow()


def _provider_id(response: BaseHTTPResponse, text: str, limits: Limits) -> str | None:
    if limits.id_header is not None:
        return (response.headers.get(limits.id_header) or "")[:MAX_ID] or None
    if limits.id_field is None:
        return None
    try:
        answer = json_format.loads(text)
    except (ValueError, RecursionError):
        return None
    found = answer.get(limits.id_field) if isinstance(answer, dict) else None
    return str(found)[:MAX_ID] if isinstance(found, str | int) else None


def _without_secrets(text: str, target: Url) -> str:
    """The error without paths and queries: in many URLs they are the secret."""
    for part in (target.request_uri, target.path, target.query):
        if part and part != "/":
            text = text.replace(part, "…")
    return text[:MAX_ERROR]
