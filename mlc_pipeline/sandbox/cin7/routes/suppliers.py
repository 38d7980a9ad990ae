"""`/supplier`: list, create, change.

Name is a starts-with filter and `Search` is ignored. Whether two suppliers may share a name
is not documented: they may, unless the setting says otherwise. A PUT leaves alone what it
does not send; a blank sent clears the value (measured).
What must not come in: purchases.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7.bodies import ATTRIBUTES, SUPPLIER_POST, SUPPLIER_PUT
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import PAGING, Route, moment, paged, starts_with
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, new_guid, timestamp

EMPTY: Document = {
    "Status": "Active",
    "Discount": 0,
    "Comments": "",
    "TaxNumber": "",
    "AttributeSet": None,
    **dict.fromkeys(ATTRIBUTES, ""),
    "Addresses": [],
    "Contacts": [],
}
"""A supplier's optional fields before anything is given."""


def list_suppliers(sandbox: Sandbox, call: Call) -> Document:
    """Suppliers by ID, beginning of the name, time of change."""
    since = moment(call, "ModifiedSince")
    id_ = call.query.get("ID", "").lower()
    suppliers = [
        supplier
        for supplier in sandbox.store.all("supplier")
        if (not id_ or supplier["ID"] == id_)
        and starts_with(supplier, "Name", call.query.get("Name"))
        and (since is None or supplier["LastModifiedOn"] > since)
        and (call.flag("IncludeDeprecated") or id_ or supplier["Status"] != "Deprecated")
    ]
    return paged(call, "SupplierList", suppliers)


def create_supplier(sandbox: Sandbox, call: Call) -> Document:
    """A new supplier; the answer is a list of one."""
    _check(sandbox, call.body, itself=None)
    id_ = new_guid()
    return _keep(sandbox, id_, {"ID": id_, **EMPTY, **_cleared(call.body)})


def change_supplier(sandbox: Sandbox, call: Call) -> Document:
    """Change the fields that are sent; addresses and contacts by ID, new ones without."""
    id_ = call.body["ID"]
    before = sandbox.store.get("supplier", id_)
    if before is None:
        raise RefusedError(f"Supplier with ID {id_} was not found")
    _check(sandbox, call.body, itself=id_)
    changes = _cleared(call.body)
    for block in ("Addresses", "Contacts"):
        if block in changes:
            changes[block] = _merged(before[block], changes[block])
    return _keep(sandbox, id_, {**before, **changes})


def _check(sandbox: Sandbox, body: Document, itself: str | None) -> None:
    review = Review(sandbox)
    review.payment_term(body["PaymentTerm"])
    review.accounts_payable(body["AccountPayable"])
    review.tax_rule(body["TaxRule"])
    if body.get("AttributeSet"):
        review.attribute_set(body["AttributeSet"])
    if len(body["Currency"]) != 3:
        review.wrong(f"Currency is invalid: {body['Currency']}, three letters are expected")
    others = [
        supplier
        for supplier in sandbox.store.find("supplier", "Name", body["Name"])
        if supplier["ID"] != itself
    ]
    if others and sandbox.settings.unique_supplier_names:
        review.wrong(f"Supplier with name {body['Name']} already exists")
    review.close()


def _cleared(body: Document) -> Document:
    """The body with sent blanks as the empty values of their fields."""
    return {k: EMPTY[k] if v is None and k in EMPTY else v for k, v in body.items()}


def _merged(before: list[Document], sent: list[Document]) -> list[Document]:
    by_id = {part["ID"]: part for part in before}
    for part in sent:
        id_ = part.get("ID") or new_guid()
        by_id[id_] = {**by_id.get(id_, {}), **part, "ID": id_}
    return list(by_id.values())


def _keep(sandbox: Sandbox, id_: str, supplier: Document) -> Document:
    for block in ("Addresses", "Contacts"):
        supplier[block] = [
            {**_without_blanks(part), "ID": part.get("ID") or new_guid(), "SupplierID": id_}
            for part in supplier[block]
        ]
    supplier["LastModifiedOn"] = timestamp()
    sandbox.store.put("supplier", id_, supplier)
    return {"Total": 1, "Page": 1, "SupplierList": [supplier]}


def _without_blanks(part: Document) -> Document:
    return {name: value for name, value in part.items() if value is not None}


ROUTES: dict[str, dict[str, Route]] = {
    "supplier": {
        "GET": Route(
            list_suppliers, (*PAGING, "ID", "Name", "ModifiedSince", "IncludeDeprecated")
        ),
        "POST": Route(create_supplier, shape=SUPPLIER_POST),
        "PUT": Route(change_supplier, shape=SUPPLIER_PUT),
    },
}
