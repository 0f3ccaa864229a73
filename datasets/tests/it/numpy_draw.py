"""Makes numpy_draw.json: the study's few-shot draw by NumPy itself (protocol section 3.5).

Run with any NumPy from 1.10 on: python numpy_draw.py > numpy_draw.json. Made with NumPy 2.
"""

import json

import numpy as np


def draw(sizes, shots):
    drawn, first = [], 0
    for size in sizes:
        # Tables fall back to replacement where a class is too small.
        chosen = np.random.choice(size, shots, replace=size < shots)
        drawn += [first + int(index) for index in chosen]
        first += size
    return drawn


cases = []
for seed in (0, 1, 42, 4294967295):
    for sizes, shots in (
        ([40] * 5, 1),
        ([40, 41, 63, 64, 65], 5),
        ([500] * 3, 10),
        ([7, 3, 1, 300, 2], 5),
        ([1, 1, 2], 1),
        ([70_000, 33], 20),
    ):
        np.random.seed(seed)
        # Twice from one stream: training shots, then test pictures.
        cases.append({"seed": seed, "sizes": sizes, "shots": shots, "draws": [draw(sizes, shots), draw(sizes, shots)]})

# The miniature Cassava of transfer's tests: what is trained and tested on has other sizes.
tables = []
for seed in (0, 1):
    for shots in (1, 5):
        train, test = [8, 8, 8, 48, 8], [2, 2, 2, 12, 2]
        np.random.seed(seed)
        case = {"seed": seed, "shots": shots, "train": train, "test": test}
        tables.append(case | {"train_draw": draw(train, shots), "test_draw": draw(test, shots)})
print(json.dumps({"cases": cases, "tables": tables}))
