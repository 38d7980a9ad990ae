"""Looking up what a document refers to, collecting everything that is wrong.

References must exist and be active before they are used; several are names, not ids.
Texts marked `published` are the real system's, the others are ours in its manner.
What must not come in: changes; a review only reads.
"""

from __future__ import annotations

from datetime import date

from mlc_pipeline.sandbox.cin7.refusals import Problem, RefusedError
from mlc_pipeline.sandbox.cin7.state import Sandbox
from mlc_pipeline.sandbox.cin7.wire import Document, day_of

PAYABLES = "Accounts payable"
"""`SystemAccount` of the accounts a supplier may use as AccountPayable."""


class Review:
    """One request's problems. Each look-up returns the document, or None and a problem."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.problems: list[Problem] = []

    def wrong(self, text: str, code: int = 400) -> None:
        """Note a problem."""
        self.problems.append(Problem(text, code))

    def close(self) -> None:
        """Refuse the request if anything is wrong."""
        if self.problems:
            raise RefusedError(*self.problems)

    def supplier(self, id_: str | None, name: str | None) -> Document | None:
        """The active supplier of that id, else of that exact name; the id wins."""
        store = self.sandbox.store
        if id_:
            found = store.get("supplier", id_)
            described = f"ID {id_}"
        else:
            named = store.find("supplier", "Name", name or "")
            found = next(iter(named), None)
            described = f"name {name}"
        if found is None:
            self.wrong(f"Supplier with {described} was not found")
        elif found["Status"] != "Active":
            self.wrong(f"Supplier with {described} is deprecated")
            return None
        return found

    def tax_rule(self, name: str, field: str = "TaxRule") -> Document | None:
        """The active tax rule for purchases of that name."""
        for rule in self.sandbox.store.find("tax_rule", "Name", name):
            if rule["IsActive"] and rule["IsTaxForPurchase"]:
                return rule
        self.wrong(
            f"{field}: active tax rule for purchases with name {name} was not found in "
            "Taxation Rules reference book"
        )
        return None

    def payment_term(self, name: str) -> Document | None:
        """The active payment term of that name."""
        for term in self.sandbox.store.find("payment_term", "Name", name):
            if term["IsActive"]:
                return term
        self.wrong(  # published
            f"Active payment term with name {name} was not found in Payment Terms "
            "reference book"
        )
        return None

    def location(self, name: str) -> Document | None:
        """The location of exactly that name, case included, that is not deprecated."""
        for location in self.sandbox.store.find("location", "Name", name):
            if location["Name"] == name and not location["IsDeprecated"]:
                return location
        self.wrong(  # published, with this code on a 400 answer
            f"Location '{name}' was not found in Locations reference book", code=404
        )
        return None

    def account(self, code: str, field: str = "Account") -> Document | None:
        """The active account of that code."""
        for account in self.sandbox.store.find("account", "Code", code):
            if account["Status"] == "ACTIVE":
                return account
        self.wrong(
            f"{field}: active account with code {code} was not found in Chart of Accounts"
        )
        return None

    def accounts_payable(self, code: str) -> None:
        """The code must be that of an accounts payable system account."""
        account = self.account(code, "AccountPayable")
        if account is not None and account["SystemAccount"] != PAYABLES:
            self.wrong(
                f"AccountPayable: account {code} has SystemAccount "
                f"'{account['SystemAccount'] or ''}', expected '{PAYABLES}'"
            )

    def account_of_class(self, code: str, field: str, class_: str) -> None:
        """A product's account must be of its class; a stock account no FIXED or BANK one."""
        account = self.account(code, field)
        if account is None:
            return
        if account["Class"] != class_ or account["Type"] in ("FIXED", "BANK"):
            self.wrong(
                f"{field}: account {code} is {account['Class']}/{account['Type']}, "
                f"expected is an account of class {class_}"
            )

    def product(self, id_: str | None, sku: str | None) -> Document | None:
        """The product of that id, else of that SKU; the id wins."""
        if id_:
            found = self.sandbox.store.get("product", id_)
            described = f"ID {id_}"
        else:
            found = next(iter(self.sandbox.store.find("product", "SKU", sku or "")), None)
            described = f"SKU {sku}"
        if found is None:
            self.wrong(f"Product with {described} was not found")
        return found

    def attribute_set(self, name: str) -> None:
        """The attribute set of that name must exist."""
        if not self.sandbox.store.find("attribute_set", "Name", name):
            self.wrong(f"Attribute set with name {name} was not found")

    def open_period(self, field: str, business_date: str) -> None:
        """Nothing dated before the lock date may be added, changed or deleted."""
        lock = self.sandbox.lock_date
        day: date = day_of(business_date)
        if lock is not None and day < lock:
            self.wrong(f"{field} {day} is before the lock date {lock}: the period is locked")
