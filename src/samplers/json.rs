//! Readers of single JSON values for [`super::config`], whose errors say what is allowed, and
//! the non-finite numbers that Python writes into JSON.

use serde_json::Value;

/// `Infinity`, `-Infinity` and `NaN` outside strings, which Python writes but JSON lacks, as
/// strings.
pub(super) fn with_quoted_non_finite(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            quoted.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        let mut taken = c.len_utf8();
        if in_string && c == '\\' {
            taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
        } else if c == '"' {
            in_string = !in_string;
        }
        quoted.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    quoted
}

/// A value for a message, cut if it is long.
pub(super) fn shown(value: &Value) -> String {
    const MAX: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// One of some names.
pub(super) fn choice<T: Copy>(value: &Value, all: &[(&str, T)]) -> Result<T, String> {
    let named = value.as_str();
    let found = all.iter().find(|(name, _)| named == Some(name));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("allowed: {}", names.join(", "))
    })
}

pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "allowed: true, false".to_owned())
}

/// A number, also a non-finite one that Python wrote.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

/// A number above `low` and at most `high`.
pub(super) fn between(value: &Value, low: f64, high: f64) -> Result<f64, String> {
    value
        .as_f64()
        .filter(|v| low < *v && *v <= high)
        .ok_or_else(|| format!("must be a number above {low} and at most {high}"))
}

pub(super) fn integer(value: &Value, low: usize, high: usize) -> Result<usize, String> {
    let whole = value.as_f64().filter(|v| v.fract() == 0.0);
    whole
        .filter(|v| (low as f64..=high as f64).contains(v))
        .map(|v| v as usize)
        .ok_or_else(|| format!("must be an integer from {low} to {high}"))
}

pub(super) fn betas(value: &Value) -> Result<Vec<f64>, String> {
    let numbers: Option<Vec<f64>> = value
        .as_array()
        .and_then(|values| values.iter().map(Value::as_f64).collect());
    numbers
        .filter(|betas| betas.iter().all(|b| 0.0 < *b && *b <= 1.0))
        .ok_or_else(|| "must be a list of numbers above 0 and at most 1".to_owned())
}
