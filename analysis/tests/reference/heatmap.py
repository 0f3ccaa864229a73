"""Cells of the paper's Figure 7, and the mean spreads of Figure 1, computed from the released table without Pairmill.

    python3 heatmap.py paper_results.tsv

Prints `us<TAB>ds<TAB>shots<TAB>%.2g` for every heat-map cell, `Scratch` with `%.2f` for the bars, then
`mean<TAB>shots<TAB>value` for the spreads. Standard library only.
"""

import csv
import sys

SOURCES = ["CC3m", "CC12m", "Redcaps2.7m", "YFCC2.7m", "LAION2.7m", "WIT2.7m", "Shutterstock2.7m"]
SHOTS = ["1", "5", "10", "20", "full"]

best = {}
with open(sys.argv[1], newline="") as file:
    for row in csv.DictReader(file, delimiter="\t"):
        if row["loss"] != "CLIP" or row["arch"] != "RN50":
            continue
        for shots in SHOTS:
            if row[shots] not in ("", "Nan"):
                key = row["us"], row["ds"], shots
                best[key] = max(best.get(key, 0.0), float(row[shots]))

for (us, ds, shots), value in best.items():
    if us in SOURCES:
        print(us, ds, shots, "%.2g" % value, sep="\t")
    elif us == "Scratch":
        print(us, ds, shots, "%.2f" % value, sep="\t")

for shots in SHOTS:
    spreads = []
    for ds in sorted({key[1] for key in best}):
        values = [best[us, ds, shots] for us in SOURCES if (us, ds, shots) in best]
        if values:
            spreads.append((max(values) - min(values)) / max(values))
    print("mean", shots, repr(sum(spreads) / len(spreads)), sep="\t")
