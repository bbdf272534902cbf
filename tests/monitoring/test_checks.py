"""System checks of settings: an invalid setting is reported by name."""

from pytest_django import Settings

from monitoring import checks


def test_a_trusted_proxy_is_an_address_or_a_network(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "2001:db8::1"]
    assert checks.trusted_proxies() == []
    settings.TRUSTED_PROXIES = ["proxy.internal"]
    assert [error.msg for error in checks.trusted_proxies()] == [
        "TRUSTED_PROXIES: 'proxy.internal' does not appear to be an IPv4 or IPv6 network"
    ]


def test_the_warning_threshold_is_at_most_the_critical_one(settings: Settings) -> None:
    settings.HEALTH_WARNING_PERCENT, settings.HEALTH_CRITICAL_PERCENT = 10, 10
    assert checks.health_thresholds() == []
    settings.HEALTH_WARNING_PERCENT = 11
    assert [error.id for error in checks.health_thresholds()] == ["monitoring.E002"]
