//! PyTorch checkpoints made by PyTorch (`tests/data/torch/make.py`).

use std::path::Path;

use ascendit::tensor::DType;
use ascendit::weights::{OpenOptions, Weights};

use super::{data, message, open, with_state_dict};

/// Both hold the same tensors, bit for bit.
fn assert_same(found: &Weights, expected: &Path) {
    let expected = open(expected);
    let names: Vec<&str> = found.names().collect();
    assert_eq!(names, expected.names().collect::<Vec<_>>());
    for name in names {
        let (a, b) = (found.read(name).unwrap(), expected.read(name).unwrap());
        assert_eq!(a.shape(), b.shape(), "{name}");
        assert_eq!(a.dtype(), b.dtype(), "{name}");
        assert_eq!(a.as_bytes(), b.as_bytes(), "{name}");
    }
}

fn assert_matches_safetensors(name: &str) -> Weights {
    let weights = open(&data(&format!("torch/{name}")));
    assert_same(&weights, &data(&format!("torch/{name}.safetensors")));
    weights
}

#[test]
fn every_element_type_is_read() {
    let weights = assert_matches_safetensors("types.pt");
    let dtypes = [
        ("f64", DType::F64),
        ("f32", DType::F32),
        ("f16", DType::F16),
        ("bf16", DType::BF16),
        ("i64", DType::I64),
        ("i32", DType::I32),
        ("u8", DType::U8),
        ("bool", DType::Bool),
    ];
    for (name, dtype) in dtypes {
        assert_eq!(weights.get(name).unwrap().dtype, dtype, "{name}");
    }
    assert!(weights.get("scalar").unwrap().shape.is_empty());
    assert_eq!(weights.get("empty_axis").unwrap().shape, [3, 0, 2]);
    assert_eq!(weights.parameters(), 6 + 6 + 5 + 6 + 3 + 2 + 3 + 3 + 1 + 4);
    assert_eq!(
        weights.size_bytes(),
        48 + 24 + 10 + 12 + 24 + 8 + 3 + 3 + 4 + 16
    );
}

#[test]
fn pickle_protocols_3_to_5_are_read() {
    for protocol in 3..=5 {
        assert_matches_safetensors(&format!("protocol{protocol}.pt"));
    }
}

#[test]
fn windows_on_shared_storage_are_places_in_one_record() {
    let weights = assert_matches_safetensors("windows.pt");
    let whole = weights.get("whole").unwrap();
    let rows = weights.get("rows").unwrap();
    let transposed = weights.get("transposed").unwrap();
    assert_eq!(weights.get("tied").unwrap(), whole);
    assert_eq!(rows.offset, whole.offset + 6 * 4);
    assert!(rows.is_contiguous());
    assert_eq!(
        (&transposed.shape[..], &transposed.strides[..]),
        (&[6, 4][..], &[1, 6][..])
    );
    assert!(!transposed.is_contiguous());
    assert_eq!(transposed.offset, whole.offset);
    assert_eq!(weights.bytes(transposed), weights.bytes(whole));
}

#[test]
fn a_module_state_dict_is_read() {
    let weights = assert_matches_safetensors("module.bin");
    assert_eq!(
        weights.get("norm.num_batches_tracked").unwrap().dtype,
        DType::I64
    );
}

#[test]
fn averaged_weights_are_preferred_and_lose_their_wrapper_prefix() {
    assert_matches_safetensors("training.ckpt");
    assert_matches_safetensors("dit.pt");
    let ema = Weights::open(&data("torch/training.ckpt"), &with_state_dict("ema")).unwrap();
    assert_same(&ema, &data("torch/training.ckpt.safetensors"));
}

#[test]
fn averaged_weights_that_were_never_filled_are_passed_over() {
    assert_matches_safetensors("empty-ema.ckpt");
}

#[test]
fn the_plain_weights_can_be_asked_for() {
    for choice in ["plain", "state_dict", "state_dict.gen_model"] {
        let plain = Weights::open(&data("torch/training.ckpt"), &with_state_dict(choice)).unwrap();
        assert_same(&plain, &data("torch/training.ckpt.plain.safetensors"));
    }
}

#[test]
fn a_state_dict_can_be_asked_for_by_its_key() {
    let options = with_state_dict("state_dict.disc_model");
    let weights = Weights::open(&data("torch/training.ckpt"), &options).unwrap();
    assert_same(&weights, &data("torch/training.ckpt.disc.safetensors"));
}

#[test]
fn an_unsupported_element_type_is_an_error_only_where_it_is_used() {
    let path = data("torch/unsupported.pt");
    let weights = open(&path);
    assert_eq!(weights.names().collect::<Vec<_>>(), ["f32", "f8", "int8"]);
    assert_eq!(weights.read("f32").unwrap().shape(), [2]);
    assert!(weights.get("f8").is_none());
    for (name, dtype) in [("f8", "float8_e4m3fn"), ("int8", "int8")] {
        assert_eq!(
            weights.read(name).unwrap_err().to_string(),
            format!(
                "{}: {name}: its element type {dtype} is not supported; f64, f32, f16, bf16, i64, \
                 i32, u8 and bool are",
                path.canonicalize().unwrap().display()
            )
        );
    }
}

#[test]
fn checkpoints_that_cannot_be_read_say_why() {
    let keys = "epoch, lr, big, note, raw, seen, milestones, shape, dtype, device, args, \
                optimizer_state, scheduler, state_dict, ema_state_dict";
    let cases = [
        (
            "legacy.pt",
            "auto",
            "is in PyTorch's format from before version 1.6, or a plain pickle; load it in Python \
             and save it again with torch.save, or as safetensors"
                .to_owned(),
        ),
        (
            "expanded.pt",
            "auto",
            "w: its shape [1000] repeats a storage of 1 elements; save it with .contiguous()"
                .into(),
        ),
        (
            "sparse.pt",
            "auto",
            "the pickle wants torch._utils._rebuild_sparse_tensor, which is not a tensor, \
             container or number; nothing was executed; save only the state dict, or use \
             safetensors"
                .into(),
        ),
        (
            "whole-module.pt",
            "auto",
            "the pickle wants torch.nn.modules.container.Sequential, which is not a tensor, \
             container or number; nothing was executed; save only the state dict, or use \
             safetensors"
                .into(),
        ),
        (
            "list.pt",
            "auto",
            "holds no dict of tensors; save the state dict of the model".into(),
        ),
        (
            "no-tensors.pt",
            "auto",
            "holds no state dict; its top level has epoch, history".into(),
        ),
        (
            "script.pt",
            "auto",
            "is a TorchScript program; save the state dict of the model instead".into(),
        ),
        (
            "types.pt",
            "ema",
            "holds no EMA state dict; its top level has f64, f32, f16, bf16, i64, i32, u8, bool, \
             scalar, empty, empty_axis, parameter"
                .into(),
        ),
        (
            "training.ckpt",
            "teacher",
            format!("holds no state dict at \"teacher\"; its top level has {keys}"),
        ),
    ];
    for (file, choice, expected) in cases {
        let path = data(&format!("torch/{file}"));
        assert_eq!(
            message(Weights::open(&path, &with_state_dict(choice))),
            format!("{}: {expected}", path.display())
        );
    }
}

#[test]
fn the_elements_are_not_copied() {
    let weights = Weights::open(&data("torch/types.pt"), &OpenOptions::default()).unwrap();
    let entry = weights.get("f32").unwrap();
    let file = weights.files()[0].bytes();
    assert_eq!(weights.bytes(entry).as_ptr(), file[entry.offset..].as_ptr());
}
