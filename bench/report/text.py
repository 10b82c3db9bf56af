# SPDX-License-Identifier: Apache-2.0
"""Figures and tables as plain text."""


def number(value):
    """Three digits or more, as many as a measured time is worth."""
    size = abs(value)
    if size != 0 and size < 0.995:
        return f"{value:.3g}" if size >= 0.001 else f"{value:.2g}"
    digits = 2 if size < 9.995 else 1 if size < 999.95 else 0
    return f"{value:,.{digits}f}"


def with_unit(value, unit):
    return f"{number(value)}{'' if unit == '%' else ' '}{unit}"


def percent(share):
    """A change: 0.123 is +12.3 %."""
    digits = 0 if abs(share) >= 0.0995 else 1
    return f"{share * 100:+.{digits}f} %"


def print_blocks(head, blocks):
    """Rows in aligned columns, with a rule before each block."""
    blocks = [[tuple(str(cell) for cell in row) for row in block] for block in blocks]
    widths = [max(len(row[column]) for row in [head, *(row for block in blocks for row in block)])
              for column in range(len(head))]
    rule = "  ".join("-" * width for width in widths)

    def line(row):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    line(head)
    for block in blocks:
        print(rule)
        for row in block:
            line(row)
    print(rule)
