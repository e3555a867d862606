//! Weight files that are damaged, hostile or of another model.

use std::io::{Cursor, Write};

use serde_json::{Map, Value, json};

use super::{Case, check, with};
use crate::program::{Place, safetensors};

const TRANSFORMER: &str = "demo/transformer/diffusion_pytorch_model.safetensors";
const BIAS: &str = "adaln_single.linear.bias";

/// A short generation with the damaged demo.
const RUN: &str = "+ --model demo --frames 1 --steps 1";

/// The demo with other bytes as the transformer's weights.
fn replaced(place: &Place, content: impl AsRef<[u8]>) {
    place.demo();
    place.write(TRANSFORMER, content);
}

/// The demo with another header or other elements of the transformer's weights.
fn edited(place: &Place, edit: fn(&mut Map<String, Value>, &mut Vec<u8>)) {
    place.demo();
    place.edit_weights(TRANSFORMER, edit);
}

/// One tensor as a whole file.
fn one_tensor(info: Value, data: &[u8]) -> Vec<u8> {
    let header = Map::from_iter([("x".to_owned(), info)]);
    safetensors(&header, data)
}

/// A PyTorch checkpoint with this pickle in place of the transformer's weights.
fn pickled(place: &Place, pickle: &[u8]) {
    place.demo();
    place.remove(TRANSFORMER);
    let mut zip = zip::ZipWriter::new(Cursor::new(vec![]));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("model/data.pkl", options).expect("a record");
    zip.write_all(pickle).expect("a record");
    zip.start_file("model/version", options).expect("a record");
    zip.write_all(b"3\n").expect("a record");
    let bytes = zip.finish().expect("an archive").into_inner();
    place.write("demo/transformer/diffusion_pytorch_model.bin", bytes);
}

fn files() -> Vec<Case> {
    vec![
        with(
            |place| {
                place.demo();
                place.remove(TRANSFORMER);
            },
            RUN,
            2,
            "ERROR demo/transformer: has no weight file; looked for diffusion_pytorch_model.safetensors, diffusion_pytorch_model.safetensors.index.json, model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.bin, diffusion_pytorch_model.bin.index.json, pytorch_model.bin, pytorch_model.bin.index.json, and for a single *.safetensors, *.bin, *.pt, *.pth or *.ckpt; the directory has config.json",
        ),
        with(
            |place| replaced(place, ""),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: is empty; download it again",
        ),
        with(
            |place| replaced(place, "junk"),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: is only 4 bytes long, so it is no safetensors file; download it again",
        ),
        with(
            |place| replaced(place, "junk that is longer than a header"),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: is neither a safetensors file nor a PyTorch zip checkpoint",
        ),
        with(
            |place| {
                replaced(
                    place,
                    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
                );
            },
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: is a Git LFS pointer, not the weights; get them with `git lfs pull`, or download the file itself",
        ),
        with(
            |place| {
                place.demo();
                let bytes = place.read(TRANSFORMER);
                place.write(TRANSFORMER, &bytes[..bytes.len() / 2]);
            },
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: transformer_blocks.3.ff.net.0.proj.weight: it lies at bytes 4922176 to 5217088, and the file has 5121600; the file is cut off, download it again",
        ),
        with(
            |place| {
                replaced(
                    place,
                    one_tensor(
                        json!({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}),
                        &[0; 4],
                    ),
                )
            },
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: x: 2 elements of type F32 do not fill its 4 bytes",
        ),
        with(
            |place| {
                replaced(
                    place,
                    one_tensor(
                        json!({"dtype": "F32", "shape": [4000000000u64, 4000000000u64, 4000000000u64], "data_offsets": [0, 4]}),
                        &[0; 4],
                    ),
                );
            },
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors: x: its shape [4000000000, 4000000000, 4000000000] is larger than any memory",
        ),
        with(
            |place| {
                place.demo();
                place.remove(TRANSFORMER);
                place.write(
                    "demo/transformer/diffusion_pytorch_model.safetensors.index.json",
                    json!({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
                        .to_string(),
                );
            },
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors.index.json: 2 of 2 shards are missing: one.safetensors, two.safetensors; download them again",
        ),
        with(
            |place| {
                place.demo();
                place.remove(TRANSFORMER);
                place.write(
                    "demo/transformer/diffusion_pytorch_model.safetensors.index.json",
                    json!({"weight_map": {"a": "../../secret.safetensors"}}).to_string(),
                );
            },
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.safetensors.index.json: a: its shard \"../../secret.safetensors\" is not a file below the index",
        ),
    ]
}

fn pickles() -> Vec<Case> {
    vec![
        with(
            |place| pickled(place, b"\x80\x02cposix\nsystem\nU\x02ls\x85R."),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.bin: the pickle wants posix.system, which is not a tensor, container or number; nothing was executed; save only the state dict, or use safetensors",
        ),
        with(
            |place| pickled(place, b"\x80\x02c__builtin__\neval\nU\x011\x85R."),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.bin: the pickle wants __builtin__.eval, which is not a tensor, container or number; nothing was executed; save only the state dict, or use safetensors",
        ),
        with(
            |place| pickled(place, b"\x80\x02}"),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.bin: its pickle is damaged at byte 3: the pickle ends there",
        ),
        with(
            |place| pickled(place, &[b"\x80\x02".as_slice(), &[b'('; 100_000]].concat()),
            RUN,
            2,
            "ERROR demo/transformer/diffusion_pytorch_model.bin: its pickle is damaged at byte 100002: the pickle ends there",
        ),
        with(
            |place| {
                place.demo();
                place.remove(TRANSFORMER);
                place.write(
                    "demo/transformer/model.bin",
                    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
                );
            },
            RUN,
            2,
            "ERROR demo/transformer/model.bin: is in PyTorch's format from before version 1.6, or a plain pickle; load it in Python and save it again with torch.save, or as safetensors",
        ),
    ]
}

fn tensors() -> Vec<Case> {
    vec![
        with(
            |place| {
                edited(place, |header, _| {
                    let bias = header.remove(BIAS).expect("the bias");
                    header.insert("other".into(), bias);
                });
            },
            RUN,
            2,
            "ERROR transformer: 1 tensor does not fit: adaln_single.linear.bias: missing",
        ),
        with(
            |place| {
                edited(place, |header, _| {
                    let bias = header.remove(BIAS).expect("the bias");
                    header.insert("other".into(), bias);
                });
            },
            "+ --model demo --frames 1 --steps 1 --strict",
            2,
            "ERROR transformer: 2 tensors do not fit: adaln_single.linear.bias: missing; other: unexpected",
        ),
        with(
            |place| {
                edited(place, |header, _| header[BIAS]["shape"] = json!([2, 576]));
            },
            RUN,
            2,
            "ERROR transformer: 1 tensor does not fit: adaln_single.linear.bias: expected [1152], file has f16[2, 576] (diffusion_pytorch_model.safetensors)",
        ),
        with(
            |place| {
                edited(place, |header, _| header[BIAS]["dtype"] = json!("I16"));
            },
            RUN,
            2,
            "ERROR transformer: 1 tensor does not fit: adaln_single.linear.bias: its element type I16 is not supported; f64, f32, f16, bf16, i64, i32, u8 and bool are",
        ),
        with(
            |place| {
                place.demo();
                place.set("demo/transformer/config.json", "num_layers", json!(9));
            },
            RUN,
            2,
            "ERROR transformer: 21 tensors do not fit: transformer_blocks.8.attn1.to_k.bias: missing; transformer_blocks.8.attn1.to_k.weight: missing; transformer_blocks.8.attn1.to_out.0.bias: missing; transformer_blocks.8.attn1.to_out.0.weight: missing; transformer_blocks.8.attn1.to_q.bias: missing; transformer_blocks.8.attn1.to_q.weight: missing; transformer_blocks.8.attn1.to_v.bias: missing; transformer_blocks.8.attn1.to_v.weight: missing; transformer_blocks.8.attn2.to_k.bias: missing; transformer_blocks.8.attn2.to_k.weight: missing; transformer_blocks.8.attn2.to_out.0.bias: missing; transformer_blocks.8.attn2.to_out.0.weight: missing; transformer_blocks.8.attn2.to_q.bias: missing; transformer_blocks.8.attn2.to_q.weight: missing; transformer_blocks.8.attn2.to_v.bias: missing; transformer_blocks.8.attn2.to_v.weight: missing; transformer_blocks.8.ff.net.0.proj.bias: missing; transformer_blocks.8.ff.net.0.proj.weight: missing; transformer_blocks.8.ff.net.2.bias: missing; transformer_blocks.8.ff.net.2.weight: missing; transformer_blocks.8.scale_shift_table: missing",
        ),
        with(
            |place| {
                edited(place, |header, data| {
                    let start =
                        header[BIAS]["data_offsets"][0].as_u64().expect("an offset") as usize;
                    data[start..start + 2].copy_from_slice(&[0, 0x7e]);
                });
            },
            RUN,
            1,
            "ERROR the prediction is not finite after step 1 of 1, computed in f32; use a lower guidance scale or another sampler, or download the weights again: they may be damaged",
        ),
        with(
            |place| {
                place.demo();
                place.edit_weights("demo/text_encoder/model.safetensors", |header, data| {
                    let norm = &header["encoder.final_layer_norm.weight"];
                    let start = norm["data_offsets"][0].as_u64().expect("an offset") as usize;
                    data[start..start + 2].copy_from_slice(&[0, 0x7e]);
                });
            },
            RUN,
            1,
            "ERROR the text encoder gave values that are not finite, computed in f32; download the weights again: they may be damaged",
        ),
        with(
            |place| {
                place.demo();
                place.edit_weights(
                    "demo/vae/diffusion_pytorch_model.safetensors",
                    |header, data| {
                        let bias = &header["decoder.conv_in.conv.bias"];
                        let start = bias["data_offsets"][0].as_u64().expect("an offset") as usize;
                        data[start..start + 2].copy_from_slice(&[0, 0x7e]);
                    },
                );
            },
            RUN,
            1,
            "ERROR frame 0 is not finite, decoded in f32; download the weights again: they may be damaged",
        ),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [files(), pickles(), tensors()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn damaged_files_are_told_exactly() {
    check(&files());
}

#[test]
fn hostile_pickles_are_told_exactly() {
    check(&pickles());
}

#[test]
fn wrong_tensors_are_told_exactly() {
    check(&tensors());
}
