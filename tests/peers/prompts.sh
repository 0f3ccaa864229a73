#!/usr/bin/env bash
# prompts.sh FOLDER: writes imagenet_templates.txt (80 prompts with {} for the class name) and imagenet_classes.txt (1,000
# names in label order) from the installed open_clip package: its data, which this repository does not carry.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}/peers
"$here/install.sh" open_clip
"$cache/open_clip/bin/python" - "$1" <<'PY'
import pathlib
import sys

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
templates = [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
for name, lines, count in (("templates", templates, 80), ("classes", IMAGENET_CLASSNAMES, 1000)):
    assert len(lines) == count, f"{name}: {len(lines)} instead of {count}"
    path = folder / f"imagenet_{name}.txt"
    path.write_text("\n".join(lines) + "\n")
    print(path)
PY
