"""How an operator says by which way clients may reach the service, and what is refused at the start."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.settings.network import FORMER_NAME
from app.utils import startup

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "8f0c2f3d5e6a47b9918273645546372819abcdef0123456789abcdef01234567",
    "DATABASE_URL": "postgresql://service@127.0.0.1/service",
    "ELASTIC_WEBHOOK_TOKEN": "a webhook's token",
    "SMTP_HOST": "smtp.example",
    "PUBLIC_URL": "https://pager.example.com",
    "TRUSTED_PROXIES": "10.0.0.5",
}
Maker = Callable[..., Settings]
NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests, and no .env."""
    for name in (*NAMES, FORMER_NAME):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes the settings of environment variables."""

    def make(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings()

    return make


def start(settings: Settings) -> None:
    """What a process that serves does first."""
    settings.check()
    settings.check_serving()


def refusal(settings: Settings) -> str:
    """Why it does not start."""
    with pytest.raises(ConfigurationError) as caught:
        start(settings)
    return str(caught.value)


def events(settings: Settings) -> list[str]:
    with capture_logs() as logs:
        startup.warn_server(settings)
    return [line["event"] for line in logs]


def test_development_is_open_and_trusts_the_proxy_on_this_machine(settings_of: Maker) -> None:
    settings = settings_of()
    start(settings)
    assert (settings.force_https, settings.proxies, settings.served_hosts[-1]) == (False, ["127.0.0.1"], "*")
    assert events(settings) == []


def test_production_forces_https_and_answers_for_its_own_name(settings_of: Maker) -> None:
    settings = settings_of(**PRODUCTION)
    start(settings)
    assert (settings.force_https, settings.proxies) == (True, ["10.0.0.5"])
    assert settings.served_hosts == ["pager.example.com"]
    assert events(settings) == []


def test_production_without_a_proxy_says_in_one_sentence_what_to_do(settings_of: Maker) -> None:
    told = refusal(settings_of(**{**PRODUCTION, "TRUSTED_PROXIES": ""}))
    assert len(told.splitlines()) == 2
    assert "TRUSTED_PROXIES is missing" in told
    assert "or set FORCE_HTTPS=false" in told


def test_production_may_do_without_https_if_the_operator_says_so(settings_of: Maker) -> None:
    start(settings_of(**{**PRODUCTION, "TRUSTED_PROXIES": "", "FORCE_HTTPS": "false"}))


def test_the_former_name_of_the_proxies_still_counts(settings_of: Maker) -> None:
    settings = settings_of(**{**PRODUCTION, "TRUSTED_PROXIES": "", FORMER_NAME: "10.0.0.5, 10.1.0.0/16"})
    start(settings)
    assert settings.proxies == ["10.0.0.5", "10.1.0.0/16"]
    assert events(settings) == ["setting_renamed"]


def test_the_new_name_of_the_proxies_beats_the_former_one(settings_of: Maker) -> None:
    settings = settings_of(**{**PRODUCTION, FORMER_NAME: "10.9.9.9"})
    start(settings)
    assert settings.proxies == ["10.0.0.5"]


def test_trusting_everybody_is_allowed_and_told(settings_of: Maker) -> None:
    settings = settings_of(**{**PRODUCTION, "TRUSTED_PROXIES": "*,10.0.0.5"})
    start(settings)
    assert settings.proxies == ["*"]
    assert events(settings) == ["every_proxy_trusted"]


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", FORMER_NAME])
@pytest.mark.parametrize("strange", ["nginx", "10.0.0.5/8", "10.0.0.300", "10.0.0.5:80"])
def test_a_proxy_that_is_no_address_is_refused_by_its_name(settings_of: Maker, name: str, strange: str) -> None:
    told = refusal(settings_of(**{**PRODUCTION, "TRUSTED_PROXIES": "", name: f"10.0.0.5,{strange}"}))
    assert f'{name} names "{strange}", which is no address and no network' in told


@pytest.mark.parametrize("proxies", ["::1", "fd00::/8", "10.0.0.0/8,192.168.0.1", '["10.0.0.5", "10.0.0.6"]'])
def test_proxies_are_addresses_and_networks(settings_of: Maker, proxies: str) -> None:
    start(settings_of(**{**PRODUCTION, "TRUSTED_PROXIES": proxies}))


@pytest.mark.parametrize("url", ["", "http://pager.example.com", "HTTP://pager.example.com"])
def test_production_needs_a_public_url_with_https(settings_of: Maker, url: str) -> None:
    told = refusal(settings_of(**{**PRODUCTION, "PUBLIC_URL": url}))
    assert len(told.splitlines()) == 2
    assert "PUBLIC_URL is missing or plain http" in told
    start(settings_of(**{**PRODUCTION, "PUBLIC_URL": url, "PUBLIC_URL_ALLOW_HTTP": "true"}))


def test_production_does_not_send_mail_in_plain_text_by_itself(settings_of: Maker) -> None:
    told = refusal(settings_of(**{**PRODUCTION, "SMTP_TLS": "none"}))
    assert len(told.splitlines()) == 2
    assert "SMTP_TLS is none" in told
    start(settings_of(**{**PRODUCTION, "SMTP_TLS": "none", "SMTP_ALLOW_PLAINTEXT": "true"}))


def test_a_mail_server_that_is_not_set_need_not_be_safe(settings_of: Maker) -> None:
    start(settings_of(**{**PRODUCTION, "SMTP_HOST": "", "SMTP_TLS": "none"}))


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        ("Alerts.Internal", "alerts.internal"),
        ("*.Example.com", "*.example.com"),
        ("[::1]", "::1"),
        ("10.0.0.7", "10.0.0.7"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_more_hosts_are_allowed_as_clients_spell_them(settings_of: Maker, given: str, spelled: str) -> None:
    settings = settings_of(**{**PRODUCTION, "ALLOWED_HOSTS": given})
    start(settings)
    assert settings.served_hosts == ["pager.example.com", spelled]


@pytest.mark.parametrize("strange", ["https://x.example", "x.example:8000", "x y", "x.*.example", "::zz", ".example"])
def test_what_is_no_host_name_is_refused(settings_of: Maker, strange: str) -> None:
    told = refusal(settings_of(**{**PRODUCTION, "ALLOWED_HOSTS": strange}))
    assert f'ALLOWED_HOSTS names "{strange}", which is no host name' in told
