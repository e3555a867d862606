//! What a component's files hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::output::{count_text, table};
use crate::Result;
use crate::checkpoint::{class_name, license_of, read_config};
use crate::disk::size_text;
use crate::weights::{OpenOptions, Weights};

/// Tensors that are named as the largest where not all are listed.
const LARGEST: usize = 5;

/// A component's directory or a weight file.
#[derive(Serialize)]
pub(super) struct Component {
    role: Option<&'static str>,
    /// The authors' class, where a config names it.
    class: Option<String>,
    path: PathBuf,
    files: Vec<PathBuf>,
    tensors: usize,
    parameters: u64,
    /// Parameters by element type.
    dtypes: BTreeMap<String, u64>,
    /// Bytes of the tensors.
    bytes: u64,
    license: Option<String>,
    metadata: BTreeMap<String, String>,
    largest: Vec<Tensor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Vec<Tensor>>,
}

#[derive(Clone, Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    /// Absent for element types that the engine cannot read.
    bytes: Option<u64>,
}

impl Component {
    /// Reads the headers of a component's files; `list` keeps every tensor.
    pub(super) fn at(
        role: Option<&'static str>,
        path: &Path,
        options: &OpenOptions,
        list: bool,
    ) -> Result<Self> {
        let class = match path.join("config.json").is_file() {
            true => {
                let (_, config) = read_config(role.unwrap_or("model"), path)?;
                class_name(&config).map(str::to_owned)
            }
            false => None,
        };
        let weights = Weights::open(path, options)?;
        let mut dtypes = BTreeMap::new();
        for (_, entry) in weights.iter() {
            *dtypes.entry(entry.dtype.to_string()).or_default() += entry.numel() as u64;
        }
        for tensor in weights.unsupported().values() {
            *dtypes.entry(tensor.dtype.clone()).or_default() += tensor
                .shape
                .iter()
                .fold(1u64, |n, &d| n.saturating_mul(d as u64));
        }
        let all = tensors(&weights);
        let mut largest = all.clone();
        largest.sort_by_key(|tensor| std::cmp::Reverse(tensor.bytes));
        largest.truncate(LARGEST);
        let dir = if path.is_dir() {
            Some(path)
        } else {
            path.parent()
        };
        let files = weights.files();
        Ok(Self {
            role,
            class,
            path: path.to_owned(),
            files: files.iter().map(|file| file.path().to_owned()).collect(),
            tensors: all.len(),
            parameters: weights.parameters(),
            dtypes,
            bytes: weights.size_bytes(),
            license: dir.and_then(license_of),
            metadata: weights.metadata().clone(),
            largest,
            list: list.then_some(all),
        })
    }

    /// What it is called in a list of components.
    pub(super) fn name(&self) -> String {
        match self.role {
            Some(role) => role.to_owned(),
            None => self.path.display().to_string(),
        }
    }

    /// Its row below [`row_head`].
    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.name(),
            self.class.clone().unwrap_or_default(),
            self.dtype_names(),
            count_text(self.parameters as f64),
            size_text(self.bytes),
            self.license.clone().unwrap_or_else(|| "not stated".into()),
            self.path.display().to_string(),
        ]
    }

    fn dtype_names(&self) -> String {
        self.dtypes.keys().cloned().collect::<Vec<_>>().join(" ")
    }

    /// Everything about it, for people.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![vec!["file".to_owned(), self.path.display().to_string()]];
        if self.path.is_dir() {
            rows[0][0] = "directory".to_owned();
        }
        let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
        if let Some(class) = &self.class {
            row("class", class.clone());
        }
        if self.files.len() > 1 {
            row("shards", format!("{} files", self.files.len()));
        }
        row("tensors", self.tensors.to_string());
        row("parameters", count_text(self.parameters as f64));
        for (dtype, parameters) in &self.dtypes {
            row("", format!("{} in {dtype}", count_text(*parameters as f64)));
        }
        row("size", size_text(self.bytes));
        row(
            "licence",
            self.license.clone().unwrap_or_else(|| "not stated".into()),
        );
        for (key, value) in &self.metadata {
            row("metadata", format!("{key}: {value}"));
        }
        let list = self
            .list()
            .unwrap_or_else(|| format!("largest tensors\n{}", tensor_table(&self.largest)));
        format!("{}\n\n{list}", pairs(&rows))
    }

    /// All tensors, if they were asked for.
    pub(super) fn list(&self) -> Option<String> {
        self.list.as_ref().map(|list| tensor_table(list))
    }
}

/// Names of the columns of [`Component::row`].
pub(super) fn row_head() -> Vec<String> {
    let head = [
        "component",
        "class",
        "dtype",
        "parameters",
        "size",
        "licence",
        "directory",
    ];
    head.map(str::to_owned).to_vec()
}

/// All tensors, readable or not, sorted by name.
fn tensors(weights: &Weights) -> Vec<Tensor> {
    let unsupported = weights.unsupported();
    let tensor = |name: &str| match (weights.get(name), unsupported.get(name)) {
        (Some(entry), _) => Some(Tensor {
            name: name.to_owned(),
            dtype: entry.dtype.to_string(),
            shape: entry.shape.clone(),
            bytes: Some(entry.size_bytes() as u64),
        }),
        (None, Some(other)) => Some(Tensor {
            name: name.to_owned(),
            dtype: other.dtype.clone(),
            shape: other.shape.clone(),
            bytes: None,
        }),
        (None, None) => None,
    };
    weights.names().filter_map(tensor).collect()
}

fn tensor_table(tensors: &[Tensor]) -> String {
    let head = ["tensor", "type", "size"].map(str::to_owned).to_vec();
    let rows = tensors.iter().map(|tensor| {
        vec![
            tensor.name.clone(),
            format!("{}{:?}", tensor.dtype, tensor.shape),
            tensor.bytes.map_or("unreadable".to_owned(), size_text),
        ]
    });
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// Names with their values, aligned.
fn pairs(rows: &[Vec<String>]) -> String {
    let width = rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
    let line = |row: &Vec<String>| format!("{:width$}  {}", row[0], row[1]);
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
