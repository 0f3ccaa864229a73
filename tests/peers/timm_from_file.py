"""timm's module of augmentations from its file: the package of version 0.4.12 does not import on torch 2."""

import importlib.util
import pathlib
import sysconfig


def auto_augment():
    path = pathlib.Path(sysconfig.get_paths()["purelib"]) / "timm/data/auto_augment.py"
    spec = importlib.util.spec_from_file_location("auto_augment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
