"""Path and query parameters by name and annotation, on a live server and on a `TestClient`.

The endpoints are in `tests.project.parameters_api`.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.conformance.sites import Rejected, Site

GOOD = [
    ("str", "plain", "'plain'"),
    ("str", "with space & ünïcödé/✓", "'with space & ünïcödé/✓'"),
    ("str", "null", "'null'"),
    ("int", "42", "42"),
    ("int", "-1", "-1"),
    ("int", "12345678901234567890", "12345678901234567890"),
    ("float", "1.5", "1.5"),
    ("float", "-2e3", "-2000.0"),
    ("float", "3", "3.0"),
    ("bool", "true", "True"),
    ("bool", "1", "True"),
    ("bool", "false", "False"),
    ("bool", "0", "False"),
    (
        "uuid",
        "6f8c1c1e-7a6b-4a53-9d0a-0d9d3f3b8f11",
        "UUID('6f8c1c1e-7a6b-4a53-9d0a-0d9d3f3b8f11')",
    ),
    ("date", "2026-02-28", "datetime.date(2026, 2, 28)"),
    ("datetime", "2026-02-28T12:30:00", "datetime.datetime(2026, 2, 28, 12, 30)"),
    (
        "datetime",
        "2026-02-28T12:30:00Z",
        "datetime.datetime(2026, 2, 28, 12, 30, tzinfo=datetime.timezone.utc)",
    ),
    (
        "datetime",
        "2026-02-28T12:30:00+02:00",
        "datetime.datetime(2026, 2, 28, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(seconds=7200)))",
    ),
    ("decimal", "1.10", "Decimal('1.10')"),
    ("decimal", "0.1000000000000000000001", "Decimal('0.1000000000000000000001')"),
    ("enum", "red", "<Colour.RED: 'red'>"),
    ("int-enum", "2", "<Priority.HIGH: 2>"),
    ("literal", "desc", "'desc'"),
    ("int-literal", "2", "2"),
    ("optional-int", "42", "42"),
    ("optional-str", "text", "'text'"),
    ("optional-str", "null", "'null'"),
    ("optional-str", "None", "'None'"),
    ("optional-date", "2026-02-28", "datetime.date(2026, 2, 28)"),
]

BAD = [
    ("int", "one"),
    ("int", "1.5"),
    ("int", "1.0"),
    ("int", "0x10"),
    ("int", "1 2"),
    ("int", "9" * 5000),
    ("float", "a lot"),
    ("float", "nan"),
    ("float", "inf"),
    ("bool", "yes"),
    ("bool", "2"),
    ("uuid", "6f8c1c1e"),
    ("date", "2026-02-30"),
    ("date", "28.02.2026"),
    ("datetime", "today"),
    ("decimal", "1,10"),
    ("decimal", "NaN"),
    ("enum", "green"),
    ("enum", "RED"),
    ("int-enum", "3"),
    ("int-enum", "LOW"),
    ("literal", "sideways"),
    ("int-literal", "3"),
    ("optional-int", "one"),
    ("optional-int", "null"),
    ("optional-date", "soon"),
]


def refusal_of(site: Site, path: str, **headers: str) -> Rejected:
    """Connect and return the refusal."""
    with pytest.raises(Rejected) as refusal:
        site.connect(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return refusal.value


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_good_value_in_the_query(site: Site, kind: str, text: str, value: str) -> None:
    websocket = site.connect(f"/parameters/query/{kind}?value={quote(text, safe='')}")
    assert websocket.receive() == value


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_good_value_in_the_path(site: Site, kind: str, text: str, value: str) -> None:
    websocket = site.connect(f"/parameters/path/{kind}/{quote(text, safe='')}")
    assert websocket.receive() == value


@pytest.mark.parametrize(("kind", "text"), BAD, ids=[f"{kind}-{text[:12]}" for kind, text in BAD])
@pytest.mark.parametrize("source", ["query", "path"])
def test_bad_value(site: Site, source: str, kind: str, text: str) -> None:
    separator = "?value=" if source == "query" else "/"
    refusal = refusal_of(site, f"/parameters/{source}/{kind}{separator}{quote(text, safe='')}")
    assert refusal.status == 422
    (error,) = refusal.json()["errors"]
    assert (error["parameter"], error["in"]) == ("value", source)
    assert error["message"]
    assert "Traceback" not in site.output()


@pytest.mark.parametrize("kind", ["str", "int", "uuid", "enum", "literal", "optional-int"])
def test_missing_value(site: Site, kind: str) -> None:
    refusal = refusal_of(site, f"/parameters/query/{kind}?other=1")
    assert refusal.status == 422
    assert refusal.json()["errors"] == [{"parameter": "value", "in": "query", "message": "Missing"}]


@pytest.mark.parametrize("kind", ["int", "bool", "uuid", "date", "enum"])
def test_empty_value_is_no_value(site: Site, kind: str) -> None:
    assert refusal_of(site, f"/parameters/query/{kind}?value=").status == 422


def test_empty_text(site: Site) -> None:
    assert site.connect("/parameters/query/str?value=").receive() == "''"


def test_plus_is_a_space_in_the_query_only(site: Site) -> None:
    assert site.connect("/parameters/query/str?value=a+b").receive() == "'a b'"
    assert site.connect("/parameters/path/str/a+b").receive() == "'a+b'"


def test_the_last_of_a_repeated_key_counts(site: Site) -> None:
    assert site.connect("/parameters/query/int?value=1&value=2").receive() == "2"


def test_defaults(site: Site) -> None:
    websocket = site.connect("/parameters/defaults")
    assert websocket.receive() == "7, 'none', None, <Colour.BLUE: 'blue'>, None"


def test_defaults_that_are_given(site: Site) -> None:
    query = "number=1&text=some&since=2026-01-01&colour=red&tags=a&tags=b"
    websocket = site.connect(f"/parameters/defaults?{query}")
    expected = "1, 'some', datetime.date(2026, 1, 1), <Colour.RED: 'red'>, ['a', 'b']"
    assert websocket.receive() == expected


def test_a_default_does_not_excuse_a_bad_value(site: Site) -> None:
    refusal = refusal_of(site, "/parameters/defaults?number=one&since=never&colour=green")
    assert [error["parameter"] for error in refusal.json()["errors"]] == ["number", "since", "colour"]


def test_list(site: Site) -> None:
    assert site.connect("/parameters/list?numbers=1").receive() == "[1]"
    assert site.connect("/parameters/list?numbers=3&x=0&numbers=1&numbers=2").receive() == "[3, 1, 2]"


def test_list_with_a_default(site: Site) -> None:
    assert site.connect("/parameters/list/of-enum").receive() == "[]"
    websocket = site.connect("/parameters/list/of-enum?colours=red&colours=blue")
    assert websocket.receive() == "[<Colour.RED: 'red'>, <Colour.BLUE: 'blue'>]"


@pytest.mark.parametrize("query", ["", "?numbers=1&numbers=two"])
def test_bad_list(site: Site, query: str) -> None:
    refusal = refusal_of(site, f"/parameters/list{query}")
    assert refusal.status == 422
    (error,) = refusal.json()["errors"]
    assert (error["parameter"], error["in"]) == ("numbers", "query")


@pytest.mark.parametrize(
    ("sent", "rest"), [("a", "a"), ("a/b/c", "a/b/c"), ("a//b/", "a//b/"), ("caf%C3%A9/x%20y", "café/x y")]
)
def test_rest_of_the_path(site: Site, sent: str, rest: str) -> None:
    assert site.connect(f"/parameters/rest/{sent}").receive() == repr(rest)


def test_several_parameters(site: Site) -> None:
    assert site.connect("/parameters/two/a/2?third=3").receive() == "'a', 2, 3"
    refusal = refusal_of(site, "/parameters/two/a/b")
    assert [(error["parameter"], error["in"]) for error in refusal.json()["errors"]] == [
        ("second", "path"),
        ("third", "query"),
    ]


def test_a_fixed_segment_wins(site: Site) -> None:
    assert site.connect("/parameters/two/fixed/b").receive() == "'fixed', 'b'"


@pytest.mark.parametrize(
    "path",
    [
        "/parameters",
        "/parameters/unknown",
        "/parameters/rest/",
        "/parameters/path/int/",
        "/parameters/path/int/1/2",
        "/parameters/two/a",
        "/parameters/path/str/%FF",
        "//parameters/defaults",
    ],
)
def test_unknown_path(site: Site, path: str) -> None:
    refusal = refusal_of(site, path)
    assert (refusal.status, refusal.json()) == (404, {"detail": "Not Found"})


def test_header_fields_and_cookies(site: Site) -> None:
    headers = {"User-Agent": "test", "X-Version": "3", "Cookie": "a=b; site-theme=dark"}
    websocket = site.connect("/parameters/sources/5?p=2", headers=headers)
    assert websocket.receive() == "5, 2, 'test', 3, 'dark'"


def test_bad_parameters_of_every_source_are_named(site: Site) -> None:
    refusal = refusal_of(
        site,
        "/parameters/sources/0?p=10",
        User_Agent="a name of more than twenty letters",
        X_Version="new",
        Cookie="site-theme=pink",
    )
    assert refusal.status == 422
    assert refusal.json() == {
        "detail": "Invalid parameters.",
        "errors": [
            {"parameter": "room", "in": "path", "message": "Expected `int` >= 1"},
            {"parameter": "p", "in": "query", "message": "Expected `int` <= 9"},
            {"parameter": "user-agent", "in": "header", "message": "Expected `str` of length <= 20"},
            {"parameter": "x-version", "in": "header", "message": "Expected `int`, got `str`"},
            {"parameter": "site-theme", "in": "cookie", "message": "Invalid enum value 'pink'"},
        ],
    }


def test_groups(site: Site) -> None:
    path = "/parameters/groups?q=abc&colours=red&colours=blue&since=2026-01-01&other=1"
    websocket = site.connect(path, headers={"X-Version": "3"})
    assert websocket.receive() == (
        "Filters(search='abc', colours=[<Colour.RED: 'red'>, <Colour.BLUE: 'blue'>], "
        "since=datetime.date(2026, 1, 1), limit=10), Client(x_version=3, x_platform='unknown')"
    )


def test_every_bad_member_of_a_group_is_named(site: Site) -> None:
    refusal = refusal_of(site, "/parameters/groups?q=a&colours=green&since=soon&limit=0")
    assert refusal.status == 422
    assert [(error["parameter"], error["in"]) for error in refusal.json()["errors"]] == [
        ("q", "query"),
        ("colours", "query"),
        ("since", "query"),
        ("limit", "query"),
        ("x-version", "header"),
    ]
