"""Usage: table.py <LINES

Puts what `warmline bench … --json` printed with peers and other settings side by side: a row a metric, a column each of us,
`at_…` and `peer…`. What only we have is left out.
"""

import json
import sys


def rows(lines):
    """Metric's name to its value in each column, in the order they came."""
    table, columns = {}, {"ours": None}
    for line in lines:
        metric = json.loads(line)
        who, dot, name = metric["metric"].partition(".")
        if not dot:
            who, name = "ours", metric["metric"]
        columns[who] = None
        table.setdefault((metric["bench"], name, metric["unit"]), {})[who] = metric
    return table, list(columns)


def show(value):
    if value is None:
        return "-"
    return f"{value['value']:.3f}" if value["unit"] == "ratio" else f"{value['value']:.0f}"


def main():
    benches = {}
    for line in sys.stdin:
        benches.setdefault(json.loads(line)["bench"], []).append(line)
    for bench, lines in benches.items():
        table, columns = rows(lines)
        print(f"{bench:<46}" + "".join(f"{column:>14}" for column in columns) + "     n")
        for (_, name, unit), values in table.items():
            if set(values) != {"ours"}:
                cells = "".join(f"{show(values.get(column)):>14}" for column in columns)
                print(f"{name + ' ' + unit:<46}{cells}{max(value['n'] for value in values.values()):>6}")
        print()


main()
