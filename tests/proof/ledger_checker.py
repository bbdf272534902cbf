"""`verify_ledger` with small pages, as a process: `python -m tests.proof.ledger_checker PAGE_SIZE [OPTIONS]`."""

from __future__ import annotations

import sys

import django


def main(page_size: str, *options: str) -> None:
    django.setup()
    from django.core.management import call_command

    from billing.verification import log_check, scans

    log_check.PAGE_SIZE, scans.MAX_ACCOUNTS = int(page_size), 2
    call_command("verify_ledger", *options)


if __name__ == "__main__":
    main(*sys.argv[1:])
