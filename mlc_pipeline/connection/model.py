"""The closed model of a connection: what a customer's `connection.yaml` may say.

A connection is one SYSPRO company and one Cin7 Core account. Secrets are not in it: they
are sealed in the vault under the names of `Connection.secret_names`.

What must not come in: reading files, the network, Dagster.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Literal, NoReturn, Self
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from mlc_pipeline.connection.cron import cron_problem
from mlc_pipeline.connection.errors import GlCodeError, Place, suggestion
from mlc_pipeline.syspro.entities import ENTITIES, Entity

_EARLIEST, _LATEST = dt.date(1990, 1, 1), dt.date(2100, 12, 31)

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts that are this machine: a stand-in may be reached without TLS there."""


def _refusal(message: str) -> PydanticCustomError:
    """Return the error of a value; the message is a context value as it may hold braces."""
    return PydanticCustomError("connection", "{message}", {"message": message})


def _refuse_at(title: str, problems: list[tuple[Place, str]]) -> None:
    """Raise one ValidationError that names the exact place of every problem, if any."""
    if problems:
        raise ValidationError.from_exception_data(
            title,
            [
                InitErrorDetails(type=_refusal(message), loc=place, input=None)
                for place, message in problems
            ],
            hide_input=True,
        )


def _tidy(text: str) -> str:
    if not text.strip():
        raise _refusal("is blank; give a text or remove the line")
    if text != text.strip():
        raise _refusal(f"found {text!r}, expected no blanks at either end; remove them")
    return text


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Return a validator of texts that match a pattern, described in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _refusal(f"found {text!r}, expected {expected}")
        return text

    return check


def _split_url(text: str) -> SplitResult:
    """Return the parts of a URL that may be used; never shows one that may hold a secret."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise _refusal("is not a URL: its host or port cannot be read") from None
    if "@" in parts.netloc:
        raise _refusal(
            "holds a user or password; remove them from the URL and run mlc secret set"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise _refusal("is not a URL; expected https://host/path")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise _refusal(
            f"found plain http to {parts.hostname}, expected https: secrets travel in the URL "
            "or its headers, so TLS is needed; plain http is for this machine only"
        )
    return parts


def _service_url(text: str) -> str:
    parts = _split_url(text)
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise _refusal(
            "has a query or fragment ('?' or '#'); expected the bare address, the product "
            "adds the rest"
        )
    return text.rstrip("/")


def _logon_path(text: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9_./-]*", text):
        # What was found is not shown: credentials follow the path in the call itself.
        raise _refusal("expected a path such as /Logon, without a query")
    return text


def _document_url(text: str) -> str:
    _split_url(text)
    if text.count("{id}") != 1:
        raise _refusal("expected {id} once, where the id of the Cin7 document goes")
    return text


def _cron(text: str) -> str:
    problem = cron_problem(text)
    if problem:
        raise _refusal(f"found {text!r}: {problem}; example: */30 6-20 * * *")
    return text


def _time_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = suggestion(text, available_timezones())
        hint = near if near.startswith("did") else "for example Europe/London"
        raise _refusal(f"found {text!r}, expected an IANA time zone; {hint}") from None
    return text


def _not_a_date(value: object) -> NoReturn:
    raise _refusal(f"found {value!s}, expected a date of the calendar, written YYYY-MM-DD")


def _date_only(value: object) -> object:
    """Refuse what pydantic would read as a date but a person did not write as one."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else _not_a_date(value)
    except ValueError:
        return _not_a_date(value)


def _business_date(value: dt.date) -> dt.date:
    # A slip of the pen makes millions of partitions, or days that no clock can tell.
    if not _EARLIEST <= value <= _LATEST:
        raise _refusal(f"found {value}, expected a day from {_EARLIEST} to {_LATEST}")
    return value


def _account_pattern(text: str) -> str:
    rest = text.replace("{account}", "", 1).replace("{cost_centre}", "", 1)
    if text and (len(text) - len(rest) != len("{account}{cost_centre}") or set(rest) & {*"{}"}):
        raise _refusal(
            f"found {text!r}, expected {{account}} and {{cost_centre}} once each, such as "
            "{account}-{cost_centre}"
        )
    return text


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refusal(f"found {', '.join(twice)} more than once; remove the repetition")
    return names


def _empty_as_defaults(value: object) -> object:
    """Take a section whose every line is commented out for one that says nothing."""
    return {} if value is None else value


Text = Annotated[str, AfterValidator(_tidy)]
ServiceUrl = Annotated[Text, AfterValidator(_service_url)]
Identifier = Annotated[
    Text,
    # It becomes part of a request: nothing that could end a name may pass.
    AfterValidator(_matching(r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits and _ only")),
]
IsoCurrency = Annotated[
    Text,
    AfterValidator(_matching(r"[A-Z]{3}", "an ISO 4217 code of three capital letters: GBP")),
]
ConnectionName = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z][a-z0-9_]{0,39}",
            "1 to 40 of a-z, 0-9 and _, a letter first; rename the connection's folder",
        )
    ),
]
ApplicationName = Annotated[
    Text,
    # It is the end of the secret's name and of an environment variable.
    AfterValidator(_matching(r"[a-z0-9_]{1,40}", "1 to 40 of a-z, 0-9 and _")),
]
Seconds = Annotated[StrictInt, Field(ge=1, le=3600)]


CALL_TAKES_AT_MOST = 2
"""How many times its timeout a call may last: once for the answer, once for the way there."""


class _Settings(BaseModel):
    """Closed: a misspelt key is an error; values never show in pydantic's own messages."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class GlCode(_Settings):
    """How the company's GL codes are built."""

    separator: Annotated[str, Field(max_length=3)] = Field(
        description="Text between the sections of a GL code; '' when it has one section"
    )
    account_section: Annotated[StrictInt, Field(ge=1, le=20)] = Field(
        description="Which section is the account, counted from 1"
    )
    cost_centre_section: Annotated[StrictInt, Field(ge=1, le=20)] | None = Field(
        default=None, description="Which section is the cost centre; null when none is"
    )

    @model_validator(mode="after")
    def _sections_exist(self) -> Self:
        problems: list[tuple[Place, str]] = []
        if not self.separator and self.account_section != 1:
            problems.append((("account_section",), "expected 1 when the separator is ''"))
        if not self.separator and self.cost_centre_section is not None:
            problems.append(
                (("cost_centre_section",), "expected null when the separator is ''")
            )
        if self.account_section == self.cost_centre_section:
            problems.append(
                (("cost_centre_section",), "expected another section than account_section")
            )
        _refuse_at("GlCode", problems)
        return self

    def split(self, code: str) -> tuple[str, str | None]:
        """Return the account and the cost centre (None when the code has none) of a GL code.

        Raises:
            GlCodeError: a section that the connection speaks of is absent or blank.
        """
        sections = code.split(self.separator) if self.separator else [code]
        account = self._section(sections, self.account_section, "account", code)
        if self.cost_centre_section is None:
            return account, None
        return account, self._section(sections, self.cost_centre_section, "cost centre", code)

    def _section(self, sections: list[str], number: int, meaning: str, code: str) -> str:
        if number > len(sections) or not sections[number - 1].strip():
            parted = f" parted by {self.separator!r}" if self.separator else ""
            raise GlCodeError(
                f"GL code {code!r}: found {len(sections)} section(s){parted}, expected the "
                f"{meaning} in section {number}; correct syspro.gl_code in connection.yaml or "
                "the code in SYSPRO"
            )
        return sections[number - 1]


class EntityOverride(_Settings):
    """Where this customer keeps a logical entity, where it differs from SYSPRO's own."""

    entity_set: Identifier | None = Field(
        default=None, description="OData entity set or table that holds it"
    )
    key: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        default=None, description="Logical names of the key columns, in key order"
    )
    date_column: Text | None = Field(
        default=None, description="Logical name of the date that decides the home partition"
    )
    columns: dict[str, Identifier] = Field(
        default_factory=dict, description="Physical column by logical name"
    )


def _override_problems(name: str, override: EntityOverride) -> Iterator[tuple[Place, str]]:
    """Yield what an override says that the logical entity does not have."""
    entity = ENTITIES.get(name)
    if entity is None:
        yield (name,), f"unknown entity; {suggestion(name, ENTITIES)}"
        return
    kinds = {column.name: column.kind for column in entity.columns}
    named: list[tuple[Place, str]] = [
        *(((name, "key", place), column) for place, column in enumerate(override.key or ())),
        *(((name, "columns", column), column) for column in override.columns),
    ]
    for place, column in named:
        if column not in kinds:
            yield place, f"{name} has no column {column!r}; {suggestion(column, kinds)}"
    for number, column in enumerate(override.key or ()):
        # Rows that only another column tells apart would replace each other when staged.
        if column in kinds and column not in entity.key:
            yield (
                (name, "key", number),
                f"{name} is kept by {', '.join(entity.key)}; found {column!r}, expected one of "
                f"these. Name the column that tells rows apart under columns, for example "
                f"{entity.key[-1]}: <your column>",
            )
    dates = {column for column, kind in kinds.items() if kind == "date"}
    if override.date_column is not None and override.date_column not in dates:
        yield (
            (name, "date_column"),
            f"{name} has no date column {override.date_column!r}; "
            f"{suggestion(override.date_column, dates)}",
        )


class Syspro(_Settings):
    """The SYSPRO server and company."""

    enet_url: ServiceUrl = Field(description="Address of the e.net REST service")
    logon_path: Annotated[Text, AfterValidator(_logon_path)] = Field(
        default="/Logon", description="Path of the logon call below enet_url"
    )
    odata_url: ServiceUrl = Field(
        description="Address of the OData service; company and entity set are appended"
    )
    company: Annotated[
        Text,
        # Part of addresses and of the marker SYSPRO:<company>:…, where a colon parts.
        AfterValidator(_matching(r"[A-Za-z0-9_-]{1,20}", "a company id: letters and digits")),
    ] = Field(description="Company id")
    operator: Text = Field(
        description="Operator that logs on; it must be the product's alone, since SYSPRO "
        "holds one session an operator"
    )
    odata_auth: Literal["session", "basic"] = Field(
        default="session",
        description="session: the e.net token as UserId; basic: user and password",
    )
    reader: Literal["odata", "comfnd"] = Field(
        default="odata",
        description="odata; or comfnd: read through e.net, for a SYSPRO without OData",
    )
    page_size: Annotated[StrictInt, Field(ge=1, le=5000)] = Field(
        default=5000, description="Rows a page"
    )
    timeout_seconds: Seconds = Field(default=60, description="How long an answer may take")
    session_wait_seconds: Annotated[StrictInt, Field(ge=0, le=86400)] = Field(
        default=300, description="How long a cycle waits for another that holds the operator"
    )
    local_currency: IsoCurrency = Field(description="ISO code of the company's local currency")
    gl_code: GlCode = Field(description="How GL codes are built")
    entities: Annotated[dict[str, EntityOverride], BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=dict, description="Overrides by logical entity"
    )

    @field_validator("entities")
    @classmethod
    def _overrides_fit(cls, overrides: dict[str, EntityOverride]) -> dict[str, EntityOverride]:
        _refuse_at(
            "entities",
            [
                problem
                for name, override in overrides.items()
                for problem in _override_problems(name, override)
            ],
        )
        return overrides


class Cin7(_Settings):
    """The Cin7 Core account."""

    base_url: ServiceUrl = Field(description="Address of the API, version included")
    applications: Annotated[
        tuple[ApplicationName, ...], Field(min_length=1), AfterValidator(_distinct)
    ] = Field(
        default=("main",),
        description="API applications; each has its own sealed key and its own call budget",
    )
    calls_per_minute: Annotated[StrictInt, Field(ge=1, le=1_000_000)] = Field(
        default=50,
        description="Calls in 60 seconds and application: 1 to 60, more on this machine only",
    )
    timeout_seconds: Seconds = Field(default=60, description="How long an answer may take")
    settle_seconds: Seconds = Field(
        default=150,
        description="Wait before a lost answer is resolved; at least twice timeout_seconds",
    )
    line_total_decimals: Literal[2, 4] = Field(
        default=2, description="Decimals to which Cin7 checks the Total of a line"
    )
    document_url: Annotated[Text, AfterValidator(_document_url)] = Field(
        default="https://inventory.dearsystems.com/PurchaseAdvanced#{id}",
        description="Link to a purchase that the UI shows; {id} is its Cin7 id",
    )

    def link(self, cin7_id: str | None) -> str:
        """Return the link to a purchase; empty without an id."""
        # Not str.format: an address may have other braces.
        return self.document_url.replace("{id}", cin7_id) if cin7_id else ""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        problems: list[tuple[Place, str]] = []
        longest = CALL_TAKES_AT_MOST * self.timeout_seconds
        if self.settle_seconds < longest:
            problems.append(
                (
                    ("settle_seconds",),
                    f"found {self.settle_seconds}, expected at least twice timeout_seconds "
                    f"({longest}): a call that is sent and answered slowly lasts that long",
                )
            )
        if self.calls_per_minute > 60 and not is_loopback(self.base_url):
            problems.append(
                (
                    ("calls_per_minute",),
                    f"found {self.calls_per_minute}, expected 1 to 60: Cin7 allows 60 calls in "
                    "60 seconds and application; name more applications to go faster",
                )
            )
        _refuse_at("Cin7", problems)
        return self


class Defaults(_Settings):
    """What is written to Cin7 where no mapping says otherwise."""

    location: Text = Field(description="Cin7 location of warehouses without a mapping")
    tax_rule: Text = Field(description="Cin7 tax rule of taxed lines without a mapped code")
    tax_rule_exempt: Text = Field(description="Cin7 tax rule of untaxed lines")
    payment_term: Text = Field(description="Cin7 payment term of terms codes without a mapping")
    accounts_payable: Text = Field(description="Cin7 accounts payable account of new suppliers")
    country: Text = Field(description="Country of supplier addresses that name none")


class Policies(_Settings):
    """What to do where both ways are right for somebody."""

    supplier_scope: Literal["used", "all"] = Field(
        default="used",
        description="used: suppliers that a document needs; all: every supplier",
    )
    authorise_orders: StrictBool = Field(
        default=True, description="Authorise purchase orders in Cin7, else leave them drafts"
    )
    authorise_invoices: StrictBool = Field(
        default=True, description="Authorise invoices in Cin7, else leave them drafts"
    )
    missing_product: Literal["hold", "create"] = Field(
        default="hold", description="A stock code that Cin7 does not know"
    )
    po_link: Literal["grn_matching", "invoice_reference", "none"] = Field(
        default="grn_matching", description="How an invoice finds its purchase order"
    )
    cost_centre: Literal[
        "charge_reference", "header_attribute", "one_a_document", "account", "none"
    ] = Field(default="charge_reference", description="What carries the cost centre in Cin7")
    cost_centre_account: Annotated[str, AfterValidator(_account_pattern)] = Field(
        default="",
        description="With cost_centre: account, how Cin7's account codes are built, such as "
        "{account}-{cost_centre}; '' when gl_accounts.csv names whole codes",
    )
    purchase_account_classes: Annotated[
        tuple[Literal["EXPENSE", "ASSET", "LIABILITY", "REVENUE", "EQUITY"], ...],
        Field(min_length=1),
        AfterValidator(_distinct),
    ] = Field(
        default=("EXPENSE", "ASSET", "LIABILITY"),
        description="Classes of Cin7 accounts that a purchase may use",
    )
    mapping_as_of: Literal["document_date", "now"] = Field(
        default="document_date",
        description="Which rows of the mapping files a replay uses: those of then or of today",
    )
    locked_period: Literal["hold", "redate"] = Field(
        default="hold",
        description="An invoice or credit dated before Cin7's lock date: held, or dated on "
        "the first open day with its own date in the note",
    )
    on_change_after_posting: Literal["hold", "update"] = Field(
        default="hold", description="A SYSPRO document that changed after it was written"
    )
    unnamed_credit: Literal["hold", "negative_charge"] = Field(
        default="hold", description="A credit that names no invoice"
    )
    closed_period: Literal["hold", "post"] = Field(
        default="hold", description="A document that would newly book into a closed period"
    )
    order_stage_approach: Literal["STOCK", "INVOICE"] = Field(
        default="STOCK",
        description="Cin7 Approach of an order without receipts and invoices",
    )

    @property
    def carries_cost_centre(self) -> bool:
        """Whether each charge and line shows its cost centre."""
        return self.cost_centre in ("charge_reference", "header_attribute", "one_a_document")

    @property
    def account_pattern(self) -> str:
        """How an account code holds the cost centre; blank when it does not."""
        return self.cost_centre_account if self.cost_centre == "account" else ""

    @model_validator(mode="after")
    def _pattern_is_used(self) -> Self:
        if self.cost_centre_account and self.cost_centre != "account":
            _refuse_at(
                "Policies",
                [
                    (
                        ("cost_centre_account",),
                        f"found {self.cost_centre_account!r}, expected '' unless "
                        "policies.cost_centre is account; change one of the two",
                    )
                ],
            )
        return self


Percent = Annotated[Decimal, Field(ge=0, le=1000, max_digits=8, decimal_places=4)]
Limit = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=4)]


class Match(_Settings):
    """How far an invoice may be from its receipts and its order; null is no limit."""

    quantity_percent: Percent | None = Field(
        default=Decimal(0),
        description="How much more may be invoiced than received or ordered, in percent",
    )
    quantity_absolute: Limit | None = Field(
        default=None, description="The same in units; both limits hold where both are given"
    )
    price_percent: Percent | None = Field(
        default=Decimal(5),
        description="How far the invoiced value may be from the order's price, in percent",
    )
    price_absolute: Limit | None = Field(
        default=None, description="The same in local currency and order line"
    )
    rate_percent: Percent = Field(
        default=Decimal("0.01"),
        description="How far what Cin7 books of a foreign document, at the rate it keeps, may "
        "be from what SYSPRO posted, in percent",
    )


SupplierAttribute = Literal[
    "name",
    "short_name",
    "status",
    "currency",
    "terms",
    "tax_number",
    "contact",
    "phone",
    "fax",
    "email",
    "address",
]
"""What both systems know of a supplier. An address is one attribute: a line of one side and
a postcode of the other would be an address of nobody."""

NewSupplierElement = Literal["Branch", "SupplierClass", "Area", "Nationality", "DefTaxCode"]


class Suppliers(_Settings):
    """How the supplier masters of both systems are kept in step."""

    direction: Literal["syspro_to_cin7", "both"] = Field(
        default="syspro_to_cin7",
        description="syspro_to_cin7; or both: each side's changes reach the other",
    )
    owners: dict[SupplierAttribute, Literal["syspro", "cin7"]] = Field(
        default_factory=dict,
        description="Whose value wins when an attribute changed on both sides; an attribute "
        "without an owner becomes a conflict",
    )
    status: Literal["report", "merge", "syspro", "cin7"] = Field(
        default="report",
        description="OnHold in SYSPRO and Deprecated in Cin7. report: each as it is; merge: "
        "as other attributes; syspro or cin7: that side alone decides",
    )
    field_fit: Literal["hold", "cut"] = Field(
        default="hold",
        description="A text of Cin7 that SYSPRO has no room or no letters for. cut: names and "
        "address lines are shortened and spelt in Windows-1252",
    )
    new_from_cin7: Literal["create", "hold"] = Field(
        default="create", description="A supplier of Cin7 that SYSPRO does not have"
    )
    code_rule: Literal["number", "name"] = Field(
        default="number", description="Where the code of a new SYSPRO supplier comes from"
    )
    code_first: Annotated[StrictInt, Field(ge=1, le=999_999_999_999_999)] = Field(
        default=1, description="First number that new suppliers may have"
    )
    code_last: Annotated[StrictInt, Field(ge=1, le=999_999_999_999_999)] = Field(
        default=9_999_999, description="Last number that new suppliers may have"
    )
    code_length: Annotated[StrictInt, Field(ge=1, le=15)] = Field(
        default=7,
        description="Digits at which SYSPRO shows a numeric code; most letters of a code "
        "made from a name",
    )
    new_supplier: dict[NewSupplierElement, Text] = Field(
        default_factory=dict, description="What every new SYSPRO supplier is given besides"
    )
    short_name_attribute: Annotated[StrictInt, Field(ge=2, le=10)] | None = Field(
        default=None,
        description="Additional attribute of Cin7 that holds SYSPRO's short name; null: none",
    )
    proposal_score: Annotated[StrictInt, Field(ge=50, le=100)] = Field(
        default=85, description="Likeness, in percent, from which a match is proposed"
    )
    sweep_hours: Annotated[StrictInt, Field(ge=1, le=720)] = Field(
        default=24,
        description="Every so often all suppliers of Cin7 are read, not changes only",
    )
    overlap_minutes: Annotated[StrictInt, Field(ge=1, le=1440)] = Field(
        default=15, description="How far a reading of changes looks back before the last one"
    )

    @property
    def both_ways(self) -> bool:
        """Whether Cin7's suppliers reach SYSPRO too."""
        return self.direction == "both"

    @model_validator(mode="after")
    def _codes_fit(self) -> Self:
        problems: list[tuple[Place, str]] = []
        if self.code_last < self.code_first:
            problems.append(
                (
                    ("code_last",),
                    f"found {self.code_last}, expected code_first ({self.code_first}) or more",
                )
            )
        if self.code_rule == "number" and len(str(self.code_last)) > self.code_length:
            problems.append(
                (
                    ("code_last",),
                    f"found {self.code_last}, expected at most code_length "
                    f"({self.code_length}) digits",
                )
            )
        _refuse_at("Suppliers", problems)
        return self


class Schedule(_Settings):
    """When the connection is synchronised."""

    cron: Annotated[Text, AfterValidator(_cron)] = Field(
        default="*/30 6-20 * * *",
        description="When cycles start, in the connection's time zone",
    )
    enabled: StrictBool = Field(default=True, description="false: by hand only")
    look_back_days: Annotated[StrictInt, Field(ge=0, le=366)] = Field(
        default=7, description="Days before today that each cycle looks at again"
    )


class Watch(_Settings):
    """When and how far back SYSPRO is watched for days that changed since they were pushed."""

    cron: Annotated[Text, AfterValidator(_cron)] = Field(
        default="40 5 * * *", description="When the watch looks, in the connection's time zone"
    )
    catch_up_cron: Annotated[Text, AfterValidator(_cron)] = Field(
        default="30 21 * * *",
        description="When days are run that no sensor asked for, though they should have been",
    )
    days: Annotated[StrictInt, Field(ge=1, le=1100)] = Field(
        default=100,
        description="How many days back; AP takes postings into the two periods before",
    )


class Email(_Settings):
    """Where alerts are mailed to, and by which server."""

    to: tuple[Text, ...] = Field(default=(), description="Recipients of alerts; none: no mail")
    sender: Text | None = Field(default=None, description="Sender's address")
    host: Text | None = Field(default=None, description="SMTP server")
    port: Annotated[StrictInt, Field(ge=1, le=65535)] = Field(
        default=587, description="SMTP server's port"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="none: on this machine or without a user only"
    )
    user: Text | None = Field(
        default=None, description="SMTP user; its password is the secret alert_smtp_password"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        problems: list[tuple[Place, str]] = []
        if self.to:
            for name in ("sender", "host"):
                if getattr(self, name) is None:
                    problems.append(((name,), "expected one, since alerts.email.to is given"))
        is_open = self.security == "none" and self.host not in LOOPBACK_HOSTS
        if is_open and self.user is not None:
            problems.append(
                (
                    ("security",),
                    "found none, expected starttls or tls: a password would be sent",
                )
            )
        _refuse_at("Email", problems)
        return self


class Alerts(_Settings):
    """Whom to tell of what is red."""

    webhook: StrictBool = Field(
        default=False,
        description="Post to the webhook whose address is the secret alert_webhook_url",
    )
    email: Annotated[Email, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Email, description="Whom to mail"
    )
    ui_url: Annotated[
        Text,
        AfterValidator(
            _matching(r"https?://[^\s?#]*[^\s?#/]", "https://host of the Dagster UI")
        ),
    ] = Field(default="http://127.0.0.1:3000", description="Dagster UI, for links in alerts")

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that are configured: webhook, email."""
        return (*(("webhook",) if self.webhook else ()), *(("email",) if self.email.to else ()))


class Connection(_Settings):
    """One customer's pair: a SYSPRO company and a Cin7 Core account."""

    name: ConnectionName = Field(description="Name of the folder; prefix of the assets")
    description: str = Field(
        default="", description="What the connection is; the UI shows it with the job"
    )
    syspro: Syspro = Field(description="The SYSPRO server and company")
    cin7: Cin7 = Field(description="The Cin7 Core account")
    defaults: Defaults = Field(description="Values where no mapping says otherwise")
    policies: Annotated[Policies, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Policies, description="What to do where both ways are right"
    )
    match: Annotated[Match, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Match,
        description="How far an invoice may be from its receipts and its order",
    )
    suppliers: Annotated[Suppliers, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Suppliers, description="How both supplier masters are kept in step"
    )
    start_date: Annotated[
        dt.date, BeforeValidator(_date_only), AfterValidator(_business_date)
    ] = Field(description="First business date that is synchronised, from 1990 to 2100")
    schedule: Annotated[Schedule, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Schedule, description="When cycles start"
    )
    watch: Annotated[Watch, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Watch, description="When the past is looked at"
    )
    alerts: Annotated[Alerts, BeforeValidator(_empty_as_defaults)] = Field(
        default_factory=Alerts, description="Whom to tell"
    )
    time_zone: Annotated[Text, AfterValidator(_time_zone)] = Field(
        description="IANA time zone of the schedule and of today; dates are never shifted"
    )

    def entities(self) -> dict[str, Entity]:
        """Return every logical entity by name, as this customer has it."""
        overrides = self.syspro.entities
        return {
            name: _overridden(entity, overrides[name]) if name in overrides else entity
            for name, entity in ENTITIES.items()
        }

    def secret_names(self) -> tuple[str, ...]:
        """Return the names of the secrets that the connection needs."""
        odata = ("syspro_odata_user", "syspro_odata_password")
        return (
            "syspro_operator_password",
            "syspro_company_password",
            *(odata if self.syspro.odata_auth == "basic" else ()),
            "cin7_account_id",
            *(f"cin7_application_key_{name}" for name in self.cin7.applications),
            *(("alert_webhook_url",) if self.alerts.webhook else ()),
            *(("alert_smtp_password",) if self.alerts.email.user else ()),
        )


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def _overridden(entity: Entity, override: EntityOverride) -> Entity:
    return entity.overridden(
        entity_set=override.entity_set,
        key=override.key,
        date_column=override.date_column,
        columns=override.columns,
    )
