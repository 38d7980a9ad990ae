"""`/me` and the reference books: accounts, tax rules, terms, locations, attribute sets.

What must not come in: writing to them; people do that in the UI.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.routes.route import PAGING, Route, paged, starts_with
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document


def get_me(sandbox: Sandbox, call: Call) -> Document:
    """The account's settings."""
    return sandbox.me


def list_accounts(sandbox: Sandbox, call: Call) -> Document:
    """The chart of accounts. A Code without match is a 400, not an empty list (measured)."""
    code = call.query.get("Code")
    accounts = [
        account
        for account in sandbox.store.all("account")
        if _equals(call, account, "Code")
        and starts_with(account, "Name", call.query.get("Name"))
        and _equals(call, account, "Type")
        and _equals(call, account, "Status")
    ]
    if code and not accounts:
        raise RefusedError("Account with specified ID not found")
    return paged(call, "AccountsList", accounts)


def list_tax_rules(sandbox: Sandbox, call: Call) -> Document:
    """The tax rules, inactive ones included."""
    rules = [
        rule
        for rule in sandbox.store.all("tax_rule")
        if _equals(call, rule, "ID")
        and starts_with(rule, "Name", call.query.get("Name"))
        and _equals(call, rule, "Account")
        and all(_flagged(call, rule, f) for f in _TAX_FLAGS)
    ]
    return paged(call, "TaxRuleList", rules)


def list_payment_terms(sandbox: Sandbox, call: Call) -> Document:
    """The payment terms, deactivated ones included (measured)."""
    terms = [
        term
        for term in sandbox.store.all("payment_term")
        if _equals(call, term, "ID")
        and starts_with(term, "Name", call.query.get("Name"))
        and _equals(call, term, "Method")
        and _flagged(call, term, "IsActive")
        and _flagged(call, term, "IsDefault")
    ]
    return paged(call, "PaymentTermList", terms)


def list_locations(sandbox: Sandbox, call: Call) -> Document:
    """The locations; the filter is called Deprecated, the field IsDeprecated."""
    deprecated = call.flag("Deprecated")
    locations = [
        location
        for location in sandbox.store.all("location")
        if _equals(call, location, "ID")
        and starts_with(location, "Name", call.query.get("Name"))
        and (deprecated is None or location["IsDeprecated"] == deprecated)
    ]
    return paged(call, "LocationList", locations)


def list_attribute_sets(sandbox: Sandbox, call: Call) -> Document:
    """The sets of additional attributes."""
    sets = [
        attributes
        for attributes in sandbox.store.all("attribute_set")
        if _equals(call, attributes, "ID")
        and starts_with(attributes, "Name", call.query.get("Name"))
    ]
    return paged(call, "AttributeSetList", sets)


def _equals(call: Call, document: Document, field: str) -> bool:
    given = call.query.get(field)
    return not given or str(document.get(field, "")).casefold() == given.casefold()


def _flagged(call: Call, document: Document, field: str) -> bool:
    wanted = call.flag(field)
    return wanted is None or document.get(field) == wanted


_TAX_FLAGS = ("IsActive", "IsTaxForSale", "IsTaxForPurchase")

ROUTES: dict[str, dict[str, Route]] = {
    "me": {"GET": Route(get_me)},
    "ref/account": {
        "GET": Route(list_accounts, (*PAGING, "Code", "Name", "Type", "Status")),
    },
    "ref/tax": {
        "GET": Route(list_tax_rules, (*PAGING, "ID", "Name", "Account", *_TAX_FLAGS)),
    },
    "ref/paymentterm": {
        "GET": Route(
            list_payment_terms, (*PAGING, "ID", "Name", "Method", "IsActive", "IsDefault")
        ),
    },
    "ref/location": {
        "GET": Route(list_locations, (*PAGING, "ID", "Name", "Deprecated")),
    },
    "ref/attributeset": {
        "GET": Route(list_attribute_sets, (*PAGING, "ID", "Name")),
    },
}
