"""The list of files that come out otherwise than with the reference: pattern, outcome and reason, tab-separated."""


def read_exceptions(path):
    """[pattern, outcome, reason, times used]"""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                pattern, outcome, reason = line.rstrip("\n").split("\t")
                rows.append([pattern, outcome, reason, 0])
    return rows
