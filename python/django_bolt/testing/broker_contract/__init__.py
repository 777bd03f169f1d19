"""The contract of brokers as tests, for those of the package and for those that others write.

A broker keeps it if these tests pass::

    class TestNatsBroker(SharedBrokerContract, PatternContract):
        @pytest.fixture(scope="class")
        @classmethod
        def url(cls):
            return "mysite.brokers.NatsBroker://127.0.0.1:4222"

They need pytest and ``DJANGO_SETTINGS_MODULE`` in the environment, as with pytest-django.
"""

from django_bolt.testing.broker_contract.alone import BrokerContract
from django_bolt.testing.broker_contract.patterns import PatternContract
from django_bolt.testing.broker_contract.process import OtherProcess
from django_bolt.testing.broker_contract.shared import SharedBrokerContract

__all__ = ["BrokerContract", "OtherProcess", "PatternContract", "SharedBrokerContract"]
