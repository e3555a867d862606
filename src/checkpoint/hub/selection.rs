//! Which files of a repository are worth downloading.

/// Whether the engine can use a file of a repository, by its name: configurations, weights and
/// their indexes, tokenizers, schedulers, the model card and licences. Not training state, other
/// frameworks' weights, pictures and code.
pub fn is_engine_file(path: &str) -> bool {
    let name = file_name(path);
    let lower = name.to_ascii_lowercase();
    let training = [
        "optimizer",
        "scheduler.",
        "random_states",
        "rng_state",
        "training_args",
    ];
    (is_weights(name) && !training.iter().any(|prefix| name.starts_with(prefix)))
        || matches!(
            name,
            "model_index.json"
                | "config.json"
                | "generation_config.json"
                | "scheduler_config.json"
                | "special_tokens_map.json"
                | "spiece.model"
                | "README.md"
        )
        || (name.starts_with("tokenizer") && name.ends_with(".json"))
        || lower.starts_with("license")
        || lower.starts_with("licence")
}

/// The paths that are wanted, less the weights that another file of the same folder makes
/// superfluous: PyTorch files beside safetensors, and half-precision variants (`*.fp16.*`) beside
/// the original. Keeps the order.
pub(super) fn select<'a>(paths: &[&'a str], wanted: &dyn Fn(&str) -> bool) -> Vec<&'a str> {
    let mut kept: Vec<&str> = paths.iter().copied().filter(|path| wanted(path)).collect();
    drop_beside(&mut kept, is_variant, |other| {
        is_weights(other) && !is_variant(other)
    });
    drop_beside(&mut kept, is_pytorch, is_safetensors);
    kept
}

/// Drops the files called `superfluous` from folders in which a `better` one is.
fn drop_beside(
    paths: &mut Vec<&str>,
    superfluous: impl Fn(&str) -> bool,
    better: impl Fn(&str) -> bool,
) {
    let folders: Vec<&str> = paths
        .iter()
        .filter(|path| better(file_name(path)))
        .map(|path| folder(path))
        .collect();
    paths.retain(|path| !(superfluous(file_name(path)) && folders.contains(&folder(path))));
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn is_weights(name: &str) -> bool {
    is_safetensors(name) || is_pytorch(name)
}

fn is_safetensors(name: &str) -> bool {
    name.ends_with(".safetensors")
        || (name.contains(".safetensors.index.") && name.ends_with(".json"))
}

fn is_pytorch(name: &str) -> bool {
    [".bin", ".pt", ".pth", ".ckpt"]
        .iter()
        .any(|end| name.ends_with(end))
        || (name.contains(".bin.index.") && name.ends_with(".json"))
}

fn is_variant(name: &str) -> bool {
    is_weights(name)
        && [".fp16", ".bf16", ".non_ema"]
            .iter()
            .any(|variant| name.contains(variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_engine_reads_is_taken() {
        for path in [
            "model_index.json",
            "transformer/config.json",
            "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
            "transformer/diffusion_pytorch_model.safetensors.index.json",
            "vae/merged.ckpt",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "DiT-XL-2-256x256.pt",
            "spiece.model",
            "tokenizer/tokenizer_config.json",
            "tokenizer/special_tokens_map.json",
            "scheduler/scheduler_config.json",
            "generation_config.json",
            "LICENSE",
            "License.txt",
            "README.md",
        ] {
            assert!(is_engine_file(path), "{path}");
        }
        for path in [
            ".gitattributes",
            "flax_model.msgpack",
            "tf_model.h5",
            "model.onnx",
            "assets/teaser.png",
            "train.py",
            "optimizer.bin",
            "checkpoint/scheduler.bin",
            "training_args.bin",
            "rng_state_0.pth",
            "data.json",
        ] {
            assert!(!is_engine_file(path), "{path}");
        }
    }

    #[test]
    fn of_the_same_weights_one_file_is_taken() {
        let paths = [
            "README.md",
            "text_encoder/pytorch_model.bin",
            "text_encoder/pytorch_model.bin.index.json",
            "transformer/model.safetensors",
            "transformer/model.fp16.safetensors",
            "transformer/model.bin",
            "unet/model.fp16.safetensors",
            "unet/model.fp16.bin",
            "vae/merged.ckpt",
            "x.png",
        ];
        assert_eq!(
            select(&paths, &is_engine_file),
            [
                "README.md",
                "text_encoder/pytorch_model.bin",
                "text_encoder/pytorch_model.bin.index.json",
                "transformer/model.safetensors",
                "unet/model.fp16.safetensors",
                "vae/merged.ckpt",
            ]
        );
    }

    #[test]
    fn a_better_file_that_is_not_wanted_replaces_nothing() {
        let paths = ["a/model.safetensors", "a/model.bin"];
        assert_eq!(
            select(&paths, &|path| path.ends_with(".bin")),
            ["a/model.bin"]
        );
    }
}
