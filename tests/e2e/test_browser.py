"""The documentation and the pages for people in a real browser, under the policies that they are served with."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

from app.core.config import Settings
from app.core.page_links import PageLink, PageLinks
from tests.e2e.conftest import LiveServer

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

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
WRAPPED = """
    [...document.querySelectorAll("button, label, .label, time, summary, h2")].filter((element) => {
        const range = document.createRange();
        range.selectNodeContents(element);
        const boxes = [...range.getClientRects()];
        return boxes.some((box) => box.top >= boxes[0].bottom - 1);
    }).map((element) => element.textContent)
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
def browser(browser_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS, timeout=DEADLINE_MS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer) -> Visit:
    return Visit(browser.new_page(), live_server.url)


@pytest.fixture
def phone(browser: Browser, live_server: LiveServer) -> Callable[..., Visit]:
    """A small phone in Kathmandu, with JavaScript or without."""

    def run(*, has_script: bool = True) -> Visit:
        context = browser.new_context(
            viewport={"width": 320, "height": 640}, timezone_id="Asia/Kathmandu", java_script_enabled=has_script
        )
        return Visit(context.new_page(), live_server.url)

    return run


@pytest.fixture
def link(live_server: LiveServer) -> str:
    """The path of the page about an incident of a service with a long name."""
    assert requests.post(f"{live_server.url}/v1/auth/signup", json=ACCOUNT, timeout=60).status_code == 201
    login = {"username": ACCOUNT["email"], "password": ACCOUNT["password"]}
    token = requests.post(f"{live_server.url}/v1/auth/login/access-token", json=login, timeout=60).json()
    body = {"title": "Disk full", "severity": "critical", "service": "payments-gateway-" * 5, "description": "97 %"}
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    incident = requests.post(f"{live_server.url}/v1/incidents", json=body, headers=headers, timeout=60).json()
    links = PageLinks(Settings(_env_file=None, data_dir=Path(live_server.env["DATA_DIR"])))
    url = links.url(PageLink(incident["id"], incident["created_by"]), at=datetime.now(UTC))
    return f"/p/{url.rpartition('/')[2]}"


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


def test_swagger_ui_keeps_its_login_over_a_reload(visit: Visit) -> None:
    assert requests.post(f"{visit.url}/v1/auth/signup", json=ACCOUNT, timeout=60).status_code == 201
    page = visit.page
    visit.open("/docs")
    page.get_by_role("button", name="Authorize", exact=True).click()
    form = page.locator(".auth-container").filter(has_text="OAuth2PasswordBearer")
    form.get_by_label("username:").fill(ACCOUNT["email"])
    form.get_by_label("password:", exact=True).fill(ACCOUNT["password"])
    form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(form.get_by_role("heading", name="Authorized")).to_be_visible(timeout=DEADLINE_MS)
    page.reload()
    operation = page.locator("#operations-users-read_me")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Execute").click()
    status = operation.locator(".live-responses-table tbody .response-col_status")
    expect(status).to_have_text("200", timeout=DEADLINE_MS)


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


def test_a_page_shows_times_in_the_zone_of_the_phone(phone: Callable[..., Visit], link: str) -> None:
    visit = phone()
    visit.open(link)
    opened = visit.page.locator(".facts time")
    expect(opened).to_contain_text("GMT+5:45", timeout=20_000)  # before the script looks at the clock again
    expect(opened).to_contain_text("just now")
    assert visit.policy["script-src"] == "'self'"
    assert "unsafe" not in str(visit.policy)
    assert visit.complaints() == []


def test_a_page_shows_utc_and_works_without_javascript(phone: Callable[..., Visit], link: str) -> None:
    page = phone(has_script=False).page
    page.goto(f"{phone().url}{link}")
    expect(page.locator(".facts time")).to_contain_text("UTC")
    page.get_by_label("Comment").fill("On my way.")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status")).to_have_text("Acknowledged. Paging has stopped.")
    expect(page.locator("li").first).to_contain_text("On my way.")
    page.get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("status")).to_have_text("Resolved. Paging has stopped.")


def test_no_label_of_a_page_wraps_on_a_small_phone(phone: Callable[..., Visit], link: str) -> None:
    visit = phone()
    visit.open(link)
    assert visit.page.evaluate(WRAPPED) == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320  # nothing is wider than the screen
