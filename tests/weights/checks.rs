//! Weights against what a model wants.

use super::{from_bytes, safetensors_file};
use ascendit::weights::Weights;

fn weights() -> Weights {
    let header = r#"{"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},
        "b":{"dtype":"U8","shape":[],"data_offsets":[4,5]},
        "decoder.0.w":{"dtype":"U8","shape":[],"data_offsets":[5,6]},
        "e.pos":{"dtype":"U8","shape":[],"data_offsets":[6,7]},
        "f8":{"dtype":"F8_E5M2","shape":[],"data_offsets":[7,8]}}"#;
    from_bytes(&safetensors_file(header, &[0; 8])).unwrap()
}

#[test]
fn weights_that_fit_give_the_unexpected_names_back() {
    let weights = weights();
    let expected: [(&str, &[usize]); 2] = [("a", &[2, 1]), ("b", &[])];
    let check = |unused: &[&str]| {
        weights
            .check("transformer", expected, unused, false)
            .unwrap()
    };
    assert_eq!(check(&[]), ["decoder.0.w", "e.pos", "f8"]);
    assert_eq!(check(&["decoder.*", "f8"]), ["e.pos"]);
    assert_eq!(check(&["*.pos", "dec*.0.*", "*8"]), [""; 0]);
    assert_eq!(check(&["*"]), [""; 0]);
    assert_eq!(
        check(&["decoder", "pos", "e.*x", "f8*8"]),
        ["decoder.0.w", "e.pos", "f8"]
    );
}

#[test]
fn all_tensors_that_do_not_fit_come_in_one_error() {
    let expected: [(&str, &[usize]); 4] = [("z", &[]), ("a", &[1, 2]), ("b", &[]), ("f8", &[])];
    let error = weights().check("vae", expected, &[], false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vae: 3 tensors do not fit: z: missing; a: expected [1, 2], file has f16[2, 1] \
         (<memory>); f8: its element type F8_E5M2 is not supported; f64, f32, f16, bf16, i64, \
         i32, u8 and bool are"
    );
}

#[test]
fn unexpected_tensors_are_an_error_where_that_is_asked_for() {
    let expected: [(&str, &[usize]); 2] = [("a", &[2, 1]), ("b", &[])];
    let error = weights()
        .check("vae", expected, &["f8", "decoder.*"], true)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "vae: 1 tensor does not fit: e.pos: unexpected"
    );
}
