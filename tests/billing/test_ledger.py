"""The ledger's own form of a log has the table's columns, and COPY packs each of them."""

from __future__ import annotations

from billing import ledger


def test_a_new_log_has_the_columns_of_the_table_in_their_order() -> None:
    assert ledger.NewLog.__struct_fields__ == ledger.COLUMNS


def test_every_column_is_copied_once() -> None:
    assert sorted((*ledger.INT8S, *(column for column, _ in ledger.OTHERS))) == sorted(ledger.COLUMNS)
