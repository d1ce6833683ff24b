"""A look at a file of contacts without Airflow: ``python -m airflow_provider_cleanlist.contacts FILE``."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from airflow_provider_cleanlist.contacts.errors import SourceError, SourceUnavailableError
from airflow_provider_cleanlist.contacts.reading import read_contacts
from airflow_provider_cleanlist.contacts.report import ReadReport
from airflow_provider_cleanlist.contacts.sources import FileSource


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a file as ``BulkEnrichOperator`` would, send nothing, and print what became of its rows.

    Only counts, row numbers and names of columns are printed, no value.

    Args:
        arguments: Command line arguments; None takes those of the process.

    Returns:
        Exit status: 0 if every row can be sent, is a duplicate or is blank, 1 if rows are refused or no row of a file
        with any can be sent, 2 if the file cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cleanlist.contacts",
        description="Read a file of contacts as BulkEnrichOperator would, send nothing, and print which columns are "
        "read and how many rows would be submitted, dropped and refused.",
        epilog="Exit status: 0 if no row is refused, 1 if rows are refused or none can be sent, 2 if the file cannot "
        "be read.",
    )
    parser.add_argument(
        "file", help="path of a .csv, .tsv, .json, .jsonl, .ndjson or .parquet file, or .gz of one"
    )
    parser.add_argument("--encoding", help="encoding of the file, as encoding= of the operator")
    parser.add_argument("--header-row", type=int, help="row of the header, as header_row= of the operator")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="COLUMN=FIELD",
        help="an entry of column_mapping, once for each column; COLUMN= (without a field) ignores the column",
    )
    options = parser.parse_args(arguments)
    mapping = {}
    for entry in options.map:
        column, separator, field = entry.rpartition("=")
        if not separator:
            parser.error(f"--map {entry}: give COLUMN=FIELD, or COLUMN= to ignore the column")
        mapping[column] = field or None
    report = ReadReport()
    try:
        source = FileSource(options.file, encoding=options.encoding, header_row=options.header_row)
        for _ in read_contacts(source, report, column_mapping=mapping):
            pass
    except (SourceError, SourceUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a column's name may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.writelines(f"{line}\n" for line in report.summary_lines())
    has_rows = report.rows or report.blank.count or report.without_contact.count or report.skipped_lines
    return 1 if report.refused or (has_rows and not report.accepted) else 0


if __name__ == "__main__":
    sys.exit(main())
