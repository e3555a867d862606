//! Which graph a case of an architecture is about.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::graph::Graph;
use crate::models::{Chunk, config, dit, open_sora_plan_v1_3 as open_sora_plan, t5, uvit, wf_vae};
use crate::tensor::{DType, HostTensor, numel};
use crate::{Error, Result};

/// Architectures that can be verified.
pub const NAMES: [&str; 10] = [
    "open-sora-plan-v1.3-t2v",
    "open-sora-plan-v1.3-i2v",
    "dit",
    "dit-diffusers",
    "uvit",
    "uvit-uncond",
    "uvit-t2i",
    "wfvae-v1.3",
    "t5-encoder",
    "mt5-encoder",
];

/// A graph with the inputs of a case.
pub struct Prepared {
    /// Outputs are named as in the case, without `out.`.
    pub graph: Graph,
    /// In the order of the graph's inputs.
    pub inputs: Vec<HostTensor>,
}

/// The graphs that a case is about, for an architecture of [`NAMES`].
///
/// # Errors
/// If the config is not supported or the case lacks an input or has it in a wrong shape.
pub fn prepare(
    architecture: &str,
    config_path: &Path,
    config: &Value,
    case: &Path,
    tensors: &BTreeMap<String, HostTensor>,
    compute: DType,
) -> Result<Vec<Prepared>> {
    let inputs = Inputs { case, tensors };
    let graphs = match architecture {
        "open-sora-plan-v1.3-t2v" | "open-sora-plan-v1.3-i2v" => {
            let mut config: open_sora_plan::Config = config::parse(config_path, config)?;
            if architecture.ends_with("i2v") {
                config = config.into_inpaint();
            }
            vec![transformer(&config, &inputs, compute)?]
        }
        "dit" | "dit-diffusers" => {
            let config: dit::Config = config::parse(config_path, config)?;
            let batch = inputs.shape("x", 4)?[0];
            match tensors.contains_key("in.cfg_scale") {
                true if batch % 2 != 0 => return Err(inputs.wrong("x", "a batch of two halves")),
                true => vec![dit::guided_transformer(&config, batch, compute)],
                false => vec![dit::transformer(&config, batch, compute)],
            }
        }
        "uvit" | "uvit-uncond" | "uvit-t2i" => {
            let config: uvit::Config = config::parse(config_path, config)?;
            vec![uvit::transformer(
                &config,
                inputs.shape("x", 4)?[0],
                compute,
            )]
        }
        "t5-encoder" | "mt5-encoder" => {
            let config: t5::Config = config::parse(config_path, config)?;
            let ids = inputs.shape("input_ids", 2)?;
            let masked = tensors.contains_key("in.attention_mask");
            vec![t5::encoder(&config, ids[0], ids[1], masked, compute)]
        }
        "wfvae-v1.3" => autoencoder(&config::parse(config_path, config)?, &inputs, compute)?,
        _ => {
            return Err(Error::request(format!(
                "unknown architecture {architecture:?}"
            )));
        }
    };
    graphs
        .into_iter()
        .map(|graph| {
            Ok(Prepared {
                inputs: inputs.of(&graph)?,
                graph,
            })
        })
        .collect()
}

fn transformer(
    config: &open_sora_plan::Config,
    inputs: &Inputs<'_>,
    compute: DType,
) -> Result<Graph> {
    use open_sora_plan::{Shape, TextMask};
    let latent = inputs.shape("hidden_states", 5)?;
    let text = inputs.find("encoder_hidden_states")?.shape();
    let shape = Shape {
        batch: latent[0],
        latent: [latent[2], latent[3], latent[4]],
        text: text[text.len().saturating_sub(2)],
        text_mask: if inputs.has("encoder_attention_mask") {
            TextMask::Bias
        } else {
            TextMask::None
        },
        latent_mask: inputs.has("attention_mask"),
    };
    if latent[3] < config.patch_size || latent[4] < config.patch_size {
        return Err(inputs.wrong("hidden_states", "height and width of at least a patch"));
    }
    Ok(open_sora_plan::transformer(config, &shape, compute))
}

fn autoencoder(config: &wf_vae::Config, inputs: &Inputs<'_>, compute: DType) -> Result<Vec<Graph>> {
    let mut graphs = vec![];
    if inputs.has("video") {
        let video = inputs.shape("video", 5)?;
        if video[2] % 4 != 1 || video[3] % 8 != 0 || video[4] % 8 != 0 || video[3] * video[4] == 0 {
            return Err(inputs.wrong(
                "video",
                "4 n + 1 frames, height and width in multiples of 8",
            ));
        }
        graphs.push(wf_vae::encoder(
            config,
            [video[0], video[2], video[3], video[4]],
            compute,
        ));
    }
    if inputs.has("latent") {
        let latent = inputs.shape("latent", 5)?;
        let whole = Chunk {
            frames: latent[2],
            first: true,
            last: true,
        };
        graphs.push(wf_vae::decoder(
            config,
            whole,
            [latent[0], latent[3], latent[4]],
            compute,
        ));
    }
    Ok(graphs)
}

/// The inputs of a case by the names that graphs use.
struct Inputs<'a> {
    case: &'a Path,
    tensors: &'a BTreeMap<String, HostTensor>,
}

/// Other names that publishers' code has for inputs.
const ALIASES: [(&str, &str); 3] = [
    ("x", "hidden_states"),
    ("t", "timestep"),
    ("y", "class_labels"),
];

impl Inputs<'_> {
    fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    fn find(&self, name: &str) -> Result<&HostTensor> {
        let alias = ALIASES
            .iter()
            .find(|(ours, _)| *ours == name)
            .map(|(_, theirs)| *theirs);
        let tensor = [Some(name), alias]
            .into_iter()
            .flatten()
            .find_map(|n| self.tensors.get(&format!("in.{n}")));
        tensor.ok_or_else(|| Error::file(self.case, format!("has no in.{name}")))
    }

    /// The shape of an input of a certain rank without empty axes.
    fn shape(&self, name: &str, rank: usize) -> Result<&[usize]> {
        let shape = self.find(name)?.shape();
        match shape.len() == rank && !shape.contains(&0) {
            true => Ok(shape),
            false => Err(self.wrong(name, &format!("{rank} axes that are not empty"))),
        }
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        let shape = self
            .find(name)
            .map(|t| format!("{t:?}"))
            .unwrap_or_default();
        Error::file(
            self.case,
            format!("in.{name} is {shape}, expected {expected}"),
        )
    }

    /// A graph's inputs: axes of size 1 are added or dropped, dtypes converted, and masks over the
    /// latent made 0 or 1 as the authors' code does.
    fn of(&self, graph: &Graph) -> Result<Vec<HostTensor>> {
        let fit = |port: &crate::graph::Port| {
            let node = graph.node(port.node);
            let tensor = self.find(&port.name)?;
            if numel(tensor.shape()) != numel(&node.shape) {
                return Err(self.wrong(&port.name, &format!("{:?}", node.shape)));
            }
            let tensor = match port.name.as_str() {
                "attention_mask" => tensor.cast(DType::Bool).cast(node.dtype),
                _ => tensor.cast(node.dtype),
            };
            Ok(tensor.reshaped(node.shape.clone()))
        };
        graph.inputs.iter().map(fit).collect()
    }
}
