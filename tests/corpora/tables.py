"""Every Parquet file of a corpus through pyarrow and through Pairmill (`table_rows`): rows.

tables.py TABLE_ROWS EXCEPTIONS NAME=FOLDER... [--json FILE]

A file that pyarrow reads must be read with as many rows, or be listed in EXCEPTIONS with the outcome that it has
(`refused`, or `no text`: no column that could hold URLs). No file may end in a panic. Exits with 1 otherwise.
"""

import collections
import fnmatch
import json
import os
import subprocess
import sys

import pyarrow
import pyarrow.parquet

from exceptions import read_exceptions


def reference(path):
    """(rows, names of text columns, all names); None where pyarrow does not read the file."""
    try:
        rows = pyarrow.parquet.read_table(path).num_rows
        schema = pyarrow.parquet.read_schema(path)
    except Exception:
        return None
    is_text = [pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_binary]
    texts = [field.name for field in schema if any(test(field.type) for test in is_text)]
    return rows, texts, schema.names


def main():
    arguments = sys.argv[1:]
    report = None
    if "--json" in arguments:
        at = arguments.index("--json")
        report = arguments[at + 1]
        del arguments[at : at + 2]
    command, listed, *corpora = arguments
    exceptions = read_exceptions(listed)
    reader = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    counts = collections.defaultdict(collections.Counter)
    wrong, answers = [], []
    for corpus in corpora:
        name, folder = corpus.split("=", 1)
        for parent, folders, files in os.walk(folder):
            folders.sort()
            for file in sorted(files):
                if not file.endswith(".parquet"):
                    continue
                path = os.path.join(parent, file)
                label = f"{name}/{os.path.relpath(path, folder)}"
                known = reference(path)
                if known:
                    rows, texts, names = known
                    url = texts[0] if texts else names[0]
                    request = {"path": path, "url_col": url, "columns": [name for name in names if name != url]}
                else:
                    request = {"path": path, "url_col": "url", "columns": []}
                reader.stdin.write(json.dumps(request).encode() + b"\n")
                reader.stdin.flush()
                answer = json.loads(reader.stdout.readline() or '{"error": "died"}')
                error = answer.get("error")
                if error in ("panic", "died"):
                    outcome = error
                elif not known:
                    outcome = "read" if error is None else "refused"
                elif error is not None:
                    outcome = "no text" if not texts else "refused"
                else:
                    outcome = "same rows" if answer["rows"] == rows else f"{answer['rows']} rows, pyarrow {rows}"
                counts["read by pyarrow" if known else "not read by pyarrow"][outcome] += 1
                answers.append({"file": label, "outcome": outcome, "error": error})
                match = next((row for row in exceptions if fnmatch.fnmatchcase(label, row[0])), None)
                if match:
                    match[3] += 1
                wanted = match[1] if match else "same rows"
                if outcome in ("panic", "died") or (known and outcome != wanted):
                    wrong.append(f"{label}: {outcome} instead of {wanted}: {error}")
    names = [corpus.split("=", 1)[0] for corpus in corpora]
    for pattern, outcome, _, used in exceptions:
        if not used and pattern.split("/", 1)[0] in names:
            wrong.append(f"{pattern}: listed as {outcome}, but there is no such file")
    for kind, count in counts.items():
        print(f"{kind}: " + ", ".join(f"{number} {outcome}" for outcome, number in count.most_common()))
    if report:
        with open(report, "w", encoding="utf-8") as out:
            json.dump(answers, out, indent=1)
    for line in wrong:
        print(f"WRONG {line}")
    print(f"{len(answers)} files, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


main()
