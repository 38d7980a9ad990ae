"""How the stand-in behaves, wherever real SYSPRO installations differ or are unverified.

Settings are given at the start and may be changed while it runs; a change is validated as
a whole. Passwords never appear when settings are shown.

What must not come in: behaviour; a setting is only a value that other modules read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from mlc_pipeline.sandbox.syspro.tables import TABLES
from mlc_pipeline.sandbox.syspro.values import is_date


def _known(names: list[str]) -> list[str]:
    """Refuse a name that is neither a table nor a `table.column` outside the key."""
    for name in names:
        table, _, column = name.partition(".")
        columns = (
            {c.name for c in TABLES[table].columns if not c.key} if table in TABLES else ()
        )
        if table not in TABLES or (column and column not in columns):
            raise ValueError(f"{name} is no table and no non-key column of one")
    return names


def _date_or_blank(text: str) -> str:
    if text and not is_date(text):
        raise ValueError(f"{text!r} is not a date CCYY-MM-DD")
    return text


class Settings(BaseModel):
    """Every setting with the sandbox's default.

    Attributes:
        company: SYSPRO company id, also the path segment of OData.
        company_name: shown by GetLogonProfile.
        company_password: asked for by Logon.
        operators: operator codes and their passwords; e.net.
        utilities_logon: whether `/Utilities/Logon` answers as `/Logon` does.
        token_shape: a token as plain text, quoted as JSON, or inside `<string>`.
        idle_seconds: a session not used for that long is gone.
        seats: sessions that may be open at once.
        lost_session: text for a token that is unknown, evicted or expired.
        local_currency: code of the company's local currency; may be no ISO code.
        supplier_key: whether supplier codes are numeric (stored zero-filled to 15) or alpha.
        supplier_key_length: digits at which business objects show a numeric supplier code.
        empty_date: how COMFND writes a date that is null.
        system_date: company date, given to new suppliers, CCYY-MM-DD; blank means today.
        odata_auth: token as `UserId` query parameter, or basic authentication.
        odata_user: user name of basic authentication.
        odata_password: password of basic authentication.
        odata_lost_session: answer to an invalid token, status 401 or 200 with ERROR text.
        date_type: Edm type of dates, in `$metadata`, literals and answers.
        next_link: whether a page that was cut off carries `@odata.nextLink`.
        page_size: most rows of one OData answer.
        absent: tables (`ApPosting`) and columns (`ApSupplier.State`) that nobody sees.
        record_traffic: whether requests are kept for `/_sandbox/traffic`.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    company: str = Field("DEMO", min_length=1, max_length=4)
    company_name: str = "Sandbox Company"
    company_password: SecretStr = SecretStr("sandbox-company")
    operators: dict[str, SecretStr] = Field(
        {"MLCSYNC": SecretStr("sandbox-operator")}, min_length=1
    )
    utilities_logon: bool = False
    token_shape: Literal["plain", "json", "string"] = "plain"  # noqa: S105 - no secret
    idle_seconds: float = Field(1200, gt=0)
    seats: int = Field(10, ge=1)
    lost_session: Literal["base_directory", "expired"] = "base_directory"
    local_currency: str = Field("GBP", min_length=1, max_length=3)
    supplier_key: Literal["numeric", "alpha"] = "numeric"
    supplier_key_length: int = Field(7, ge=1, le=15)
    empty_date: Literal["", "0000-00-00"] = ""
    system_date: Annotated[str, AfterValidator(_date_or_blank)] = ""
    odata_auth: Literal["session", "basic"] = "session"
    odata_user: str = "mlc@sandbox"
    odata_password: SecretStr = SecretStr("sandbox-odata")
    odata_lost_session: Literal["status_401", "error_text"] = "status_401"
    date_type: Literal["Edm.Date", "Edm.DateTimeOffset"] = "Edm.Date"
    next_link: bool = False
    page_size: int = Field(5000, ge=1, le=5000)
    absent: Annotated[list[str], AfterValidator(_known)] = []
    record_traffic: bool = False

    @property
    def today(self) -> str:
        """The company date, CCYY-MM-DD."""
        return self.system_date or datetime.now(UTC).date().isoformat()

    def changed(self, changes: dict[str, object]) -> Settings:
        """Return the settings with the changes.

        Raises:
            pydantic.ValidationError: an unknown name or a value that is not allowed.
        """
        return Settings.model_validate({**dict(self), **changes})
