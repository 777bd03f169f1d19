"""Parameters of opening handshakes: from the signature of a handler to its arguments."""

from django_bolt.endpoints.parameters.fields import Group, Parameter
from django_bolt.endpoints.parameters.plan import CallPlan, DependencyPlan, ParameterPlan
from django_bolt.endpoints.parameters.planning import plan_parameters
from django_bolt.endpoints.parameters.signatures import locate
from django_bolt.endpoints.parameters.sources import Cookie, Header, Path, Query

__all__ = [
    "CallPlan",
    "Cookie",
    "DependencyPlan",
    "Group",
    "Header",
    "Parameter",
    "ParameterPlan",
    "Path",
    "Query",
    "locate",
    "plan_parameters",
]
