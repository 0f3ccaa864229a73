"""load_strict.py FILE.safetensors MODEL: loads weights saved by Pairmill into open_clip and fails on any missing or
unexpected key. MODEL is a name of open_clip's or one of our .toml files."""

import sys
import tomllib
from pathlib import Path

import open_clip
from open_clip.model import CLIP
from safetensors.torch import load_file


def model_of(name: str) -> CLIP:
    if not name.endswith(".toml"):
        return open_clip.create_model(name)
    a = tomllib.loads(Path(name).read_text())
    vision = {key: value for key, value in a["visual"].items() if key != "kind"}
    return CLIP(a["embed_dim"], vision, a["text"], quick_gelu=a["activation"] == "quick_gelu")


weights, name = sys.argv[1:]
print(model_of(name).load_state_dict(load_file(weights), strict=True))
