//! Reading a checkpoint's `config.json`.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// A model's config: the constructor arguments of the authors' class, under their names.
pub trait ModelConfig: DeserializeOwned {
    /// What the values must satisfy beyond their types.
    ///
    /// # Errors
    /// A sentence that names the key, its value and what is supported.
    fn validate(&self) -> Result<(), String>;
}

/// Reads and validates a config file.
///
/// # Errors
/// If the file cannot be read, is no JSON, lacks a key, or asks for what the model does not support;
/// the message names the file and the key.
pub fn read<C: ModelConfig>(path: &Path) -> Result<C> {
    parse(path, &read_json(path)?)
}

/// Validates the content of a config file that is named in messages.
///
/// # Errors
/// As [`read`].
pub fn parse<C: ModelConfig>(path: &Path, value: &Value) -> Result<C> {
    let config: C = typed(value).map_err(|e| Error::file(path, format!("wrong config: {e}")))?;
    config
        .validate()
        .map_err(|why| Error::file(path, format!("unsupported config: {why}")))?;
    Ok(config)
}

/// A JSON value as a type.
///
/// # Errors
/// Says at which key the value is wrong, and why.
pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|e| match e.path().iter().next() {
        Some(_) => format!("{}: {}", e.path(), e.inner()),
        None => e.inner().to_string(),
    })
}

/// Reads a JSON file.
///
/// # Errors
/// If the file cannot be read or is no JSON.
pub fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).map_err(Error::io("read", path))?;
    serde_json::from_slice(&text).map_err(|e| Error::file(path, format!("is not valid JSON: {e}")))
}

/// Fails with `key is value, ...` unless `ok`.
pub(crate) fn require(
    ok: bool,
    key: &str,
    value: impl std::fmt::Display,
    supported: &str,
) -> Result<(), String> {
    if ok {
        Ok(())
    } else {
        Err(format!("{key} is {value}; {supported}"))
    }
}

/// Sizes of layers that no released model reaches; keeps products of config values within `usize`.
pub(crate) fn sizes(pairs: &[(&str, usize)]) -> Result<(), String> {
    pairs.iter().try_for_each(|(key, value)| {
        require(
            (1..=1 << 20).contains(value),
            key,
            value,
            "it must be between 1 and 1048576",
        )
    })
}

/// A number of layers that a graph can be built for.
pub(crate) fn layers(key: &str, count: usize) -> Result<(), String> {
    require(
        (1..=1024).contains(&count),
        key,
        count,
        "it must be between 1 and 1024",
    )
}
