"""The decoder of Open-Sora Plan v1.3's WF-VAE in plain PyTorch: a whole latent video at once, eager.

Parameter names and arithmetic are those of the released model (WFVAEModel of PKU-YuanGroup/Open-Sora-Plan v1.3.1) with
layer norms and trilinear time upsampling. Only decoder weights are written.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

import peer

# Signs of the two taps of a band: low (sum) and high (difference).
TAPS = ((1.0, 1.0), (1.0, -1.0))
# 1 / (2 sqrt 2) as the released filters have it.
HAAR_3D = 0.3536
# Released buffer names, in the order of the bands: (t, y, x) low or high.
BANDS_3D = {"h": (0, 0, 0), "g": (0, 0, 1), "hh": (0, 1, 0), "gh": (0, 1, 1), "h_v": (1, 0, 0), "g_v": (1, 0, 1), "hh_v": (1, 1, 0), "gh_v": (1, 1, 1)}
BANDS_2D = {"aa": (0, 0), "ad": (1, 0), "da": (0, 1), "dd": (1, 1)}


def per_frame(layer, x):
    """Applies a 2-D layer to each frame of `[B, C, T, H, W]`."""
    batch, frames = x.shape[0], x.shape[2]
    return layer(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, frames)).transpose(1, 2)


class InverseHaar2d(nn.Module):
    def __init__(self):
        super().__init__()
        for name, (y, x) in BANDS_2D.items():
            self.register_buffer(name, 0.5 * torch.outer(torch.tensor(TAPS[y]), torch.tensor(TAPS[x]))[None, None])

    def forward(self, x):
        """`[B, 4 * C, H, W]`, band-major -> `[B, C, 2 * H, 2 * W]`"""
        filters = torch.cat([self.get_buffer(name) for name in BANDS_2D])
        batch = x.shape[0]
        x = x.unflatten(1, (4, -1)).transpose(1, 2).flatten(0, 1)
        return F.conv_transpose2d(x, filters, stride=2)[:, 0].unflatten(0, (batch, -1))


class InverseHaar3d(nn.Module):
    def __init__(self, stored=True):
        super().__init__()
        for name, (t, y, x) in BANDS_3D.items():
            taps = torch.einsum("t,y,x->tyx", torch.tensor(TAPS[t]), torch.tensor(TAPS[y]), torch.tensor(TAPS[x]))
            self.register_buffer(name, HAAR_3D * taps[None, None], persistent=stored)

    def forward(self, x):
        """`[B, 8 * C, T, H, W]`, band-major -> `[B, C, 2 * T - 1, 2 * H, 2 * W]` (the first frame stays single)"""
        filters = torch.cat([self.get_buffer(name) for name in BANDS_3D])
        batch = x.shape[0]
        x = x.unflatten(1, (8, -1)).transpose(1, 2).flatten(0, 1)
        return F.conv_transpose3d(x, filters, stride=2)[:, 0, 1:].unflatten(0, (batch, -1))


class CausalConv3d(nn.Module):
    """The first frame is repeated in front, so that a frame sees itself and earlier ones."""

    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.front = kernel - 1
        self.conv = nn.Conv3d(inputs, outputs, kernel, padding=(0, kernel // 2, kernel // 2))

    def forward(self, x):
        if self.front:
            x = torch.cat([x[:, :, :1].repeat(1, 1, self.front, 1, 1), x], dim=2)
        return self.conv(x)


class ChannelNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x):
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class ResBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1 = ChannelNorm(inputs)
        self.conv1 = CausalConv3d(inputs, outputs, 3)
        self.norm2 = ChannelNorm(outputs)
        self.conv2 = CausalConv3d(outputs, outputs, 3)
        if inputs != outputs:
            self.nin_shortcut = CausalConv3d(inputs, outputs, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class FrameAttention(nn.Module):
    """One head over the pixels of each frame."""

    def __init__(self, channels):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.q = CausalConv3d(channels, channels, 1)
        self.k = CausalConv3d(channels, channels, 1)
        self.v = CausalConv3d(channels, channels, 1)
        self.proj_out = CausalConv3d(channels, channels, 1)

    def forward(self, x):
        normed = self.norm(x)
        q, k, v = (layer(normed).permute(0, 2, 3, 4, 1).flatten(2, 3) for layer in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(out.unflatten(2, x.shape[-2:]).movedim(-1, 1))


class SpaceTimeUpsample(nn.Module):
    """Twice the height and width, and 1 + 2n frames of 1 + n."""

    def __init__(self, channels):
        super().__init__()
        self.conv = CausalConv3d(channels, channels, 3)

    def forward(self, x):
        if x.shape[2] > 1:
            later = F.interpolate(x[:, :, 1:], scale_factor=(2, 1, 1), mode="trilinear")
            x = torch.cat([x[:, :, :1], later], dim=2)
        return self.conv(F.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear"))


class SpaceUpsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return per_frame(lambda frames: self.conv(F.interpolate(frames, scale_factor=2, mode="nearest")), x)


class Decoder(nn.Module):
    def __init__(self, latent, base, blocks):
        super().__init__()
        self.flow = base  # channels of the energy flow
        self.conv_in = CausalConv3d(latent, 4 * base, 3)
        self.mid = nn.Sequential(ResBlock(4 * base, 4 * base), FrameAttention(4 * base), ResBlock(4 * base, 5 * base))
        same = [ResBlock(4 * base, 4 * base) for _ in range(blocks)]
        self.up2 = nn.Sequential(*same, SpaceTimeUpsample(4 * base), ResBlock(4 * base, 5 * base))
        narrowing = [ResBlock((4 if i == 0 else 2) * base, 2 * base) for i in range(blocks)]
        self.up1 = nn.Sequential(*narrowing, SpaceUpsample(2 * base), ResBlock(2 * base, 2 * base))
        self.layer = nn.Sequential(ResBlock(2 * base, base), ResBlock(base, base))
        self.connect_l1 = nn.Sequential(ResBlock(base, base), nn.Conv2d(base, 12, 3, padding=1))
        self.connect_l2 = nn.Sequential(ResBlock(base, base), nn.Conv2d(base, 24, 3, padding=1))
        self.norm_out = ChannelNorm(base)
        self.conv_out = nn.Conv2d(base, 24, 3, padding=1)
        self.inverse_wavelet_tranform_l1 = InverseHaar2d()
        self.inverse_wavelet_tranform_l2 = InverseHaar3d()

    def coefficients(self, connect, x):
        return per_frame(connect[1], connect[0](x))

    def forward(self, z):
        h = self.mid(self.conv_in(z))
        low2 = self.inverse_wavelet_tranform_l2(self.coefficients(self.connect_l2, h[:, -self.flow :]))
        h = self.up2(h[:, : -self.flow])
        bands = self.coefficients(self.connect_l1, h[:, -self.flow :])
        bands = torch.cat([bands[:, :3] + low2, bands[:, 3:]], dim=1)
        low1 = per_frame(self.inverse_wavelet_tranform_l1, bands)
        h = self.layer(self.up1(h[:, : -self.flow]))
        h = per_frame(self.conv_out, F.silu(self.norm_out(h)))
        return torch.cat([h[:, :3] + low1, h[:, 3:]], dim=1)


class WfVae(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.decoder = Decoder(config["latent_dim"], config["base_channels"], config["decoder_num_resblocks"])
        # The filters of the last transform are not in the released checkpoints.
        self.last = InverseHaar3d(stored=False)

    def forward(self, latent):
        """`[B, C, T, H, W]` -> `[B, 3, 4 * T - 3, 8 * H, 8 * W]`, before clamping"""
        return self.last(self.decoder(latent))


def new_config(args):
    return {
        "_class_name": "WFVAEModel",
        "latent_dim": 8,
        "base_channels": args.base,
        "encoder_num_resblocks": args.blocks,
        "encoder_energy_flow_hidden_size": args.base,
        "decoder_num_resblocks": args.blocks,
        "decoder_energy_flow_hidden_size": args.base,
        "use_attention": True,
        "norm_type": "layernorm",
        "t_interpolation": "trilinear",
        "connect_res_layer_num": 1,
        "scale": [1.0] * 8,
        "shift": [0.0] * 8,
    }


def new_inputs(config, args):
    return {"latent": torch.randn(1, config["latent_dim"], *args.latent)}


def forward(model, inputs):
    return {"video": model(inputs["latent"])}


if __name__ == "__main__":
    parser = peer.options("The WF-VAE decoder of Open-Sora Plan v1.3 in PyTorch.")
    parser.add_argument("--base", type=int, default=64, help="base channels (default 64)")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks per level (default 2)")
    parser.add_argument("--latent", type=int, nargs=3, default=(5, 16, 16), metavar=("T", "H", "W"), help="latent size (default 5 16 16: 17 frames of 128x128)")
    sys.exit(peer.main(parser, new_config, WfVae, new_inputs, forward))
