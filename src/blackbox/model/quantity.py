"""Numbers with their bounds, as the schema publishes them."""

from typing import Annotated

from msgspec import Meta

Bytes = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
