"""Makes the PyTorch checkpoints of this folder, each with the tensors that the engine must find
in it as `NAME.safetensors`. Made with PyTorch 2.15 and safetensors 0.8:

    python make.py
"""

import argparse
import io
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

here = Path(__file__).parent
generator = torch.Generator().manual_seed(7)


def rand(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=generator).to(dtype)


def save(name, saved, expected, **options):
    torch.save(saved, here / name, **options)
    # Storages that tensors share cannot be written twice by safetensors.
    expected = {key: value.detach().clone().contiguous() for key, value in expected.items()}
    save_file(expected, here / f"{name}.safetensors")


# Every element type, a scalar, empty tensors, a parameter.
types = {
    "f64": rand(2, 3, dtype=torch.float64),
    "f32": rand(2, 3),
    "f16": rand(5, dtype=torch.float16),
    "bf16": rand(3, 2, dtype=torch.bfloat16),
    "i64": torch.tensor([-(2**40), 0, 2**40]),
    "i32": torch.tensor([[-1], [70000]], dtype=torch.int32),
    "u8": torch.tensor([0, 127, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0),
    "empty_axis": torch.zeros(3, 0, 2, dtype=torch.float16),
    "parameter": torch.nn.Parameter(rand(2, 2)),
}
save("types.pt", types, types)
for protocol in (3, 4, 5):
    save(f"protocol{protocol}.pt", types, types, pickle_protocol=protocol)

# Windows on one storage, and orders that are not row-major.
base = rand(4, 6)
conv = rand(2, 3, 1, 2, 2).contiguous(memory_format=torch.channels_last_3d)
windows = {
    "whole": base,
    "rows": base[1:3],
    "columns": base[:, 2:5],
    "every_second": base[::2, ::3],
    "transposed": base.t(),
    "permuted": rand(2, 3, 4, dtype=torch.bfloat16).permute(2, 0, 1),
    "channels_last": conv,
    "tied": base,
}
save("windows.pt", windows, windows)

# A module with its metadata, as trainers save it.
model = torch.nn.Sequential(OrderedDict(
    proj=torch.nn.Conv3d(2, 4, (1, 2, 2)), norm=torch.nn.BatchNorm1d(4), out=torch.nn.Linear(4, 2)
))
save("module.bin", model.state_dict(), model.state_dict())

# A training checkpoint: nested, averaged weights, wrapped names, optimizer and bookkeeping.
plain = {"a.weight": rand(2, 2), "a.bias": rand(2)}
averaged = {"a.weight": rand(2, 2), "a.bias": rand(2)}
parameters = [torch.nn.Parameter(rand(2, 2))]
optimizer = torch.optim.AdamW(parameters, lr=1e-4)
parameters[0].grad = rand(2, 2)
optimizer.step()
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 9])
training = {
    "epoch": 3,
    "lr": 1e-4,
    "big": 2**70,
    "note": "größe",
    "raw": b"\x00\xff",
    "seen": {1, 2},
    "milestones": Counter([3, 9]),
    "shape": torch.Size([2, 3]),
    "dtype": torch.bfloat16,
    "device": torch.device("cpu"),
    "args": argparse.Namespace(depth=2, name="x"),
    "optimizer_state": optimizer.state_dict(),
    "scheduler": scheduler.state_dict(),
    "state_dict": {"gen_model": plain, "disc_model": {"d.weight": rand(1)}},
    "ema_state_dict": {f"module.{key}": value for key, value in averaged.items()},
}
save("training.ckpt", training, averaged)
save_file(plain, here / "training.ckpt.plain.safetensors")
save_file({"d.weight": training["state_dict"]["disc_model"]["d.weight"]},
          here / "training.ckpt.disc.safetensors")

# The layout of DiT's training script, and averaged weights that were never filled.
save("dit.pt", {"model": plain, "ema": averaged, "opt": {}, "args": None}, averaged)
save("empty-ema.ckpt", {"ema_state_dict": OrderedDict(), "state_dict": plain}, plain)

# Element types that the engine does not know.
save("unsupported.pt", {"int8": torch.tensor([1, 2], dtype=torch.int8),
                        "f8": rand(4).to(torch.float8_e4m3fn), "f32": plain["a.bias"]},
     {"f32": plain["a.bias"]})

# Files that must be refused.
torch.save(plain, here / "legacy.pt", _use_new_zipfile_serialization=False)
torch.save({"w": torch.zeros(1).expand(1000)}, here / "expanded.pt")
torch.save({"w": torch.zeros(2, 2).to_sparse()}, here / "sparse.pt")
torch.save(model, here / "whole-module.pt")
torch.save([plain["a.bias"]], here / "list.pt")
torch.save({"epoch": 3, "history": [1, 2]}, here / "no-tensors.pt")
script = io.BytesIO()
torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)), script)
with zipfile.ZipFile(script) as full, zipfile.ZipFile(here / "script.pt", "w") as bare:
    for record in full.namelist():
        if not record.endswith(".debug_pkl"):  # it has the paths of the machine
            bare.writestr(record, full.read(record))
