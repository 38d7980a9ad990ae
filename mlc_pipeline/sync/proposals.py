"""Proposals for gl_accounts.csv: both charts of accounts compared by code, name and class.

A proposal is for a person to review; nothing here is ever applied by itself.

What must not come in: SQL, HTTP, files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rapidfuzz import fuzz

from mlc_pipeline.connection.errors import GlCodeError
from mlc_pipeline.connection.mappings import AccountMapping
from mlc_pipeline.connection.model import GlCode
from mlc_pipeline.connection.targets import BookAccount, Books, account_problem

_CLASS_OF_TYPE = {
    "A": "ASSET",
    "L": "LIABILITY",
    "E": "EXPENSE",
    "R": "REVENUE",
    "C": "EQUITY",
}
"""Cin7's class of each SYSPRO account type."""

_WORDS = {
    "creditors": "payable",
    "creditor": "payable",
    "payables": "payable",
    "vat": "tax",
    "gst": "tax",
    "stock": "inventory",
    "stocks": "inventory",
}
"""Words of one meaning in the two systems' charts."""

ENOUGH = 78
"""Score from which an account is proposed."""
_CLEAR = 4  # how far the next best must be behind
_SAME_CODE, _LIKE_CODE = 20, 6
_SAME_CLASS, _OTHER_CLASS = 4, -25
_ROLE_KNOWN = 100


@dataclass
class SysproAccount:
    """An account section of SYSPRO's chart, or a whole code that has no sections.

    Attributes:
        match: section, or exact for a code of another shape.
        code: the section or the code.
        names: descriptions of its codes, counted.
        types: SYSPRO account types of its codes, counted.
        is_tax: whether a tax code books to one of its codes.
        gl_codes: its codes.
        postings: how many staged postings hang on it.
        amount: what they come to, local currency.
    """

    match: str
    code: str
    names: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    is_tax: bool = False
    gl_codes: set[str] = field(default_factory=set)
    postings: int = 0
    amount: Decimal = Decimal(0)

    @property
    def name(self) -> str:
        """The description that most of its codes have."""
        return _commonest(self.names)

    @property
    def account_class(self) -> str:
        """Cin7's class of the type that most of its codes have; blank when unknown."""
        return _CLASS_OF_TYPE.get(_commonest(self.types), "")


def _commonest(counts: Counter[str]) -> str:
    return max(counts, key=lambda text: (counts[text], text), default="")


@dataclass(frozen=True)
class Proposal:
    """A row for review: blank `cin7_account` when nothing comes near enough."""

    account: SysproAccount
    cin7_account: str
    cin7_name: str
    role: str
    score: int
    reason: str


@dataclass(frozen=True)
class Accuracy:
    """Proposals held against a mapping that people made.

    Attributes:
        known: accounts that the mapping has.
        proposed: how many of them were proposed an account.
        right: how many proposals are the mapping's.
    """

    known: int
    proposed: int
    right: int

    @property
    def precision(self) -> Decimal:
        """Share of the proposals that are right, in percent."""
        return _percent(self.right, self.proposed)

    @property
    def recall(self) -> Decimal:
        """Share of the mapping that was found, in percent."""
        return _percent(self.right, self.known)


def _percent(part: int, whole: int) -> Decimal:
    return (Decimal(100 * part) / max(whole, 1)).quantize(Decimal("0.1"))


def accounts_of(
    chart: Iterable[tuple[str, str, str]],
    uses: Mapping[str, tuple[int, Decimal]],
    tax_codes: Iterable[str],
    gl_code: GlCode,
) -> list[SysproAccount]:
    """Group a chart by account section.

    Args:
        chart: GL code, description and account type of each code.
        uses: postings and amount of each GL code that occurs.
        tax_codes: GL codes that tax codes book to.
        gl_code: how the connection's codes are built.
    """
    found: dict[tuple[str, str], SysproAccount] = {}

    def account(code: str) -> SysproAccount:
        try:
            key = ("section", gl_code.split(code)[0])
        except GlCodeError:
            key = ("exact", code)
        made = found.setdefault(key, SysproAccount(*key))
        made.gl_codes.add(code)
        return made

    for code, name, kind in chart:
        one = account(code)
        one.names.update([name] if name else [])
        one.types.update([kind] if kind else [])
    for code, (postings, amount) in uses.items():
        one = account(code)
        one.postings += postings
        one.amount += amount
    for code in filter(None, tax_codes):
        account(code).is_tax = True
    return sorted(found.values(), key=lambda a: (-abs(a.amount), a.match, a.code))


def unmapped(accounts: Iterable[SysproAccount], mapping: AccountMapping) -> list[SysproAccount]:
    """Return the accounts of which a code has no row."""
    return [a for a in accounts if any(mapping.lookup(c) is None for c in a.gl_codes)]


def propose(
    accounts: Iterable[SysproAccount], books: Books, classes: Iterable[str]
) -> list[Proposal]:
    """Return a proposal for each account.

    Args:
        accounts: SYSPRO's side.
        books: Cin7's side.
        classes: the classes that a purchase may use.
    """
    allowed = tuple(classes)
    candidates = {
        role: {
            code: book
            for code, book in books.accounts.items()
            if account_problem(book, role, allowed) is None
        }
        for role in ("expense", "tax", "payable")
    }
    tax_accounts = books.tax_accounts()
    return [_propose(account, candidates, tax_accounts) for account in accounts]


def _propose(
    account: SysproAccount,
    candidates: Mapping[str, Mapping[str, BookAccount]],
    tax_accounts: set[str],
) -> Proposal:
    role = _role(account)
    special = {
        code
        for code, book in candidates[role].items()
        if (role == "tax" and code in tax_accounts) or (role == "payable" and book.is_payable)
    }
    if len(special) == 1:
        (code,) = special
        why = "tax codes book to it" if role == "tax" else "Cin7's accounts payable"
        return Proposal(
            account, code, candidates[role][code].name, role, _ROLE_KNOWN, f"{role}: {why}"
        )
    role = "expense" if not special else role
    scored = sorted(
        (
            (_score(account, code, book), code)
            for code, book in candidates[role].items()
            if code not in tax_accounts
        ),
        key=lambda pair: (-pair[0][0], pair[1]),
    )
    if not scored:
        return Proposal(account, "", "", "", 0, "Cin7 has no account that a purchase may use")
    (score, reason), code = scored[0]
    name = candidates[role][code].name
    rival = f"{scored[1][1]} comes as near ({scored[1][0][0]})" if len(scored) > 1 else ""
    shown_role = "" if role == "expense" else role
    if score < ENOUGH:
        nearest = f"nothing near enough; nearest is {code} {name!r}: {reason}"
        return Proposal(account, "", "", shown_role, score, nearest)
    if len(scored) > 1 and score - scored[1][0][0] < _CLEAR:
        unclear = f"not clear: {code} {name!r}: {reason}; {rival}"
        return Proposal(account, "", "", shown_role, score, unclear)
    return Proposal(account, code, name, shown_role, score, reason)


def _role(account: SysproAccount) -> str:
    if account.is_tax:
        return "tax"
    is_liability = account.account_class in ("LIABILITY", "")
    return "payable" if is_liability and "payable" in _words(account.name) else "expense"


def _words(name: str) -> list[str]:
    """Return the words of a name as they are compared."""
    text = re.sub(r"[^\w]+", " ", name.casefold().replace("&", " and "))
    return [_WORDS.get(word, word) for word in text.split() if word != "and"]


def _score(account: SysproAccount, code: str, book: BookAccount) -> tuple[int, str]:
    """Return how near an account comes, 0 to 100, and why."""
    name = _likeness(" ".join(_words(account.name)), " ".join(_words(book.name)))
    reasons = [f"name {name}"]
    score = name
    if code == account.code:
        score += _SAME_CODE
        reasons.append("same code")
    elif account.code.lstrip("0") and account.code.lstrip("0") in code:
        score += _LIKE_CODE
        reasons.append("code within code")
    if account.account_class and book.account_class:
        agrees = account.account_class == book.account_class.upper()
        score += _SAME_CLASS if agrees else _OTHER_CLASS
        reasons.append(
            f"class {book.account_class}" + ("" if agrees else f", not {account.account_class}")
        )
    return max(0, min(score, 100)), ", ".join(reasons)


def _likeness(one: str, other: str) -> int:
    """Return how alike two names are, 0 to 100: in their letters and in their words."""
    if not one or not other:
        return 0
    letters = int(fuzz.token_sort_ratio(one, other))
    words = int(fuzz.token_set_ratio(one, other))
    begun = _begun_words(one.split(), other.split())
    return max((6 * letters + 4 * words) // 10, begun)


def _begun_words(one: list[str], other: list[str]) -> int:
    """Return how much of two names is words of which one begins the other: PROF, FEES."""
    short, long = sorted((one, other), key=len)
    left, fitting = list(long), 0
    for word in short:
        found = next((w for w in left if min(len(w), len(word)) > 2 and _begins(w, word)), None)
        if found is not None:
            left.remove(found)
            fitting += 1
    return 95 * 2 * fitting // (len(one) + len(other))


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def accuracy(proposals: Iterable[Proposal], mapping: AccountMapping) -> Accuracy:
    """Hold proposals against a mapping: those of accounts that it maps as a whole."""
    known = proposed = right = 0
    for proposal in proposals:
        targets = {mapping.lookup(code) for code in proposal.account.gl_codes}
        (target, *others) = targets
        if target is None or others:
            continue  # unmapped, or mapped code by code
        known += 1
        proposed += bool(proposal.cin7_account)
        right += proposal.cin7_account == target.cin7_account
    return Accuracy(known, proposed, right)
