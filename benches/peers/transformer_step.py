"""Open-Sora Plan v1.3's text-to-video transformer in plain PyTorch: one denoising step, eager, SDPA without masks.

Parameter names and arithmetic are those of the released model (OpenSoraT2V_v1_3 of PKU-YuanGroup/Open-Sora-Plan v1.3.1)
for inputs without padding: no masks, and a token count that sparse_n^2 divides, so that Skiparse needs no padding either.
"""

import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

import peer


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def split(self, x):
        """[B, L, D] -> [B, L, N, K]"""
        return x.unflatten(-1, (self.heads, -1))

    def forward(self, x, source, rope=None, regroup=None):
        q, k, v = self.split(self.to_q(x)), self.split(self.to_k(source)), self.split(self.to_v(source))
        if rope:
            q, k = rotate(q, *rope), rotate(k, *rope)
        if regroup:
            q, k, v = (regroup.apart(t) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)
        if regroup:
            out = regroup.together(out)
        return self.to_out[0](out.flatten(2))


class Skiparse:
    """Token i = (a * n + b) * n + c; the residue class `c` ("single") or `b` ("group") goes to the batch."""

    def __init__(self, n, group):
        self.n, self.group = n, group

    def apart(self, x):
        """[B, L, N, K] -> [n * B, L / n, N, K]"""
        x = x.unflatten(1, (-1, self.n, self.n))
        x = x.permute(2, 0, 1, 3, 4, 5) if self.group else x.permute(3, 0, 1, 2, 4, 5)
        return x.flatten(2, 3).flatten(0, 1)

    def together(self, x):
        """The way back: [n * B, L / n, N, K] -> [B, L, N, K]"""
        x = x.unflatten(0, (self.n, -1)).unflatten(2, (-1, self.n))
        x = x.permute(1, 2, 0, 3, 4, 5) if self.group else x.permute(1, 2, 3, 0, 4, 5)
        return x.flatten(1, 3)


def rotary_table(grid, head_dim, scales):
    """cos and sin, [L, 1, K]: three equal sections turn by the t, y and x position, halves of a section are pairs."""
    section = head_dim // 3
    frequency = 1.0 / 10000 ** (torch.arange(0, section, 2).float() / section)
    axes = [torch.arange(length) / scale for length, scale in zip(grid, scales)]
    angles = [(axis[:, None] * frequency).repeat(1, 2) for axis in axes]
    t, y, x = grid
    angle = torch.cat(
        [
            angles[0][:, None, None].expand(t, y, x, section),
            angles[1][None, :, None].expand(t, y, x, section),
            angles[2][None, None, :].expand(t, y, x, section),
        ],
        dim=-1,
    ).reshape(t * y * x, 1, head_dim)
    return angle.cos(), angle.sin()


def rotate(x, cos, sin):
    first, second = x.unflatten(-1, (3, 2, -1)).unbind(-2)
    turned = torch.stack([-second, first], dim=-2).flatten(-3)
    return x * cos + turned * sin


class Block(nn.Module):
    def __init__(self, width, heads, eps, regroup):
        super().__init__()
        self.eps, self.regroup = eps, regroup
        self.attn1 = Attention(width, heads)
        self.attn2 = Attention(width, heads)
        self.ff = nn.Module()
        self.ff.net = nn.ModuleList([nn.Module(), nn.Identity(), nn.Linear(4 * width, width)])
        self.ff.net[0].proj = nn.Linear(width, 4 * width)
        self.scale_shift_table = nn.Parameter(torch.zeros(6, width))

    def norm(self, x, shift, scale):
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * (1 + scale) + shift

    def mlp(self, x):
        return self.ff.net[2](F.gelu(self.ff.net[0].proj(x), approximate="tanh"))

    def forward(self, x, text, time, rope):
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (self.scale_shift_table + time).split(1, dim=1)
        normed = self.norm(x, shift_a, scale_a)
        x = x + gate_a * self.attn1(normed, normed, rope, self.regroup)
        x = x + self.attn2(x, text)
        return x + gate_m * self.mlp(self.norm(x, shift_m, scale_m))


class TimeEmbedding(nn.Module):
    """adaLN-single: `[B]` -> six rows `[B, 6, D]` and the embedded timestep `[B, D]`"""

    def __init__(self, width):
        super().__init__()
        self.emb = nn.Module()
        self.emb.timestep_embedder = nn.Module()
        self.emb.timestep_embedder.linear_1 = nn.Linear(256, width)
        self.emb.timestep_embedder.linear_2 = nn.Linear(width, width)
        self.linear = nn.Linear(width, 6 * width)

    def forward(self, timestep):
        frequency = torch.exp(-math.log(10000) * torch.arange(128) / 128)
        angle = timestep[:, None].float() * frequency
        layers = self.emb.timestep_embedder
        hidden = layers.linear_1(torch.cat([angle.cos(), angle.sin()], dim=-1))
        embedded = layers.linear_2(F.silu(hidden))
        return self.linear(F.silu(embedded)).unflatten(1, (6, -1)), embedded


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        heads, head_dim, layers = config["num_attention_heads"], config["attention_head_dim"], config["num_layers"]
        width, patch, n = heads * head_dim, config["patch_size"], config["sparse_n"]
        self.head_dim, self.patch = head_dim, patch
        self.scales = [config[f"interpolation_scale_{axis}"] for axis in "thw"]
        self.pos_embed = nn.Module()
        self.pos_embed.proj = nn.Conv2d(config["in_channels"], width, patch, stride=patch)
        self.caption_projection = nn.Module()
        self.caption_projection.linear_1 = nn.Linear(config["caption_channels"], width)
        self.caption_projection.linear_2 = nn.Linear(width, width)
        self.adaln_single = TimeEmbedding(width)
        sparse = [config["sparse1d"] and 1 < i < 30 for i in range(layers)]
        self.transformer_blocks = nn.ModuleList(
            Block(width, heads, config["norm_eps"], Skiparse(n, i % 2 == 1) if sparse[i] else None) for i in range(layers)
        )
        self.scale_shift_table = nn.Parameter(torch.zeros(2, width))
        self.proj_out = nn.Linear(width, patch * patch * config["out_channels"])
        self.rope = {}

    def forward(self, latent, timestep, text):
        """`latent`: [B, C, T, H, W], `timestep`: [B], `text`: [B, L, caption_channels] -> [B, C', T, H, W]"""
        batch, _, frames = latent.shape[:3]
        x = self.pos_embed.proj(latent.transpose(1, 2).flatten(0, 1))
        grid = (frames, *x.shape[2:])
        x = x.unflatten(0, (batch, frames)).permute(0, 1, 3, 4, 2).flatten(1, 3)
        if grid not in self.rope:
            self.rope[grid] = rotary_table(grid, self.head_dim, self.scales)
        time, embedded = self.adaln_single(timestep)
        text = self.caption_projection.linear_2(F.gelu(self.caption_projection.linear_1(text), approximate="tanh"))
        for block in self.transformer_blocks:
            x = block(x, text, time, self.rope[grid])
        shift, scale = (self.scale_shift_table + embedded[:, None]).split(1, dim=1)
        x = self.proj_out(F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift)
        x = x.unflatten(1, grid).unflatten(-1, (self.patch, self.patch, -1))
        x = x.permute(0, 6, 1, 2, 4, 3, 5)
        return x.flatten(5).flatten(3, 4)


def new_config(args):
    return {
        "_class_name": "OpenSoraT2V_v1_3",
        "num_attention_heads": args.heads,
        "attention_head_dim": args.head_dim,
        "in_channels": 8,
        "out_channels": 8,
        "num_layers": args.layers,
        "cross_attention_dim": args.heads * args.head_dim,
        "attention_bias": True,
        "sample_size_t": args.grid[0],
        "sample_size_h": 2 * args.grid[1],
        "sample_size_w": 2 * args.grid[2],
        "patch_size": 2,
        "patch_size_t": 1,
        "activation_fn": "gelu-approximate",
        "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
        "caption_channels": args.caption_channels,
        "interpolation_scale_t": 1.0,
        "interpolation_scale_h": 1.0,
        "interpolation_scale_w": 1.0,
        "sparse1d": True,
        "sparse_n": 4,
    }


def new_inputs(config, args):
    frames, rows, columns = args.grid
    if frames * rows * columns % config["sparse_n"] ** 2:
        sys.exit(f"transformer_step: --grid {frames} {rows} {columns}: the token count must be a multiple of {config['sparse_n'] ** 2}")
    batch = args.batch
    return {
        "hidden_states": torch.randn(batch, config["in_channels"], frames, 2 * rows, 2 * columns),
        "timestep": torch.randint(0, 1000, (batch,)),
        "encoder_hidden_states": torch.randn(batch, 1, args.text, config["caption_channels"]),
        "attention_mask": torch.ones(batch, frames, 2 * rows, 2 * columns),
        "encoder_attention_mask": torch.ones(batch, 1, args.text, dtype=torch.int64),
    }


def forward(model, inputs):
    return {"sample": model(inputs["hidden_states"], inputs["timestep"], inputs["encoder_hidden_states"][:, 0])}


if __name__ == "__main__":
    parser = peer.options("One denoising step of the Open-Sora Plan v1.3 transformer in PyTorch.")
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--head-dim", type=int, default=96, help="a multiple of 6")
    parser.add_argument("--grid", type=int, nargs=3, default=(6, 20, 22), metavar=("T", "H", "W"), help="tokens per axis (default 6 20 22 = 2640)")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--text", type=int, default=300, help="text tokens (default 300)")
    parser.add_argument("--caption-channels", type=int, default=4096)
    sys.exit(peer.main(parser, new_config, Transformer, new_inputs, forward))
