"""What a plan is made from and made of: context, holds, planned documents, verdicts.

What must not come in: SQL, HTTP, Dagster. The planners of suppliers, orders and invoices
stand in their own modules and use this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from mlc_pipeline.connection.errors import GlCodeError
from mlc_pipeline.connection.mapping_problems import KINDS
from mlc_pipeline.connection.mappings import AccountMapping, CodeMapping, MappedAccount
from mlc_pipeline.connection.model import Connection
from mlc_pipeline.connection.supplier_links import NO_LINKS, SupplierLinks
from mlc_pipeline.connection.targets import BookAccount, account_problem
from mlc_pipeline.sync.content import _Content
from mlc_pipeline.sync.vocabulary import REASONS, Kind, Verdict

C = TypeVar("C", bound=_Content)


class Hold(Exception):  # noqa: N818 - not an error: a verdict on its way up
    """A document cannot be planned as a write; carries the reason's code and the detail.

    `content` and `difference` show the wanted version beside the one that is in Cin7.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        content: _Content | None = None,
        difference: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.reason = REASONS[code]
        self.detail = detail
        self.content = content
        self.difference = tuple(dict(change) for change in difference)
        super().__init__(f"{code}: {detail}")


@dataclass(frozen=True)
class AccountReference:
    """A Cin7 account: code, status (ACTIVE…), class (EXPENSE…)."""

    code: str
    status: str
    account_class: str
    account_type: str = ""
    system_account: str = ""


@dataclass(frozen=True)
class TaxRuleReference:
    """A Cin7 tax rule: its percent and the account it books to."""

    name: str
    account: str
    percent: Decimal
    usable: bool


@dataclass(frozen=True)
class References:
    """Cin7's reference books, read once per cycle."""

    accounts: Mapping[str, AccountReference]
    tax_rules: Mapping[str, TaxRuleReference]
    payment_terms: frozenset[str]
    locations: frozenset[str]
    products: Mapping[str, str]
    base_currency: str
    lock_date: date | None = None


@dataclass(frozen=True)
class Mappings:
    """The connection's mapping tables as look-ups."""

    accounts: AccountMapping
    cost_centres: CodeMapping
    tax_codes: CodeMapping
    payment_terms: CodeMapping
    currencies: CodeMapping
    warehouses: CodeMapping


@dataclass(frozen=True)
class Known:
    """What the ledger knows of a document.

    `state` is one of the ledger's states; `status` is what Cin7 answered (DRAFT or
    AUTHORISED), `content` the document as last written.
    """

    state: str
    content_hash: str | None = None
    content: Mapping[str, Any] | None = None
    status: str | None = None
    cin7_id: str | None = None


class KnownDocuments(Protocol):
    """Looks up the ledger; a dict keyed by (kind, source key) does."""

    def get(self, key: tuple[str, str], /) -> Known | None:
        """Return what the ledger knows, or None."""


@dataclass(frozen=True)
class PlanContext:
    """Everything that planning may look at besides the staged rows.

    Attributes:
        connection: settings.
        references: Cin7's reference books.
        mappings: the mapping as of `dated`, else as of today.
        known: what the ledger knows.
        gl_names: descriptions of GL codes.
        history: the mapping as of a day; None when no row has dates.
        dated: the day whose mapping this is, when it is not today's.
        closed: first days of the periods that are closed.
        supplier_links: what people decided about suppliers in the connection's folder.
    """

    connection: Connection
    references: References
    mappings: Mappings
    known: KnownDocuments
    gl_names: Mapping[str, str] = field(default_factory=dict)
    history: Callable[[date], Mappings] | None = None
    dated: date | None = None
    closed: frozenset[date] = frozenset()
    supplier_links: SupplierLinks = NO_LINKS

    def as_of(self, day: date | None) -> PlanContext:
        """Return the context of a document of a day: its mapping is the one of then.

        By `policies.mapping_as_of` it may be today's instead; an undated document's is.
        """
        is_now = self.connection.policies.mapping_as_of == "now"
        if self.history is None or day is None or is_now:
            return self
        return replace(self, mappings=self.history(day), dated=day)

    def _then(self) -> str:
        return f" on {self.dated}" if self.dated else ""

    def marker(self, *parts: str) -> str:
        """Return the text that names a SYSPRO document inside Cin7."""
        return ":".join(("SYSPRO", self.connection.syspro.company, *parts))

    def currency(self, code: str | None) -> str:
        """Return the ISO code of a SYSPRO currency; blank is the local currency.

        Raises:
            Hold: currency_unmapped.
        """
        local = self.connection.syspro.local_currency
        if code is None or code == local:
            return local
        mapped = self.mappings.currencies.lookup(code)
        if mapped is None:
            raise Hold(
                "currency_unmapped", f"currency {code!r} is not in currencies.csv{self._then()}"
            )
        return mapped

    def payment_term(self, code: str | None) -> str:
        """Return the Cin7 payment term; blank is the connection's default.

        Raises:
            Hold: terms_unmapped.
        """
        default = self.connection.defaults.payment_term
        term = default if code is None else self.mappings.payment_terms.lookup(code)
        if term is None:
            raise Hold(
                "terms_unmapped",
                f"terms code {code!r} is not in payment_terms.csv{self._then()}",
            )
        if term not in self.references.payment_terms:
            raise Hold("terms_unmapped", f"Cin7 has no active payment term {term!r}")
        return term

    def tax_rule(self, code: str | None, *, taxed: bool) -> TaxRuleReference:
        """Return the Cin7 tax rule of a SYSPRO tax code; blank is the connection's default.

        An untaxed line takes the exempt rule, whatever its code says.

        Raises:
            Hold: tax_unmapped.
        """
        defaults = self.connection.defaults
        if not taxed:
            name: str | None = defaults.tax_rule_exempt
        else:
            name = defaults.tax_rule if code is None else self.mappings.tax_codes.lookup(code)
        if name is None:
            raise Hold(
                "tax_unmapped", f"tax code {code!r} is not in tax_codes.csv{self._then()}"
            )
        rule = self.references.tax_rules.get(name)
        if rule is None or not rule.usable:
            raise Hold("tax_unmapped", f"Cin7 has no active purchase tax rule {name!r}")
        return rule

    def location(self, warehouse: str | None) -> str:
        """Return the Cin7 location of a warehouse; blank is the connection's default.

        Raises:
            Hold: location_unmapped.
        """
        default = self.connection.defaults.location
        location = default if not warehouse else self.mappings.warehouses.lookup(warehouse)
        if location is None:
            raise Hold(
                "location_unmapped",
                f"warehouse {warehouse!r} is not in warehouses.csv{self._then()}",
            )
        if location not in self.references.locations:
            raise Hold("location_unmapped", f"Cin7 has no location {location!r}")
        return location

    def target(self, gl_code: str) -> MappedAccount | None:
        """Return where a GL code goes, None when no row speaks of it; Cin7 is not asked.

        By `policies.cost_centre_account` the cost centre completes the account's code; an
        exact row names the whole code already.
        """
        mapped = self.mappings.accounts.lookup(gl_code)
        pattern = self.connection.policies.account_pattern
        if mapped is None or not pattern or mapped.role != "expense":
            return mapped
        centre = self.cost_centre(gl_code)
        if centre is None or mapped.rule.startswith("exact "):
            return mapped
        code = pattern.format(account=mapped.cin7_account, cost_centre=centre)
        return replace(mapped, cin7_account=code)

    def account(self, gl_code: str) -> MappedAccount:
        """Return the mapped Cin7 account of a GL code, checked to be usable there.

        Raises:
            Hold: unmapped_account, account_unusable.
        """
        mapped = self.target(gl_code)
        if mapped is None:
            name = self.gl_names.get(gl_code)
            shown = f"{gl_code} ({name})" if name else gl_code
            raise Hold(
                "unmapped_account", f"GL code {shown} is not in gl_accounts.csv{self._then()}"
            )
        account = self.references.accounts.get(mapped.cin7_account)
        if account is None:
            raise Hold(
                "account_unusable",
                f"GL code {gl_code} is mapped to {mapped.cin7_account}, "
                "which Cin7 does not have",
            )
        has = BookAccount(
            account.status,
            account.account_class,
            account_type=account.account_type,
            system_account=account.system_account,
        )
        classes = self.connection.policies.purchase_account_classes
        found = account_problem(has, mapped.role, classes)
        if found:
            kind, other = found
            expected = KINDS[kind][0].format(other=other)
            raise Hold(
                "account_unusable",
                f"GL code {gl_code} is mapped to {mapped.cin7_account}: expected {expected}",
            )
        return mapped

    def cost_centre(self, gl_code: str) -> str | None:
        """Return the cost centre of a GL code as Cin7 should show it, if it has one."""
        cost_centre = self.raw_cost_centre(gl_code)
        if cost_centre is None:
            return None
        return self.mappings.cost_centres.lookup(cost_centre) or cost_centre

    def raw_cost_centre(self, gl_code: str) -> str | None:
        """Return the cost centre of a GL code as SYSPRO has it, if it has one."""
        try:
            _account, cost_centre = self.connection.syspro.gl_code.split(gl_code)
        except GlCodeError:
            return None  # a balance sheet account, mapped as a whole
        return cost_centre

    def guard_period(self, dated: date) -> None:
        """Refuse a date in a period that Cin7 has locked.

        Raises:
            Hold: locked_period.
        """
        lock = self.references.lock_date
        if lock is not None and dated < lock:
            raise Hold("locked_period", f"dated {dated}, Cin7 is locked before {lock}")

    def guard_closed(self, dated: date) -> None:
        """Refuse what would newly book into a closed period, unless the policy is to post it.

        Raises:
            Hold: closed_period.
        """
        if self.connection.policies.closed_period == "hold" and dated in self.closed:
            raise Hold("closed_period", f"dated {dated}, a day of a period that is closed")


@dataclass(frozen=True)
class Planned:
    """One document of a plan: the wanted write or why there is none.

    `amount` is in `currency` (the document's own), with tax for invoices, without for orders.
    """

    kind: Kind
    source_key: str
    verdict: Verdict
    amount: Decimal
    currency: str | None = None
    supplier: str | None = None
    home: date | None = None
    stage: str | None = None
    reason_code: str | None = None
    reason: str | None = None
    content: _Content | None = None
    difference: tuple[dict[str, Any], ...] = ()


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str = ""
) -> list[dict[str, Any]]:
    """List where two JSON contents differ: field path, value before, value after."""
    found: list[dict[str, Any]] = []
    for name in sorted({*before, *after}):
        old, new, here = before.get(name), after.get(name), f"{path}{name}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{here}.")
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            numbered = [{str(i): item for i, item in enumerate(side)} for side in (old, new)]
            found += differences(numbered[0], numbered[1], f"{here}.")
        elif old != new:
            found.append({"field": here, "before": old, "after": new})
    return found


def planned(
    describe: Planned, build: Callable[[], tuple[Verdict, _Content | None, Any]]
) -> Planned:
    """Run a planner; a `Hold` on its way up becomes the document's verdict and reason.

    Args:
        describe: the document with everything known before planning.
        build: returns verdict, content and the list of differences to what is in Cin7.
    """
    try:
        verdict, content, difference = build()
    except Hold as hold:
        return replace(
            describe,
            verdict=hold.reason.verdict,
            reason_code=hold.reason.code,
            reason=hold.detail,
            content=hold.content,
            difference=hold.difference,
        )
    return replace(
        describe, verdict=verdict, content=content, difference=tuple(difference or ())
    )


_NOT_THE_DOCUMENT = re.compile(
    r"new_products(\..*)?|lines\.\d+\.name|charges\.\d+\.description"
)
"""Names that the books give to a line; a product or account renamed is no changed document."""


def judge(
    known: Known | None, content: C, *, may_update: Callable[[Known, list[Any]], bool]
) -> tuple[Verdict, C, list[Any]]:
    """Return the verdict on a wanted content against what the ledger knows.

    Args:
        known: the ledger's entry; a document begun and not finished is simply created on.
        content: what is wanted now.
        may_update: whether Cin7 and the policy allow the differences to be written.

    Raises:
        Hold: changed_after_posting.
    """
    if known is None or known.state != "done":
        return Verdict.CREATE, content, []
    if known.content_hash == content.digest():
        return Verdict.UNCHANGED, content, []
    if known.content_hash is None:
        # An answer was lost, or an earlier version was found: the push looks and decides.
        return Verdict.UPDATE, content, []
    changed = [
        change
        for change in differences(known.content or {}, content.to_json())
        if not _NOT_THE_DOCUMENT.fullmatch(change["field"])
    ]
    if not changed:
        return Verdict.UNCHANGED, content, []
    if may_update(known, changed):
        return Verdict.UPDATE, content, changed
    shown = "; ".join(f"{c['field']}: {c['before']} -> {c['after']}" for c in changed[:5])
    raise Hold(
        "changed_after_posting",
        f"{len(changed)} field(s) changed: {shown}",
        content=content,
        difference=changed,
    )
