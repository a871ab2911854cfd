"""A list of answers that notebooks show as a table."""

from typing import Any, TypeVar

from msgspec import Struct

T_co = TypeVar("T_co", bound=Struct, covariant=True)


class Rows(tuple[T_co, ...]):
    """A tuple of rows."""

    __slots__ = ()

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a line per row. Raises `ImportError` where there is no pandas."""
        from blackbox.model.notebook import data_frame, rows_of

        return data_frame(rows_of(self))

    def _repr_html_(self) -> str:
        from blackbox.model.notebook import table

        return table(self)
