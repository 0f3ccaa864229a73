"""Writes the two MATLAB files beside it with SciPy, the other widespread writer of the format:
python mat.py (SciPy 1.17)."""

import pathlib

import numpy as np
import scipy.io

fields = ["ILSVRC2012_ID", "WNID", "words", "num_children", "children"]
synsets = np.zeros((3, 1), dtype=[(name, "O") for name in fields])
synsets[0, 0] = (np.float64(2), "n01440764", "tench, Tinca tinca", np.uint8(0), np.zeros((0, 0)))
synsets[1, 0] = (np.float64(1), "n01443537", "goldfish", np.uint8(0), np.zeros((0, 0)))
synsets[2, 0] = (np.float64(3), "n00015388", "entité", np.uint8(2), np.array([[1.0, 2.5]]))
for name, packed in [("scipy.mat", False), ("scipy_packed.mat", True)]:
    path = pathlib.Path(__file__).parent / name
    scipy.io.savemat(path, {"other": np.arange(3.0), "synsets": synsets}, do_compression=packed, long_field_names=True)
    # The header holds the date.
    data = path.read_bytes()
    path.write_bytes(b"MATLAB 5.0 MAT-file, written by SciPy".ljust(116) + data[116:])
