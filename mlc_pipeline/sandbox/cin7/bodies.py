"""The request bodies of the API: fields, lengths, decimals, as the reference gives them.

What must not come in: how they are checked, rules that need stored documents.
"""

from __future__ import annotations

from mlc_pipeline.sandbox.cin7.shapes import Field, Shape


def _text_field(longest: int | None = None, *, required: bool = False) -> Field:
    return Field("text", required, longest=longest)


_GUID = Field("guid")
_GUID_REQUIRED = Field("guid", required=True)
_FLAG = Field("boolean")
_DATE = Field("date")
_DATE_REQUIRED = Field("date", required=True)
_AMOUNT = Field("number", decimals=4)
_AMOUNT_REQUIRED = Field("number", required=True, decimals=4)
_QUANTITY = Field("number", required=True, decimals=4, lowest=1)
_DISCOUNT = Field("number", decimals=2, lowest=0, highest=100)
_STATUS = Field("choice", required=True, choices=("DRAFT", "AUTHORISED"))

ATTRIBUTES: Shape = {f"AdditionalAttribute{n}": _text_field(256) for n in range(1, 11)}

_SUPPLIER_ADDRESS: Shape = {
    "ID": _GUID,
    "SupplierID": _GUID,
    "Line1": _text_field(256, required=True),
    "Line2": _text_field(256),
    "City": _text_field(256),
    "State": _text_field(256),
    "Postcode": _text_field(20),
    "Country": _text_field(required=True),
    "Type": Field("choice", required=True, choices=("Billing", "Business", "Shipping")),
    "DefaultForType": _FLAG,
}

_SUPPLIER_CONTACT: Shape = {
    "ID": _GUID,
    "SupplierID": _GUID,
    "Name": _text_field(256, required=True),
    "Phone": _text_field(50),
    "MobilePhone": _text_field(50),
    "Fax": _text_field(50),
    "Email": _text_field(256),
    "Website": _text_field(256),
    "Comment": _text_field(256),
    "Default": _FLAG,
    "IncludeInEmail": _FLAG,
    "MarketingConsent": Field("number", decimals=0, lowest=1, highest=3),
}

SUPPLIER_POST: Shape = {
    "Name": _text_field(256, required=True),
    "Currency": _text_field(3, required=True),
    "PaymentTerm": _text_field(required=True),
    "AccountPayable": _text_field(required=True),
    "TaxRule": _text_field(required=True),
    "Status": Field("choice", choices=("Active", "Deprecated")),
    "Discount": Field("number", lowest=0, highest=100),
    "Comments": _text_field(256),
    "TaxNumber": _text_field(),
    "AttributeSet": _text_field(),
    **ATTRIBUTES,
    "Addresses": Field("list", shape=_SUPPLIER_ADDRESS),
    "Contacts": Field("list", shape=_SUPPLIER_CONTACT),
}
SUPPLIER_PUT: Shape = {"ID": _GUID_REQUIRED, **SUPPLIER_POST}

PRODUCT_POST: Shape = {
    "SKU": _text_field(50, required=True),
    "Name": _text_field(256, required=True),
    "Category": _text_field(256, required=True),
    "Type": Field("choice", required=True, choices=("Stock", "Service")),
    "CostingMethod": Field(
        "choice",
        required=True,
        choices=(
            "FIFO",
            "Special - Batch",
            "Special - Serial Number",
            "FIFO - Serial Number",
            "FIFO - Batch",
            "FEFO - Batch",
            "FEFO - Serial Number",
        ),
    ),
    "UOM": _text_field(50, required=True),
    "Status": Field(
        "choice", required=True, choices=("Active", "Setup required", "Deprecated")
    ),
    "PurchaseTaxRule": _text_field(50),
    "InventoryAccount": _text_field(50),
    "COGSAccount": _text_field(50),
    "RevenueAccount": _text_field(50),
    "ExpenseAccount": _text_field(50),
}

_ADDRESS: Shape = {
    "DisplayAddressLine1": _text_field(256),
    "DisplayAddressLine2": _text_field(256),
    "Line1": _text_field(256, required=True),
    "Line2": _text_field(256),
    "City": _text_field(256),
    "State": _text_field(256),
    "Postcode": _text_field(20),
    "Country": _text_field(256, required=True),
}

_PURCHASE_HEADER: Shape = {
    "SupplierID": _GUID,
    "Supplier": _text_field(256),
    "Contact": _text_field(256),
    "Phone": _text_field(50),
    "BlindReceipt": _FLAG,
    "BillingAddress": Field("object", shape=_ADDRESS),
    "ShippingAddress": Field(
        "object", shape={**_ADDRESS, "ShipToOther": _FLAG, "Company": _text_field(128)}
    ),
    "TaxRule": _text_field(50),
    "TaxCalculation": Field("choice", choices=("Inclusive", "Exclusive")),
    "Terms": _text_field(256),
    "RequiredBy": _DATE,
    "Location": _text_field(256, required=True),
    "Note": _text_field(1024),
    "IsServiceOnly": _FLAG,
    "CurrencyRate": Field("number", decimals=5),
    "AdditionalAttributes": Field("object", shape=ATTRIBUTES),
}
_APPROACHES = ("INVOICE", "STOCK")
PURCHASE_POST: Shape = {
    **_PURCHASE_HEADER,
    "Approach": Field("choice", required=True, choices=_APPROACHES),
    "PurchaseType": Field("choice", choices=("Simple", "Advanced")),
}
PURCHASE_PUT: Shape = {
    "ID": _GUID_REQUIRED,
    **_PURCHASE_HEADER,
    "Approach": Field("choice", choices=_APPROACHES),
}

# A line of a service purchase, or one that combines charges, may name no product.
_LINE: Shape = {
    "ProductID": _GUID,
    "SKU": _text_field(50),
    "Name": _text_field(1024),
    "Quantity": _QUANTITY,
    "Price": _AMOUNT_REQUIRED,
    "Discount": _DISCOUNT,
    "Tax": _AMOUNT_REQUIRED,
    "TaxRule": _text_field(50, required=True),
    "Comment": _text_field(256),
    "Total": _AMOUNT_REQUIRED,
}
_CHARGE: Shape = {
    "Description": _text_field(256, required=True),
    "Reference": _text_field(256),
    "Quantity": _QUANTITY,
    "Price": _AMOUNT_REQUIRED,
    "Discount": _DISCOUNT,
    "Tax": _AMOUNT_REQUIRED,
    "TaxRule": _text_field(50, required=True),
    "Total": _AMOUNT_REQUIRED,
}
_ACCOUNT = _text_field(50, required=True)
_INVOICE_LINE: Shape = {
    **_LINE,
    "Name": _text_field(1024, required=True),
    "Account": _ACCOUNT,
}
_INVOICE_CHARGE: Shape = {**_CHARGE, "Account": _ACCOUNT, "Total": _AMOUNT}
_TOTALS: Shape = {"TotalBeforeTax": _AMOUNT, "Tax": _AMOUNT, "Total": _AMOUNT}

ORDER_POST: Shape = {
    "TaskID": _GUID_REQUIRED,
    "CombineAdditionalCharges": _FLAG,
    "Memo": _text_field(1024),
    "Status": _STATUS,
    "Lines": Field("list", required=True, shape={**_LINE, "SupplierSKU": _text_field(50)}),
    "AdditionalCharges": Field("list", shape=_CHARGE),
    **_TOTALS,
}

INVOICE_POST: Shape = {
    "PurchaseID": _GUID_REQUIRED,
    "TaskID": _GUID_REQUIRED,
    "CombineAdditionalCharges": Field("boolean", required=True),
    "InvoiceDate": _DATE_REQUIRED,
    "InvoiceDueDate": _DATE_REQUIRED,
    "InvoiceNumber": _text_field(256),
    "Status": _STATUS,
    "Lines": Field("list", required=True, shape=_INVOICE_LINE),
    "AdditionalCharges": Field("list", shape=_INVOICE_CHARGE),
    **_TOTALS,
    "InvoiceTotalAmount": _AMOUNT,
    "InvoiceTotalTaxAmount": _AMOUNT,
}

_UNSTOCK: Shape = {
    "CardID": _GUID_REQUIRED,
    "Date": _DATE,
    "Quantity": Field("number", required=True, decimals=4),
    "ProductID": _GUID,
    "SKU": _text_field(50),
    "Name": _text_field(1024),
    "Location": _text_field(256),
    "BatchSN": _text_field(50),
    "ExpiryDate": _DATE,
}
CREDIT_NOTE_POST: Shape = {
    "PurchaseID": _GUID_REQUIRED,
    "TaskID": _GUID_REQUIRED,
    "CreditNoteInvoiceNumber": _text_field(50, required=True),
    "CombineAdditionalCharges": Field("boolean", required=True),
    "CreditNoteNumber": _text_field(256, required=True),
    "CreditNoteDate": _DATE_REQUIRED,
    "Status": _STATUS,
    "Lines": Field("list", required=True, shape=_INVOICE_LINE),
    "AdditionalCharges": Field("list", shape=_INVOICE_CHARGE),
    "Unstock": Field("list", required=True, shape=_UNSTOCK),
    **_TOTALS,
}

STOCK_POST: Shape = {
    "PurchaseID": _GUID_REQUIRED,
    "TaskID": _GUID,
    "Status": _STATUS,
    "Lines": Field(
        "list",
        required=True,
        shape={
            "Date": _DATE_REQUIRED,
            "Quantity": _QUANTITY,
            "ProductID": _GUID,
            "SKU": _text_field(50),
            "Name": _text_field(1024),
            "Location": _text_field(256),
            "LocationID": _GUID,
            "Received": _FLAG,
            "BatchSN": _text_field(50),
            "SupplierSKU": _text_field(50),
            "ExpiryDate": _DATE,
            "CardID": _GUID,
        },
    ),
}
