"""`/product`: list and create.

Name and Sku filter by "contains"; the reference says both that and "starts with". Units and
categories must exist in the real system; the stand-in keeps no such books.
What must not come in: stock levels, prices.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7.bodies import PRODUCT_POST
from mlc_pipeline.sandbox.cin7.refusals import RefusedError
from mlc_pipeline.sandbox.cin7.review import Review
from mlc_pipeline.sandbox.cin7.routes.route import PAGING, Route, moment, paged
from mlc_pipeline.sandbox.cin7.state import Call, Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, new_guid, timestamp

_CLASSES = {
    "InventoryAccount": "ASSET",
    "COGSAccount": "EXPENSE",
    "ExpenseAccount": "EXPENSE",
    "RevenueAccount": "REVENUE",
}
_ONLY_FOR_STOCK = ("InventoryAccount", "COGSAccount", "ExpenseAccount")


def list_products(sandbox: Sandbox, call: Call) -> Document:
    """Products by ID, part of the SKU or name, time of change."""
    since = moment(call, "ModifiedSince")
    id_ = call.query.get("ID", "").lower()
    products = [
        product
        for product in sandbox.store.all("product")
        if (not id_ or product["ID"] == id_)
        and call.query.get("Sku", "").casefold() in product["SKU"].casefold()
        and call.query.get("Name", "").casefold() in product["Name"].casefold()
        and (since is None or product["LastModifiedOn"] > since)
        and (call.flag("IncludeDeprecated") or id_ or product["Status"] != "Deprecated")
    ]
    return paged(call, "Products", products)


def create_product(sandbox: Sandbox, call: Call) -> Document:
    """A new product; the answer is a list of one."""
    body = dict(call.body)
    if body["Type"] == "Service":
        body = {name: v for name, v in body.items() if name not in _ONLY_FOR_STOCK}
    if sandbox.store.find("product", "SKU", body["SKU"]):
        raise RefusedError(f"Product with SKU {body['SKU']} already exists")
    review = Review(sandbox)
    if body.get("PurchaseTaxRule"):
        review.tax_rule(body["PurchaseTaxRule"], "PurchaseTaxRule")
    for field, class_ in _CLASSES.items():
        if body.get(field):
            review.account_of_class(body[field], field, class_)
    review.close()
    product = {
        "ID": new_guid(),
        **dict.fromkeys([*_CLASSES, "PurchaseTaxRule"]),
        **body,
        "LastModifiedOn": timestamp(),
    }
    sandbox.store.put("product", product["ID"], product)
    return {"Total": 1, "Page": 1, "Products": [product]}


_INCLUDES = (
    "IncludeDeprecated",
    "IncludeBOM",
    "IncludeSuppliers",
    "IncludeMovements",
    "IncludeAttachments",
    "IncludeReorderLevels",
    "IncludeCustomPrices",
)

ROUTES: dict[str, dict[str, Route]] = {
    "product": {
        "GET": Route(
            list_products, (*PAGING, "ID", "Name", "Sku", "ModifiedSince", *_INCLUDES)
        ),
        "POST": Route(create_product, shape=PRODUCT_POST),
    },
}
