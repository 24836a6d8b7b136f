"""The table that every database gets: one row for each declaration, as `waag-load rows` writes them."""

KEY = ("declarant", "lrn")


def is_number(column):
    return column.endswith(("_status", "_hundredths", "_ms"))


def definitions(columns, text, number):
    """Definitions of the columns, with the names that a database has for the two types."""
    return ", ".join(f"{column} {number if is_number(column) else text} NOT NULL" for column in columns)
