"""loader_peers.py scan|open_clip|open_clip_tokens|torchvision|torchcodec|simplejpeg|kornia|datago|dali|spdl FOLDER [SAMPLES]:
one peer over a folder of tars, in its own venv; called by loader.py. Prints JSON: samples, CPU and wall seconds of the loop, versions. One process, one decoding
thread, so that CPU seconds are the work and nothing else."""

import importlib.metadata
import json
import os
import pathlib
import sys
import time

SIDE = 224
BATCH = 64


def version(*names):
    return {name: importlib.metadata.version(name) for name in names}


def timed(batches, samples, versions):
    """Runs through (count, bytes) pairs after a first one, which pays for what is done once."""
    batches = iter(batches)
    next(batches)
    cpu, wall = time.process_time(), time.perf_counter()
    done = size = 0
    for count, num_bytes in batches:
        done += count
        size += num_bytes
        if samples and done >= samples:
            break
    found = {"samples": done, "bytes": size, "versions": versions}
    print(json.dumps(found | {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}))


def tars(folder):
    return sorted(map(str, pathlib.Path(folder).glob("*.tar")))


def scan(folder):
    import webdataset as wds

    def members():
        for sample in wds.DataPipeline(wds.SimpleShardList(tars(folder)), wds.tarfile_to_samples()):
            yield 1, sum(len(value) for value in sample.values() if isinstance(value, bytes))

    timed(members(), None, version("webdataset"))


def open_clip(folder, samples, tokenise):
    import open_clip as clip
    import torch
    import webdataset as wds

    torch.set_num_threads(1)
    transform = clip.image_transform(SIDE, is_train=True)
    tokenizer = clip.get_tokenizer("RN50")
    text = (lambda caption: tokenizer(caption)[0]) if tokenise else (lambda caption: caption)
    # The stages of open_clip_train.data.get_wds_dataset, without worker processes.
    pipeline = wds.DataPipeline(
        wds.ResampledShards(tars(folder)), wds.tarfile_to_samples(), wds.shuffle(bufsize=500, initial=100),
        wds.select(lambda sample: "txt" in sample and any(ext in sample for ext in ("png", "jpg", "jpeg", "webp"))),
        wds.decode("pilrgb"), wds.rename(image="jpg;png;jpeg;webp", text="txt"),
        wds.map_dict(image=transform, text=text), wds.to_tuple("image", "text"), wds.batched(BATCH))
    names = version("webdataset", "open_clip_torch", "torchvision", "pillow")
    timed(((len(images), 0) for images, _ in pipeline), samples, names)


def dali(folder, samples):
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=BATCH, num_threads=1, device_id=None)
    def pipeline():
        indexes = [str(pathlib.Path(tar).with_suffix(".idx")) for tar in tars(folder)]
        indexes = indexes if all(map(lambda path: pathlib.Path(path).exists(), indexes)) else []
        image, text = fn.readers.webdataset(paths=tars(folder), index_paths=indexes, ext=["jpg", "txt"],
                                            random_shuffle=True, missing_component_behavior="error")
        image = fn.decoders.image_random_crop(image, device="cpu", random_area=[0.9, 1.0])
        return fn.resize(image, size=[SIDE, SIDE], interp_type=types.INTERP_CUBIC), text

    running = pipeline()
    running.build()

    def batches():
        while True:
            images, _ = running.run()
            yield len(images), 0

    timed(batches(), samples, version("nvidia-dali-cuda120"))


def decoder(name):
    """bytes -> uint8 tensor (3, height, width), and the versions of what decodes."""
    import torch

    match name:
        case "torchvision":
            from torchvision.io import ImageReadMode, decode_jpeg

            whole = lambda data: torch.frombuffer(bytearray(data), dtype=torch.uint8)
            return (lambda data: decode_jpeg(whole(data), mode=ImageReadMode.RGB)), version("torchvision")
        case "torchcodec":
            from torchcodec.decoders import ImageReadMode, decode_jpeg

            whole = lambda data: torch.frombuffer(bytearray(data), dtype=torch.uint8)
            return (lambda data: decode_jpeg(whole(data), mode=ImageReadMode.RGB)), version("torchcodec")
        case "simplejpeg":
            import simplejpeg

            decode = lambda data: simplejpeg.decode_jpeg(data, colorspace="RGB")
            return (lambda data: torch.from_numpy(decode(data)).permute(2, 0, 1)), version("simplejpeg")
        case "kornia":
            from kornia_rs.io import decode_image_jpegturbo

            return (lambda data: torch.from_numpy(decode_image_jpegturbo(data, "rgb")).permute(2, 0, 1)), version("kornia-rs")


def tensors(folder, samples, name):
    """What a team builds today instead of PIL: webdataset, a fast decoder to a tensor, torchvision's v2 transforms on it,
    open_clip's tokenizer."""
    import open_clip as clip
    import torch
    import webdataset as wds
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    decode, names = decoder(name)
    transform = v2.Compose([
        v2.RandomResizedCrop(SIDE, scale=(0.9, 1.0), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(clip.OPENAI_DATASET_MEAN, clip.OPENAI_DATASET_STD)])
    tokenizer = clip.get_tokenizer("RN50")
    pipeline = wds.DataPipeline(
        wds.ResampledShards(tars(folder)), wds.tarfile_to_samples(), wds.shuffle(bufsize=500, initial=100),
        wds.select(lambda sample: "txt" in sample and "jpg" in sample), wds.rename(image="jpg", text="txt"),
        wds.map_dict(image=lambda data: transform(decode(data)), text=lambda text: tokenizer(text.decode())[0]),
        wds.to_tuple("image", "text"), wds.batched(BATCH))
    names |= version("webdataset", "open_clip_torch", "torchvision")
    timed(((len(images), 0) for images, _ in pipeline), samples, names)


def datago(folder, samples):
    """Its own decoder and resizer over the JPEGs as plain files: its reader of tars takes URLs only. No captions."""
    import tarfile
    import tempfile

    from datago import DatagoClient

    os.environ["DATAGO_MAX_TASKS"] = "1"
    with tempfile.TemporaryDirectory() as plain:
        for tar in tars(folder):
            with tarfile.open(tar) as file:
                file.extractall(plain, [member for member in file if member.name.endswith(".jpg")], filter="data")
        config = {
            "source_type": "file",
            "source_config": {"root_path": plain, "random_sampling": True, "rank": 0, "world_size": 1},
            "image_config": {"crop_and_resize": True, "default_image_size": SIDE, "downsampling_ratio": 16,
                             "min_aspect_ratio": 1.0, "max_aspect_ratio": 1.0, "pre_encode_images": False},
            "limit": 10**9, "samples_buffer_size": BATCH}

        def batches():
            while True:
                client = DatagoClient(json.dumps(config))
                client.start()
                try:
                    count = 0
                    while client.get_sample() is not None:
                        count += 1
                        if count == BATCH:
                            yield count, 0
                            count = 0
                finally:
                    client.stop()

        timed(batches(), samples, version("datago"))


def spdl(folder, samples):
    import itertools
    import tarfile

    import spdl.io

    images = []
    for tar in tars(folder):
        with tarfile.open(tar) as file:
            images += [file.extractfile(member).read() for member in file if member.name.endswith(".jpg")]

    def batches():
        endless = itertools.cycle(images)
        while True:
            group = itertools.islice(endless, BATCH)
            frames = [spdl.io.decode_packets(spdl.io.demux_image(image), filter_desc=spdl.io.get_video_filter_desc(
                scale_width=SIDE, scale_height=SIDE, pix_fmt="rgb24")) for image in group]
            yield len(spdl.io.to_numpy(spdl.io.convert_frames(frames))), 0

    timed(batches(), samples, version("spdl"))


def main():
    job, folder, *rest = sys.argv[1:]
    samples = int(rest[0]) if rest else None
    match job:
        case "scan":
            scan(folder)
        case "open_clip" | "open_clip_tokens":
            open_clip(folder, samples, job == "open_clip_tokens")
        case "torchvision" | "torchcodec" | "simplejpeg" | "kornia":
            tensors(folder, samples, job)
        case "datago":
            datago(folder, samples)
        case "dali":
            dali(folder, samples)
        case "spdl":
            spdl(folder, samples)


if __name__ == "__main__":
    main()
