"""The documentation in a real browser, under the policy that the pages are served with."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import ConsoleMessage, Page, Request, Response, expect, sync_playwright

from tests.e2e.conftest import LiveServer

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEADLINE_MS = 120_000
STRICT_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
}
REPORT_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.violatedDirective} forbids ${event.blockedURI}`));
"""
ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}


@dataclass
class Visit:
    """A page, and whatever went wrong on it."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)
    policy: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(DEADLINE_MS)
        self.page.add_init_script(REPORT_VIOLATIONS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))
        self.page.on("request", self._on_request)
        self.page.on("requestfailed", lambda request: self.wrong.append(f"failed: {request.url} {request.failure}"))
        self.page.on("response", self._on_response)

    def open(self, path: str) -> None:
        answer = self.page.goto(f"{self.url}{path}")
        assert answer is not None
        directives = answer.headers["content-security-policy"].split(";")
        self.policy = {name: value for name, _, value in (directive.strip().partition(" ") for directive in directives)}

    def complaints(self) -> list[str]:
        """Everything that went wrong up to now."""
        return self.wrong + [f"violation: {told}" for told in self.page.evaluate("window.violations")]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url.removeprefix("blob:"))
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.wrong.append(f"another host: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status}: {response.url}")


@pytest.fixture(scope="module")
def browser_path() -> str:
    """Where Chromium is. Without one the tests are skipped, but not where they are meant to count."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and "CI" in os.environ:
        pytest.fail("CI is set and no Chromium is installed: apt-get install chromium")
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    return found


@pytest.fixture
def visit(browser_path: str, live_server: LiveServer) -> Iterator[Visit]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS, timeout=DEADLINE_MS)
        yield Visit(browser.new_page(), live_server.url)
        browser.close()


def test_swagger_ui_logs_in_and_opens_an_incident_under_a_strict_policy(visit: Visit) -> None:
    assert requests.post(f"{visit.url}/v1/auth/signup", json=ACCOUNT, timeout=60).status_code == 201
    page = visit.page
    visit.open("/docs")
    assert visit.policy.items() >= STRICT_POLICY.items()
    page.get_by_role("button", name="Authorize", exact=True).click()
    form = page.locator(".auth-container").filter(has_text="OAuth2PasswordBearer")
    form.get_by_label("username:").fill(ACCOUNT["email"])
    form.get_by_label("password:", exact=True).fill(ACCOUNT["password"])
    form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(form.get_by_role("heading", name="Authorized")).to_be_visible(timeout=DEADLINE_MS)
    form.get_by_role("button", name="Close").click()

    operation = page.locator("#operations-incidents-create_incident")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table tbody")
    expect(answer.locator(".response-col_status")).to_have_text("201", timeout=DEADLINE_MS)
    expect(answer).to_contain_text('"status": "open"', timeout=DEADLINE_MS)
    assert visit.complaints() == []


def test_redoc_shows_the_reference_and_searches_it(visit: Visit) -> None:
    page = visit.page
    visit.open("/redoc")
    expect(page.get_by_role("heading", name="Acknowledge an incident")).to_be_attached(timeout=DEADLINE_MS)
    page.get_by_placeholder("Search...").press_sequentially("snooze")
    found = page.locator('[data-role="search:results"]')
    expect(found.get_by_text("Snooze an incident")).to_be_visible(timeout=DEADLINE_MS)
    expect(page.get_by_alt_text("redocly logo")).to_be_visible(timeout=DEADLINE_MS)
    assert visit.policy["script-src"] == "'self'"
    assert visit.complaints() == []


def test_the_watch_itself_sees_what_the_policy_forbids(visit: Visit) -> None:
    visit.open("/docs")
    visit.page.evaluate("document.body.appendChild(document.createElement('script')).textContent = 'alert(1)'")
    visit.page.evaluate("fetch('http://127.0.0.2/').catch(() => null)")
    with visit.page.expect_response("**/nothing-here"):
        visit.page.evaluate("fetch('/nothing-here').catch(() => null)")
    visit.page.wait_for_function("window.violations.length >= 2")
    complaints = visit.complaints()
    assert any("script-src" in complaint for complaint in complaints)
    assert any("connect-src" in complaint for complaint in complaints)
    assert any("/nothing-here" in complaint for complaint in complaints)
