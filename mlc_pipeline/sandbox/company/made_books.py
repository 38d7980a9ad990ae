"""Suppliers, chart and stock items of the generated company: invented, as untidy as real.

What must not come in: documents, names of people or of existing companies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate
from random import Random

from mlc_pipeline.sandbox.company import shares
from mlc_pipeline.sandbox.company.model import CostCentre, GlAccount, StockItem, Supplier
from mlc_pipeline.sandbox.company.rules import CASH_ON_DELIVERY, EXEMPT
from mlc_pipeline.sandbox.company.shares import quota

SKEW = 1.1
"""Makes the five busiest of 40 suppliers take a little over half of the orders."""
STANDARD = "S20"
STOCK_CODE = "000.1400"
TAX_CODE = "000.2200"
PAYABLE_CODE = "000.2100"
FREIGHT = "7310"
OTHER_CHARGES = "7320"
UNMAPPED = "7990"
RATES = {"USD": (Decimal("1.270000"), "D"), "EUR": (Decimal("0.860000"), "M")}
"""Exchange rate and how it is applied, by currency: both of SYSPRO's directions."""

_EXPENSES = (
    ("7010", "Raw materials consumed"),
    ("7020", "Packaging"),
    ("7110", "Machine repairs"),
    ("7120", "Tools and jigs"),
    ("7130", "Calibration"),
    ("7210", "Electricity"),
    ("7220", "Gas"),
    ("7230", "Water and drainage"),
    (FREIGHT, "Freight inwards"),
    (OTHER_CHARGES, "Duty and handling"),
    ("7410", "Rent"),
    ("7420", "Cleaning & waste"),
    ("7430", "Building repairs"),
    ("7510", "Telephone"),
    ("7520", "Software subscriptions"),
    ("7530", "IT support"),
    ("7610", "Legal fees"),
    ("7620", "Audit fees"),
    ("7630", "Consultants' fees"),
    ("7710", "Agency staff"),
    ("7720", "Training"),
    ("7730", "Protective clothing"),
    ("7810", "Vehicle hire"),
    ("7820", "Fuel"),
    ("7910", "Advertising, fairs"),
)
_BALANCE_SHEET = ("000", "Balance sheet", "")
_CENTRES = (
    ("110", "Foundry", "Works"),
    ("120", "Machining", "Works"),
    ("130", "Assembly", "Works"),
    ("140", "Paint shop", "Works"),
    ("150", "Maintenance", "Works"),
    ("210", "Goods in", "Logistics"),
    ("220", "Despatch", "Logistics"),
    ("310", "Quality", "Engineering"),
    ("320", "Design office", "Engineering"),
    ("410", "Sales", "Commercial"),
    ("510", "Finance", "Administration"),
    ("520", "Personnel", "Administration"),
)
_STEMS = (
    *("Quillmere", "Ostrabeck", "Fennimoor", "Tarnwick", "Brackenhoe", "Wyverstead", "Orlaby"),
    *("Skelthorpe", "Marrowdale", "Thistlecombe", "Penwaddow", "Grimsholt", "Larkenfell"),
    *("Hobblesden", "Ashenby", "Cragmoss", "Dunnevale", "Eskerholm", "Farrowick", "Gorsebank"),
)
_TRADES = (
    *("Engineering", "Bearings", "Fasteners", "Packaging", "Tooling", "Haulage", "Castings"),
    *("Electrical", "Abrasives", "Coatings", "Hydraulics & Pneumatics", "Steel", "Plastics"),
    *("Safety Wear", "Calibration Services", "Industrial Cleaning", "Computer Supplies"),
)
_FORMS = ("Ltd", "LIMITED", "Ltd.", "PLC", "(UK) Ltd", "& Co. Ltd", "LLP")
_FOREIGN_FORMS = {"USD": ("Inc.", "LLC", "Corp."), "EUR": ("GmbH", "S.à r.l.", "B.V.")}
_NATIONS = {
    "GBP": ("GB", "United Kingdom"),
    "USD": ("USA", "United States"),
    "EUR": ("DE", "Germany"),
}
_STREETS = ("Kiln Lane", "Foundry Road", "Canal Wharf", "Unit 7, Tannery Park", "The Old Dairy")
_TOWNS = ("Wexcombe", "St. Arvan's", "Nether Holt", "Upper  Stowe", "ELDERFORD")
_GOODS = ("Bearing", "Bolt", "Seal", "Bracket", "Shaft", "Gasket", "Valve", "Bush", "Spring")
_FINISHES = ("zinc plated", "stainless A4", "nitrile", "black oxide", "brass", "PTFE")
_SIZES = ("M6 x 40", "M12 x 80", "6203-2RS", "25 mm", "1/2 in", "DN50", "40 x 62 x 8")
_UNITS = ("EA", "EA", "EA", "BOX", "KG", "M")


@dataclass(frozen=True)
class Books:
    """The standing data of a generated company; `weights` say how busy a supplier is."""

    suppliers: tuple[Supplier, ...]
    gl_accounts: tuple[GlAccount, ...]
    cost_centres: tuple[CostCentre, ...]
    stock_items: tuple[StockItem, ...]
    weights: tuple[float, ...]

    def ledger_code(self, rng: Random) -> tuple[str, str]:
        """Any working cost centre and any mapped expense account."""
        return rng.choice(_CENTRES)[0], rng.choice(_EXPENSES)[0]

    def supplier(self, rng: Random) -> Supplier:
        """Any supplier, the first ones far more often than the last."""
        return rng.choices(self.suppliers, cum_weights=self.weights)[0]


def make_books(rng: Random, size: int, *, flaws: bool) -> Books:
    """Make the standing data for a company of that many invoices."""
    suppliers = tuple(_suppliers(rng, max(20, round(size * 40 / 300))))
    centres = (_BALANCE_SHEET, *_CENTRES)
    ranks = range(1, len(suppliers) + 1)
    return Books(
        suppliers,
        tuple(_accounts(flaws=flaws)),
        tuple(CostCentre(cost_centre=c, description=d, parent=p) for c, d, p in centres),
        tuple(_stock_items(rng, max(20, size // 5), flaws=flaws)),
        tuple(accumulate(rank**-SKEW for rank in ranks)),
    )


def _accounts(*, flaws: bool) -> list[GlAccount]:
    control = [
        ("1400", "Stock", "A", "stock", STOCK_CODE),
        ("2100", "Trade creditors", "L", "payable", PAYABLE_CODE),
        ("2200", "VAT on purchases", "L", "tax", TAX_CODE),
    ]
    made = [
        GlAccount(account=a, description=d, account_type=t, role=r, gl_code=c)  # type: ignore[arg-type]
        for a, d, t, r, c in control
    ]
    made += [GlAccount(account=a, description=d, account_type="E") for a, d in _EXPENSES]
    if flaws:
        new = GlAccount(
            account=UNMAPPED, description="New account", account_type="E", mapped=False
        )
        made.append(new)
    return made


def _suppliers(rng: Random, count: int) -> list[Supplier]:
    foreign = quota(shares.FOREIGN_SUPPLIER, count)
    currencies = ["USD" if n % 2 else "EUR" for n in range(foreign)] + ["GBP"] * (
        count - foreign
    )
    rng.shuffle(currencies)
    stems = (*_STEMS, *(f"{a}-{b}" for a in _STEMS for b in _STEMS if a != b))
    possible = [(stem, trade) for stem in stems for trade in _TRADES]
    names = rng.sample(possible[: max(count, len(_STEMS) * len(_TRADES))], count)
    ids = _supplier_ids(rng, [stem for stem, _ in names])
    made = [
        _supplier(rng, supplier_id, name, currency)
        for supplier_id, name, currency in zip(ids, names, currencies, strict=True)
    ]
    local = [n for n, each in enumerate(made) if each.currency == "GBP"]
    for n in rng.sample(local, quota(shares.EXEMPT_SUPPLIER, len(local))):
        made[n] = replace(made[n], tax_code=EXEMPT)
    middle = count // 2
    former = f"{made[middle].name} (formerly {made[middle + 1].name})"
    made[middle] = replace(made[middle], name=former)
    # The last ones: the busiest suppliers keep a name of their own.
    for n in range(quota(shares.SHARED_NAME / 2, count)):
        made[-1 - 2 * n] = replace(made[-1 - 2 * n], name=made[-2 - 2 * n].name)
    for n in range(quota(shares.KNOWN_SUPPLIER, count)):
        name = _other_spelling(made[n].name) if n % 2 else made[n].name.strip()
        made[n] = replace(made[n], cin7_name=name)
    return made


def _supplier_ids(rng: Random, stems: list[str]) -> list[str]:
    """Six digits for most, letters and digits for some, one with zeros in front."""
    numbers = rng.sample(range(100_000, 999_999), len(stems))
    ids = [str(number) for number in numbers]
    for n in rng.sample(range(len(ids)), quota(shares.ALPHANUMERIC_SUPPLIER, len(ids))):
        ids[n] = f"{stems[n][:4].upper()}{n:03d}"
    ids[1] = f"0042A{len(ids)}"
    return ids


def _supplier(rng: Random, supplier_id: str, name: tuple[str, str], currency: str) -> Supplier:
    forms = _FOREIGN_FORMS.get(currency, _FORMS)
    nationality, country = _NATIONS[currency]
    digits = f"{rng.randrange(10**9):09d}"
    written = (digits, f"GB{digits}", f"GB {digits[:3]} {digits[3:7]} {digits[7:]}")
    return Supplier(
        supplier_id=supplier_id,
        name=_untidy(rng, f"{name[0]} {name[1]} {rng.choice(forms)}"),
        terms_code=rng.choice(("30", "30", "30", "60", "14", "07", CASH_ON_DELIVERY)),
        currency=currency,
        tax_code=STANDARD if currency == "GBP" else EXEMPT,
        tax_number=rng.choice(written) if currency == "GBP" else "",
        contact="Accounts department" if rng.random() < 0.5 else "",
        phone=f"01632 96{rng.randrange(10_000):04d}",
        email=f"accounts@{name[0].lower()}.example" if rng.random() < 0.7 else "",
        nationality=nationality,
        postal1=f"{rng.randrange(1, 200)} {rng.choice(_STREETS)}",
        postal2=rng.choice(_TOWNS),
        postal5=country,
        postal_postcode=f"Z{rng.choice('ABCDE')}{rng.randrange(1, 30)} {rng.randrange(1, 9)}XY",
    )


def _untidy(rng: Random, name: str) -> str:
    """Write a name as clerks do: in capitals, with blanks to spare, shortened."""
    shortened = name.replace("Engineering", "Eng'g").replace("Services", "Svcs")
    return rng.choice(
        (name, name, name.upper(), name.replace(" ", "  ", 1), f"{name} ", shortened)
    )


def _other_spelling(name: str) -> str:
    """The same company as another clerk wrote it."""
    tidy = " ".join(name.split()).replace(" & ", " and ")
    for long, short in (("LIMITED", "Ltd"), ("Ltd.", "Limited"), ("Ltd", "Limited")):
        if tidy.endswith(long):
            return tidy.removesuffix(long) + short
    return tidy.title() if tidy.isupper() else tidy.upper()


def _stock_items(rng: Random, count: int, *, flaws: bool) -> list[StockItem]:
    long = set(rng.sample(range(count), quota(shares.LONG_DESCRIPTION, count)))
    missing = set(
        rng.sample(range(count), quota(shares.MISSING_PRODUCT, count) if flaws else 0)
    )
    made = []
    for n in range(count):
        goods, finish = rng.choice(_GOODS), rng.choice(_FINISHES)
        description = f"{goods} {rng.choice(_SIZES)}, {finish}"
        if n in long:
            description += (
                f"; to drawing {rng.randrange(10_000, 99_999)} rev. C, packed and labelled"
            )
        made.append(
            StockItem(
                stock_code=f"{goods[:3].upper()}-{n:04d}",
                description=description,
                group=goods,
                uom=rng.choice(_UNITS),
                in_cin7=n not in missing,
            )
        )
    return made
