//! Which of the dicts in a checkpoint holds the weights.
//!
//! Trainers wrap state dicts in others: `{"state_dict": {"gen_model": {...}}, "ema": {...},
//! "epoch": 3}`. A dict with tensors in it is a state dict; the keys below lead to it.

use std::collections::HashSet;

use super::super::StateDict;
use super::super::locate::shortened;
use super::objects::{Objects, Value};

const EMA_KEYS: [&str; 2] = ["ema_state_dict", "ema"];
const PLAIN_KEYS: [&str; 5] = [
    "state_dict",
    "model",
    "gen_model",
    "model_state_dict",
    "module",
];

/// Wrappers inside wrappers.
const MAX_DEPTH: usize = 4;

/// The items of the state dict that is asked for.
pub(super) fn select<'a>(
    objects: &'a Objects,
    which: &StateDict,
) -> Result<&'a [(Value, Value)], String> {
    let Value::Dict(root) = objects.root else {
        return Err("holds no dict of tensors; save the state dict of the model".into());
    };
    let mut search = Search {
        objects,
        seen_for_ema: HashSet::new(),
        seen: HashSet::new(),
    };
    let found = match which {
        StateDict::Auto => search.ema(root, 0).or_else(|| search.plain(root, 0)),
        StateDict::Ema => search.ema(root, 0),
        StateDict::Plain => search.plain(root, 0),
        StateDict::Key(key) => search.key(root, key),
    };
    if let Some(found) = found {
        return Ok(objects.dict(found));
    }
    let wanted = match which {
        StateDict::Auto => "state dict".into(),
        StateDict::Ema => "EMA state dict".into(),
        StateDict::Plain => "plain state dict".into(),
        StateDict::Key(key) => format!("state dict at {key:?}"),
    };
    let keys: Vec<&str> = objects
        .dict(root)
        .iter()
        .filter_map(|&(key, _)| match key {
            Value::Text(key) => Some(objects.text(key)),
            _ => None,
        })
        .collect();
    Err(if keys.is_empty() {
        format!("holds no {wanted}; its top level has no names")
    } else {
        format!("holds no {wanted}; its top level has {}", shortened(&keys))
    })
}

/// Dicts are looked at once, so that dicts that hold one another cost no time.
struct Search<'a> {
    objects: &'a Objects<'a>,
    seen_for_ema: HashSet<u32>,
    seen: HashSet<u32>,
}

impl Search<'_> {
    /// Averaged weights, here or inside one of the plain wrappers.
    fn ema(&mut self, dict: u32, depth: usize) -> Option<u32> {
        if depth > MAX_DEPTH || !self.seen_for_ema.insert(dict) {
            return None;
        }
        let averaged = EMA_KEYS.iter().find_map(|key| {
            let child = self.child(dict, key)?;
            self.plain(child, depth + 1)
        });
        averaged.or_else(|| {
            PLAIN_KEYS.iter().find_map(|key| {
                let child = self.child(dict, key)?;
                self.ema(child, depth + 1)
            })
        })
    }

    /// This dict, if it has tensors, or what the plain wrappers lead to.
    fn plain(&mut self, dict: u32, depth: usize) -> Option<u32> {
        if depth > MAX_DEPTH || !self.seen.insert(dict) {
            return None;
        }
        let is_tensor = |item: &_| matches!(item, (Value::Text(_), Value::Tensor(_)));
        if self.objects.dict(dict).iter().any(is_tensor) {
            return Some(dict);
        }
        PLAIN_KEYS.iter().find_map(|key| {
            let child = self.child(dict, key)?;
            self.plain(child, depth + 1)
        })
    }

    /// The dict under a key, or under the parts of a dotted key.
    fn key(&mut self, root: u32, key: &str) -> Option<u32> {
        let dict = self.child(root, key).or_else(|| {
            key.split('.')
                .try_fold(root, |dict, part| self.child(dict, part))
        })?;
        self.plain(dict, 0)
    }

    /// The dict under a key; of equal keys the last counts, as in Python.
    fn child(&self, dict: u32, wanted: &str) -> Option<u32> {
        let items = self.objects.dict(dict).iter().rev();
        let found = items
            .filter_map(|&(key, value)| match key {
                Value::Text(key) if self.objects.text(key) == wanted => Some(value),
                _ => None,
            })
            .next();
        match found {
            Some(Value::Dict(child)) => Some(child),
            _ => None,
        }
    }
}
