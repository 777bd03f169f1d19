"""The contract of brokers as tests, for those of the package and for those that others write.

A broker keeps it if these tests pass::

    class TestNatsBroker(SharedBrokerContract, PatternContract):
        @pytest.fixture(scope="class")
        @classmethod
        def url(cls):
            return "mysite.brokers.NatsBroker://127.0.0.1:4222"

They need pytest and ``DJANGO_SETTINGS_MODULE`` in the environment, as with pytest-django.
"""

import pytest

# Before they are imported: a failing test then shows the values that it compared.
for _name in ("alone", "patterns", "publishers", "shared"):
    pytest.register_assert_rewrite(f"{__name__}.{_name}")

from django_bolt.testing.broker_contract.alone import BrokerContract  # noqa: E402
from django_bolt.testing.broker_contract.patterns import PatternContract  # noqa: E402
from django_bolt.testing.broker_contract.process import OtherProcess  # noqa: E402
from django_bolt.testing.broker_contract.shared import SharedBrokerContract  # noqa: E402

__all__ = ["BrokerContract", "OtherProcess", "PatternContract", "SharedBrokerContract"]
