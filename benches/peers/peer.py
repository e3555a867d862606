"""What the two peers share: the command line, weights on disk, the timing loop and the comparison.

A peer is a module with released parameter names, a config, and named inputs and outputs. Its folder holds `config.json`,
`weights.safetensors` and `case-bench.safetensors` (`in.*`, `out.*`), so that the engine can load, run and verify the same thing.
"""

import argparse
import json
import pathlib
import sys
import time

import torch
from safetensors.torch import load_file, save_file

CASE = "case-bench.safetensors"


def options(description):
    """The options that both peers have; a script adds its own sizes."""
    parser = argparse.ArgumentParser(description=description)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write-weights", metavar="DIR", help="write config.json, random weights, inputs and torch's outputs to DIR and stop")
    action.add_argument("--check", metavar="FILE", help="compare the out.* tensors of a safetensors FILE with torch's and stop")
    parser.add_argument("--weights", metavar="DIR", help="folder written by --write-weights")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default 2)")
    parser.add_argument("--warm-up", type=int, default=1, metavar="N", help="runs before the first timed one (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights and inputs (default 0)")
    return parser


def randomise(model, seed):
    """Weights that keep activations near 1 at any depth; norms near identity; buffers stay."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        norm = isinstance(module, torch.nn.LayerNorm)
        for name, weight in module.named_parameters(recurse=False):
            one_row = weight.dim() == 1
            std = 0.1 if one_row else 0.8 / weight[0].numel() ** 0.5
            weight.normal_(0.0, std, generator=generator)
            if norm and name == "weight":
                weight.add_(1.0)


def write(folder, config, model, inputs, outputs):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "weights.safetensors")
    case = {f"in.{name}": tensor for name, tensor in inputs.items()}
    case |= {f"out.{name}": tensor.contiguous() for name, tensor in outputs.items()}
    save_file(case, folder / CASE)


def compare(outputs, path):
    """Prints one JSON line per output; true where all are close (the engine's f32 limits)."""
    theirs = load_file(path)
    good = True
    for name, ours in outputs.items():
        expected = ours.double()
        difference = theirs[f"out.{name}"].double() - expected
        max_abs = difference.abs().max().item()
        nmse = (difference.square().sum() / expected.square().sum()).item()
        passed = max_abs <= 1e-4 * max(1.0, expected.abs().max().item()) and nmse <= 1e-9
        good &= passed
        print(json.dumps({"output": name, "max_abs": max_abs, "nmse": nmse, "passed": passed}))
    return good


def serve(step, warm_up):
    """One timed run and one JSON line for each line on stdin, so that a bench can take turns with us."""
    for _ in range(warm_up):
        step()
    print(json.dumps({"ready": True, "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


def main(parser, new_config, new_model, new_inputs, forward):
    """Does what the command line asks for.

    `new_config(args)` and `new_inputs(config, args)` say what to write; `new_model(config)` builds the module and
    `forward(model, inputs)` gives a dict of outputs.
    """
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with torch.inference_mode():
        if args.write_weights:
            config = new_config(args)
            model = new_model(config).eval()
            randomise(model, args.seed)
            torch.manual_seed(args.seed + 1)
            inputs = new_inputs(config, args)
            write(pathlib.Path(args.write_weights), config, model, inputs, forward(model, inputs))
            return 0
        if not args.weights:
            parser.error("--weights DIR is needed (make one with --write-weights DIR)")
        folder = pathlib.Path(args.weights)
        model = new_model(json.loads((folder / "config.json").read_text())).eval()
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        inputs = {name[3:]: tensor for name, tensor in load_file(folder / CASE).items() if name.startswith("in.")}
        if args.check:
            return 0 if compare(forward(model, inputs), args.check) else 1
        serve(lambda: forward(model, inputs), args.warm_up)
    return 0
