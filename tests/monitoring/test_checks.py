"""A bad setting stops the start and names itself."""

from pytest_django import Settings

from monitoring import checks


def test_a_trusted_proxy_is_an_address_or_a_network(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "2001:db8::1"]
    assert checks.trusted_proxies() == []
    settings.TRUSTED_PROXIES = ["proxy.internal"]
    assert [error.msg for error in checks.trusted_proxies()] == [
        "TRUSTED_PROXIES: 'proxy.internal' does not appear to be an IPv4 or IPv6 network"
    ]


def test_a_warning_comes_no_later_than_critical(settings: Settings) -> None:
    settings.HEALTH_WARNING_PERCENT, settings.HEALTH_CRITICAL_PERCENT = 10, 10
    assert checks.health_thresholds() == []
    settings.HEALTH_WARNING_PERCENT = 11
    assert [error.id for error in checks.health_thresholds()] == ["monitoring.E002"]
