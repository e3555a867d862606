//! Which of the dicts in a checkpoint holds the weights.
//!
//! Trainers wrap state dicts in others: `{"state_dict": {"gen_model": {...}}, "ema": {...},
//! "epoch": 3}`. A dict with tensors in it is a state dict; the keys below lead to it.

use super::super::StateDict;
use super::super::locate::shortened;
use super::pickle::{Objects, Value};

const EMA_KEYS: [&str; 2] = ["ema_state_dict", "ema"];
const PLAIN_KEYS: [&str; 5] = [
    "state_dict",
    "model",
    "gen_model",
    "model_state_dict",
    "module",
];

/// Wrappers inside wrappers; also ends the way through a dict that holds itself.
const MAX_DEPTH: usize = 4;

type Items = [(Value, Value)];

/// The state dict that is asked for.
pub(super) fn select<'a>(objects: &'a Objects, which: &StateDict) -> Result<&'a Items, String> {
    let Value::Dict(root) = objects.root else {
        return Err("holds no dict of tensors; save the state dict of the model".into());
    };
    let search = Search { objects };
    let root = objects.dict(root);
    let found = match which {
        StateDict::Auto => search.ema(root, 0).or_else(|| search.plain(root, 0)),
        StateDict::Ema => search.ema(root, 0),
        StateDict::Plain => search.plain(root, 0),
        StateDict::Key(key) => search.key(root, key),
    };
    found.ok_or_else(|| {
        let wanted = match which {
            StateDict::Auto => "state dict".into(),
            StateDict::Ema => "EMA state dict".into(),
            StateDict::Plain => "plain state dict".into(),
            StateDict::Key(key) => format!("state dict at {key:?}"),
        };
        let keys: Vec<&str> = root
            .iter()
            .filter_map(|&(key, _)| match key {
                Value::Text(key) => Some(objects.text(key)),
                _ => None,
            })
            .collect();
        if keys.is_empty() {
            format!("holds no {wanted}; its top level has no names")
        } else {
            format!("holds no {wanted}; its top level has {}", shortened(&keys))
        }
    })
}

struct Search<'a> {
    objects: &'a Objects<'a>,
}

impl<'a> Search<'a> {
    /// Averaged weights, here or inside one of the plain wrappers.
    fn ema(&self, dict: &'a Items, depth: usize) -> Option<&'a Items> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.children(dict, &EMA_KEYS)
            .find_map(|child| self.plain(child, depth + 1))
            .or_else(|| {
                self.children(dict, &PLAIN_KEYS)
                    .find_map(|child| self.ema(child, depth + 1))
            })
    }

    /// This dict, if it has tensors, or what the plain wrappers lead to.
    fn plain(&self, dict: &'a Items, depth: usize) -> Option<&'a Items> {
        if depth > MAX_DEPTH {
            return None;
        }
        if dict
            .iter()
            .any(|item| matches!(item, (Value::Text(_), Value::Tensor(_))))
        {
            return Some(dict);
        }
        self.children(dict, &PLAIN_KEYS)
            .find_map(|child| self.plain(child, depth + 1))
    }

    /// The dict under a key, or under the parts of a dotted key.
    fn key(&self, root: &'a Items, key: &str) -> Option<&'a Items> {
        let whole = self.children(root, &[key]).next();
        let dict = whole.or_else(|| {
            key.split('.')
                .try_fold(root, |dict, part| self.children(dict, &[part]).next())
        })?;
        self.plain(dict, 0)
    }

    /// The dicts under some of the keys, in the order of the keys.
    fn children<'k>(
        &self,
        dict: &'a Items,
        keys: &'k [&'k str],
    ) -> impl Iterator<Item = &'a Items> + use<'a, 'k> {
        let objects = self.objects;
        keys.iter().filter_map(move |&wanted| {
            dict.iter().find_map(|&(key, value)| match (key, value) {
                (Value::Text(key), Value::Dict(child)) if objects.text(key) == wanted => {
                    Some(objects.dict(child))
                }
                _ => None,
            })
        })
    }
}
