"""Writes restart.jpg: a JPEG with a restart marker every seven units and tables of its own, which no encoder within our
reach writes. Needs opencv-python; any version will do, the tests compare decoders and not bytes."""

import pathlib

import cv2
import numpy as np

height, width = 301, 403
y, x = np.mgrid[0:height, 0:width]
waves = [128 + 100 * np.sin(x / (7 + 5 * c)) * np.cos(y / (11 - 3 * c)) + (x * y % 23) for c in range(3)]
picture = np.clip(np.stack(waves, axis=2), 0, 255).astype(np.uint8)
options = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_RST_INTERVAL, 7, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
cv2.imwrite(str(pathlib.Path(__file__).with_name("restart.jpg")), picture, options)
