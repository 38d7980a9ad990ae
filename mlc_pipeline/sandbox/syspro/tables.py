"""The tables of the stand-in SYSPRO company: columns, types, lengths and primary keys.

Names, types and keys are those of the published SYSPRO 7/8 layouts, restricted to what an
integration reads or writes. `ApPosting` is no SYSPRO table: it stands for the view of
posted AP distributions a customer may have. What is published without a length or a scale
(parts of the GRN and AP journal tables) has that of the same column in a full table.

What must not come in: rows, SQL, how a value travels on a wire.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["text", "number", "date", "rowversion"]


@dataclass(frozen=True)
class Column:
    """One SQL column.

    Attributes:
        name: physical name, case-sensitive.
        kind: what it holds; a `date` may be null, everything else is blank or zero instead.
        length: characters of a text, digits (precision) of a number.
        scale: decimals of a number.
        key: whether it belongs to the primary key.
    """

    name: str
    kind: Kind
    length: int = 0
    scale: int = 0
    key: bool = False

    @property
    def quoted(self) -> str:
        """The name as an SQL identifier."""
        return f'"{self.name}"'


@dataclass(frozen=True)
class Table:
    """One SQL table: its name, its columns in order, its key columns in key order."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...]

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by physical name."""
        return {column.name: column for column in self.columns}

    @property
    def quoted(self) -> str:
        """The name as an SQL identifier."""
        return f'"{self.name}"'


_LAYOUT = """
ApSupplier (Supplier)
  Supplier:15 SupplierName:50 SupShortName:20 SupplierType:1 SupplierClass:10 Bank:15
  Branch:10 Telephone:20 Fax:20 Contact:50 Area:10 Email:255 FaxContact:50 UserField1:15
  UserField2:1 Currency:3 CurrentBalance:14.2 LastPurchDate:date FirstPurchDate:date
  LineDiscCode:10 InvDiscCode:10 TermsCode:2 DefaultChequeDay:2.0 GrnMatchReqd:1
  LctRequired:1 EdiTypeFlag:1 EdiReceiverCode:40 MerchGlCode:35 FreightGlCode:35
  NumMthsBeforDel:2.0 PurchOrdAllowed:1 MinPoVal:14.2 Nationality:3 TaxRegnNum:20
  BankAccount:20 BankBranch:50 ChLanguage:2 SupplierChName:50 DateSuppAdded:date
  PoDefaultDoc:2 OnHold:1 Contracts:1 PayByEft:1 EftBankAccType:2 DefTaxCode:3
  DeliveryTerms:3 TransactionNature:3.0 RemitEmail:255 LanguageCode:2 State:2

ApSupplierAddr (Supplier)
  Supplier:15 SupAddr1:40 SupAddr2:40 SupAddr3:40 SupAddr3Loc:40 SupAddr4:40 SupAddr5:40
  SupPostalCode:10 RemitName:50 RemitAddr1:40 RemitAddr2:40 RemitAddr3:40 RemitAddr3Loc:40
  RemitAddr4:40 RemitAddr5:40 RemitPostalCode:10

ApInvoice (Supplier Invoice)
  Supplier:15 Invoice:20 JournalDate:date Journal:10.0 EntryNumber:10.0 Branch:10
  InvoiceDate:date DiscountDate:date DueDate:date Reference:30 OrigInvValue:14.2
  OrigDiscValue:14.2 MthInvBal1:14.2 MthInvBal2:14.2 MthInvBal3:14.2 InvoiceStatus:1
  Currency:3 Bank:15 InvoiceYear:4.0 InvoiceMonth:2.0 ExchangeRate:12.6 MulDiv:1
  FirstTaxCode:3 CurrencyValue:14.2 PostCurrency:3 ConvRate:12.6 TotalAdjustments:14.2

ApInvoicePay (Supplier Invoice EntryNumber)
  Supplier:15 Invoice:20 EntryNumber:10.0 TrnType:1 JournalDate:date Journal:10.0
  PaymentReference:50 TrnValue:14.2 TrnYear:4.0 TrnMonth:2.0 PostValue:14.2 PostCurrency:3
  PostConvRate:12.6 PostMulDiv:1 PaymentNumber:15 SummaryEntryNumber:10.0

ApJnlSummary (TrnYear TrnMonth Journal EntryNumber)
  TrnYear:4.0 TrnMonth:2.0 Journal:10.0 EntryNumber:10.0 Supplier:15 Invoice:20
  TransactionCode:1 InvoiceValue:14.2 SupplierGlCode:35 TrnDate:date

ApJnlDistrib (TrnYear TrnMonth Journal EntryNumber SubEntry)
  TrnYear:4.0 TrnMonth:2.0 Journal:10.0 EntryNumber:10.0 SubEntry:10.0 ExpenseGlCode:35
  ExpenseType:1 DistrValue:14.2 Reference:30

ApPosting (TrnYear TrnMonth Journal EntryNumber SubEntry)
  TrnYear:4.0 TrnMonth:2.0 Journal:10.0 EntryNumber:10.0 SubEntry:10.0 Supplier:15
  Invoice:20 TransactionCode:1 PostDate:date ExpenseGlCode:35 ExpenseType:1
  DistrValue:14.2 Reference:30

PorMasterHdr (PurchaseOrder)
  PurchaseOrder:20 OrderStatus:1 ActiveFlag:1 CancelledFlag:1 Supplier:15
  OrderEntryDate:date OrderDueDate:date OrderType:1 CustomerPoNumber:30 Warehouse:10
  Currency:3 TaxStatus:1 AmendedCount:2.0 DatePoCompleted:date ExchangeRate:12.6 MulDiv:1
  ExchRateFixed:1 Nationality:3 TermsCode:2 Buyer:20 DeliveryName:50

PorMasterDetail (PurchaseOrder Line)
  PurchaseOrder:20 Line:4.0 LineType:1 MStockCode:30 MStockDes:50 MWarehouse:10
  MOrderUom:10 MStockingUom:10 MOrderQty:18.6 MReceivedQty:18.6 MLatestDueDate:date
  MLastReceiptDat:date MSupCatalogue:50 MDiscPct1:5.2 MDiscPct2:5.2 MDiscPct3:5.2
  MDiscValFlag:1 MDiscValue:14.2 MPrice:15.5 MForeignPrice:15.5 MConvFactPrcUm:12.6
  MMulDivPrc:1 MPriceUom:10 MTaxCode:3 MConvFactOrdUm:12.6 MMulDivAlloc:1
  MProductClass:20 MCompleteFlag:1 MJob:20 MGlCode:35 MOrigDueDate:date NComment:100
  NCommentFromLin:4.0 NMscChargeValue:14.2 NMscChargeTax:3 NMscChargeFor:14.2

GrnDetails (Supplier Grn GrnSource Journal JournalEntry)
  Supplier:15 Grn:20 GrnSource:1 Journal:10.0 JournalEntry:10.0 PurchaseOrder:20
  PurchaseOrderLin:4.0 StockCode:30 StockDescription:50 SupCatalogueNum:50 Warehouse:10
  QtyReceived:18.6 QtyUom:10 OrigReceiptDate:date OrigGrnValue:14.2 CurGrnValue:14.2
  MatchedValue:14.2 GrnMatchedFlag:1 DebitRecGlCode:35 DeliveryNote:30 PostCurrency:3
  ConvRate:12.6 MulDiv:1 GrnYear:4.0 GrnMonth:2.0

GrnMatching (Supplier Grn Invoice Journal EntryNumber)
  Supplier:15 Grn:20 Invoice:20 Journal:10.0 EntryNumber:10.0 TransactionType:1
  MatchedValue:14.2 MatchedDate:date MatchedYear:4.0 MatchedMonth:2.0 MatchedQty:18.6

GenMaster (Company GlCode)
  Company:4 GlCode:35 Description:50 AccountType:1 ExpenseType:1 CurrentBalance:14.2
  GlGroup:10 ControlAccFlag:1 AccOnHldFlag:1 TaxCode:3

ApBranch (Branch)
  Branch:10 Description:50 ApBrnGlCode:35 Nationality:3

TblApTerms (TermsCode)
  TermsCode:2 Description:50

TblCurrency (Currency)
  Currency:3 Description:50 BuyExchangeRate:12.6 BuyMulDiv:1 SellExchangeRate:12.6
  SellMulDiv:1 FixedRate:1

AdmTax (TaxCode)
  TaxCode:3 Description:50 CurTaxRate:8.5 TaxEffDate:date TaxBasis:1 GlTaxGlCode:35
  ApTaxGlCode:35

InvMaster (StockCode)
  StockCode:30 Description:50 LongDesc:100 StockUom:10 AlternateUom:10 OtherUom:10
  Supplier:15 ProductClass:20 TaxCode:3 StockOnHold:1 DateStkAdded:date

InvWhControl (Warehouse)
  Warehouse:10 Description:50 Branch:10 Nationality:3
"""


def _column(text: str, key: tuple[str, ...]) -> Column:
    """Read `Name:15` (text), `Name:14.2` (number) or `Name:date`."""
    name, type_ = text.split(":")
    if type_ == "date":
        return Column(name, "date", key=name in key)
    length, _, scale = type_.partition(".")
    kind: Kind = "number" if scale else "text"
    return Column(name, kind, int(length), int(scale or 0), key=name in key)


def _table(text: str) -> Table:
    """Read one paragraph of the layout; every SYSPRO table ends with its rowversion."""
    heading, body = text.split("\n", 1)
    name, key_text = re.fullmatch(r"(\S+) \((.+)\)", heading).groups()  # type: ignore[union-attr]
    key = tuple(key_text.split())
    columns = tuple(_column(item, key) for item in body.split())
    by_name = {column.name: column for column in columns}
    return Table(
        name,
        (*columns, Column("TimeStamp", "rowversion")),
        tuple(by_name[column] for column in key),
    )


TABLES: dict[str, Table] = {
    table.name: table for table in map(_table, _LAYOUT.strip().split("\n\n"))
}
"""Every table by its physical name."""


def visible(absent: list[str]) -> dict[str, Table]:
    """Return the tables without those named in `absent` (`ApPosting`, `ApSupplier.State`)."""
    return {
        name: Table(
            name,
            tuple(c for c in table.columns if f"{name}.{c.name}" not in absent),
            table.key,
        )
        for name, table in TABLES.items()
        if name not in absent
    }
