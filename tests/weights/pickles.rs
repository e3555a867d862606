//! Hand-made pickles: what `torch.save` does not write, and what an attacker would.

use ascendit::weights::Weights;

use super::bodies::torch_archive;
use super::{from_bytes, message};

/// Text of a pickle instruction `GLOBAL`.
fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    let mut code = vec![b'X'];
    code.extend((text.len() as u32).to_le_bytes());
    code.extend(text.as_bytes());
    code
}

fn int(n: i64) -> Vec<u8> {
    let mut code = vec![0x8a, 8];
    code.extend(n.to_le_bytes());
    code
}

fn tuple(items: &[i64]) -> Vec<u8> {
    let items: Vec<u8> = items.iter().flat_map(|&n| int(n)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// A tensor on storage `key` of `len` elements of class `class`.
fn tensor(
    class: &str,
    key: &str,
    len: i64,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
) -> Vec<u8> {
    [
        &global("torch._utils", "_rebuild_tensor_v2")[..],
        b"((",
        &text("storage"),
        &global("torch", class),
        &text(key),
        &text("cpu"),
        &int(len),
        b"tQ",
        &int(offset),
        &tuple(shape),
        &tuple(strides),
        b"\x89NtR",
    ]
    .concat()
}

/// A pickle of a dict from its keys and values.
fn dict(items: &[Vec<u8>]) -> Vec<u8> {
    [b"\x80\x02}(", &items.concat()[..], b"u."].concat()
}

fn load(pickle: &[u8]) -> ascendit::Result<Weights> {
    from_bytes(&torch_archive(pickle))
}

fn refused(pickle: &[u8]) -> String {
    message(load(pickle))
}

#[test]
fn a_hand_made_tensor_is_read() {
    let w = tensor("ShortStorage", "0", 32, 4, &[2, 3], &[3, 1]);
    let v = tensor("ByteStorage", "1", 64, 4, &[2, 3], &[3, 1]);
    let weights = load(&dict(&[text("w"), w, text("v"), v])).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["v", "w"]);
    assert_eq!(weights.read("v").unwrap().as_bytes(), [2; 6]);
}

#[test]
fn every_name_that_is_not_a_tensor_container_or_number_is_refused() {
    let full = |name: &str| {
        format!(
            "<memory>: the pickle wants {name}, which is not a tensor, container or number; \
             nothing was executed; save only the state dict, or use safetensors"
        )
    };
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("torch", "load"),
        ("torch", "Storage"),
        ("torch.hub", "load"),
        ("collections", "OrderedDict.fromkeys"),
        ("numpy.core.multiarray", "scalar"),
    ] {
        let call = [
            &b"\x80\x02"[..],
            &global(module, name),
            b"(X\x02\0\0\0lstR.",
        ]
        .concat();
        assert_eq!(refused(&call), full(&format!("{module}.{name}")));
        let by_stack = [&b"\x80\x04"[..], &text(module), &text(name), b"\x93)R."].concat();
        assert_eq!(refused(&by_stack), full(&format!("{module}.{name}")));
    }
    let unprintable = [
        &b"\x80\x02"[..],
        &global("a\x1b[2J", &"b".repeat(500)),
        b".",
    ]
    .concat();
    assert_eq!(
        refused(&unprintable),
        full(&format!("a\\u{{1b}}[2J.{}", "b".repeat(94)))
    );
}

#[test]
fn damaged_pickles_say_where() {
    let torch_global = global("torch", "FloatStorage");
    let cases: [(&[u8], usize, &str); 23] = [
        (b"", 0, "the pickle ends there"),
        (b"\x80\x02", 2, "the pickle ends there"),
        (b"\x80\x01.", 0, "protocol 1"),
        (b"\x80\x02.", 2, "the stack is empty"),
        (b"\x80\x020", 2, "the stack is empty"),
        (b"\x80\x02N(a", 4, "the stack is empty"),
        (b"\x80\x02N(2", 4, "the stack is empty"),
        (b"\x80\x02NN(\x86", 5, "the stack is empty"),
        (b"\x80\x02t", 2, "no mark is open"),
        (b"\x80\x02h\x05", 2, "an empty memo slot is read"),
        (
            b"\x80\x02Nr\xff\xff\xff\xff",
            3,
            "a memo slot is passed over",
        ),
        (
            b"\x80\x02NNa",
            4,
            "an item for something that is not a list",
        ),
        (
            b"\x80\x02](NNu",
            6,
            "an item for something that is not a dict",
        ),
        (b"\x80\x02}(Nu", 5, "a key without a value"),
        (b"\x80\x02X\xff\xff\xff\xffabc", 2, "the pickle ends there"),
        (
            b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
            2,
            "the pickle ends there",
        ),
        (b"\x80\x02X\x01\0\0\0\xff", 2, "a string that is not UTF-8"),
        (b"\x80\x02cabc", 2, "a name without an end"),
        (b"\x80\x02NN\x93", 4, "a global without a name"),
        (
            b"\x80\x02N)R",
            4,
            "a call of something that is not a known name",
        ),
        (b"\x80\x02NQ", 3, "a reference that is not to a storage"),
        (
            b"\x80\x02(Nios\nsystem\n",
            4,
            "instruction 0x69 is not one that torch.save writes",
        ),
        (
            b"\x80\x02Pfile\n",
            2,
            "instruction 0x50 is not one that torch.save writes",
        ),
    ];
    for (pickle, at, what) in cases {
        assert_eq!(
            refused(pickle),
            format!("<memory>: its pickle is damaged at byte {at}: {what}"),
            "{pickle:?}"
        );
    }
    let call = [&b"\x80\x02"[..], &torch_global, b")R."].concat();
    assert_eq!(
        refused(&call),
        "<memory>: its pickle is damaged at byte 23: a call with arguments that torch.save does \
         not write"
    );
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    let cases = [
        (
            tensor("FloatStorage", "0", 16, 12, &[5], &[1]),
            "its shape [5] with strides [1] from element 12 on leaves its storage of 16 elements",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[4, 4], &[5, 1]),
            "its shape [4, 4] with strides [5, 1] from element 0 on leaves its storage of 16 \
             elements",
        ),
        (
            tensor("FloatStorage", "0", 16, -1, &[1], &[1]),
            "its shape [1] with strides [1] from element -1 on leaves its storage of 16 elements",
        ),
        (
            tensor("FloatStorage", "0", 16, i64::MAX, &[2], &[1]),
            "its shape [2] with strides [1] from element 9223372036854775807 on leaves its \
             storage of 16 elements",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[3, 3], &[i64::MAX, i64::MAX]),
            "its shape [3, 3] with strides [9223372036854775807, 9223372036854775807] from \
             element 0 on leaves its storage of 16 elements",
        ),
        (
            tensor(
                "FloatStorage",
                "0",
                16,
                0,
                &[1 << 30, 1 << 30, 1 << 30],
                &[0, 0, 0],
            ),
            "its shape [1073741824, 1073741824, 1073741824] is larger than any memory",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[1 << 30], &[0]),
            "its shape [1073741824] repeats a storage of 16 elements; save it with .contiguous()",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[-1], &[1]),
            "a size of -1",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[1], &[-1]),
            "a size of -1",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[1, 1], &[1]),
            "it has 2 axes and 1 strides",
        ),
        (
            tensor("FloatStorage", "0", 16, 0, &[1; 9], &[1; 9]),
            "it has 9 axes; at most 8 are read",
        ),
        (
            tensor("FloatStorage", "0", 17, 0, &[1], &[1]),
            "its storage 0 has 64 bytes, which are not 17 elements of float32; the file is \
             damaged, download it again",
        ),
        (
            tensor("DoubleStorage", "0", i64::MAX, 0, &[1], &[1]),
            "its storage 0 has 64 bytes, which are not 9223372036854775807 elements of float64; \
             the file is damaged, download it again",
        ),
        (
            tensor("FloatStorage", "../data.pkl", 16, 0, &[1], &[1]),
            "its storage \"../data.pkl\" is not in the file",
        ),
    ];
    for (tensor, expected) in cases {
        assert_eq!(
            refused(&dict(&[text("w"), tensor])),
            format!("<memory>: w: {expected}")
        );
    }
}

#[test]
fn a_tensor_on_a_window_of_bytes_is_read_by_its_own_type() {
    let of_type = |dtype: &str, offset: i64| {
        [
            &text("w")[..],
            &global("torch._utils", "_rebuild_tensor_v3"),
            b"((",
            &text("storage"),
            &global("torch.storage", "UntypedStorage"),
            &text("1"),
            &text("cpu"),
            &int(64),
            b"tQ",
            &int(offset),
            &tuple(&[2]),
            &tuple(&[1]),
            b"\x89N",
            &global("torch", dtype),
            b"tR",
        ]
        .concat()
    };
    let weights = load(&dict(&[of_type("bfloat16", 30)])).unwrap();
    assert_eq!(weights.read("w").unwrap().as_bytes(), [2; 4]);
    assert_eq!(
        refused(&dict(&[of_type("bfloat16", 31)])),
        "<memory>: w: its shape [2] with strides [1] from element 31 on leaves its storage of 32 \
         elements"
    );
}

#[test]
fn a_name_that_is_set_twice_is_refused() {
    let w = || tensor("ByteStorage", "0", 64, 0, &[1], &[1]);
    assert_eq!(
        refused(&dict(&[text("w"), w(), text("w"), w()])),
        "<memory>: w is there twice"
    );
}

#[test]
fn containers_that_hold_themselves_end() {
    // d = {}; d["state_dict"] = d["ema"] = d
    let own = [
        &b"\x80\x02}q\x00("[..],
        &text("state_dict"),
        b"h\x00",
        &text("ema"),
        b"h\x00u.",
    ]
    .concat();
    assert_eq!(
        refused(&own),
        "<memory>: holds no state dict; its top level has state_dict, ema"
    );
    // l = []; l.append(l)
    assert_eq!(
        refused(b"\x80\x02]q\x00h\x00a."),
        "<memory>: holds no dict of tensors; save the state dict of the model"
    );
}

#[test]
fn deep_and_exponential_nesting_is_harmless() {
    let deep = [
        &b"\x80\x02"[..],
        &b"]".repeat(1_000_000),
        &b"a".repeat(999_999),
        b".",
    ]
    .concat();
    assert_eq!(
        refused(&deep),
        "<memory>: holds no dict of tensors; save the state dict of the model"
    );
    // Each list holds the one before it twice: 2^100000 items if they were counted.
    let doubled = [&b"\x80\x02]"[..], &b"2\x86".repeat(100_000), b"."].concat();
    assert_eq!(
        refused(&doubled),
        "<memory>: holds no dict of tensors; save the state dict of the model"
    );
}

#[test]
fn state_dicts_are_not_looked_for_without_end() {
    let mut nested = tensor("ByteStorage", "0", 64, 0, &[1], &[1]);
    nested = [b"}", &text("w")[..], &nested, b"s"].concat();
    for _ in 0..6 {
        nested = [b"}", &text("model")[..], &nested, b"s"].concat();
    }
    assert_eq!(
        refused(&[b"\x80\x02", &nested[..], b"."].concat()),
        "<memory>: holds no state dict; its top level has model"
    );
}

#[test]
fn a_pickle_of_too_many_instructions_is_refused() {
    let long = [&b"\x80\x02"[..], &b"N0".repeat(5 << 20), b"."].concat();
    assert_eq!(
        refused(&long),
        "<memory>: its pickle has more than 8388608 instructions; save only the state dict, or \
         use safetensors"
    );
}
