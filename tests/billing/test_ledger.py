"""The ledger's own form of a log has the table's columns, and COPY packs each of them."""

from __future__ import annotations

from billing import kinds, ledger


def test_a_new_log_and_its_kind_have_the_columns_of_the_table_each_once() -> None:
    assert sorted(ledger.COLUMNS) == sorted(ledger.FIELDS)


def test_every_column_is_copied_once() -> None:
    assert sorted((*ledger.FIXED, *ledger.VARYING, *ledger.REPEATING, *kinds.COLUMNS)) == sorted(ledger.COLUMNS)
