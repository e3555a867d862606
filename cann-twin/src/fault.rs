//! Faults on demand, so that what follows them can be tested.
//!
//! `ASCENDIT_TWIN_FAULT` is a list such as `malloc:3,slow:20`. Kinds with a number count from 1 and
//! happen once: `malloc` (an allocation on the device), `hostmem` (pinned memory), `prepare` (a first
//! phase), `launch` (a launch, when it runs), `copy` (a copy moves half and fails), `hang` (a launch
//! never ends). Which launch or copy it is, the order of the calls says, not that of the streams.
//! `lost:N` is for good: after `N` launches every call fails. `slow:MS` makes each launch take so many
//! milliseconds more. `init`, `setdevice`, `context`, `stream` and `event` fail once. `version:X.Y` is
//! what the library says it is. `without:NAME` hides a function from whoever opens the library; as
//! functions are looked up then, it counts in the environment only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::symbols;

/// What is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// How many more times something happens before it fails.
    countdown: HashMap<String, u64>,
    /// The version to claim.
    pub(crate) version: Option<(i32, i32)>,
    /// Milliseconds that each launch takes more.
    pub(crate) slow_ms: u64,
    /// Launches until the device is lost.
    until_lost: Option<u64>,
    /// Functions that are not to be found.
    without: Vec<String>,
}

static FAULTS: Mutex<Option<Faults>> = Mutex::new(None);

const KINDS: [&str; 11] = [
    "malloc",
    "hostmem",
    "prepare",
    "launch",
    "copy",
    "hang",
    "init",
    "setdevice",
    "context",
    "stream",
    "event",
];

impl Faults {
    fn parse(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (kind, value) = part.split_once(':').unwrap_or((part, "1"));
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|_| format!("{part:?} has no number"))
            };
            let ordinal = || match number()? {
                0 => Err(format!("{part:?} counts from 1")),
                number => Ok(number),
            };
            match kind {
                "version" => {
                    let parts = value.split_once('.');
                    let parts = parts.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                    faults.version = Some(parts.ok_or(format!("{value:?} is no version"))?);
                }
                "slow" => faults.slow_ms = number()?,
                "lost" => faults.until_lost = Some(number()?),
                "without" => faults.without.push(value.to_owned()),
                _ if KINDS.contains(&kind) => {
                    faults.countdown.insert(kind.to_owned(), ordinal()?);
                }
                _ => return Err(format!("{kind:?} is no kind of fault")),
            }
        }
        Ok(faults)
    }
}

fn faults() -> MutexGuard<'static, Option<Faults>> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Replaces all faults.
pub(crate) fn set(text: &str) -> Result<(), String> {
    let parsed = Faults::parse(text)?;
    if !parsed.without.is_empty() {
        return Err("\"without\" comes too late for a library that is open".into());
    }
    *faults() = Some(parsed);
    Ok(())
}

/// When the library is opened: hides the functions that the environment says, before anyone asks for them.
extern "C" fn when_opened() {
    let text = std::env::var("ASCENDIT_TWIN_FAULT").unwrap_or_default();
    // What is wrong with the text is told at its first use.
    for name in Faults::parse(&text).unwrap_or_default().without {
        if let Err(why) = symbols::hide(&name) {
            crate::tell(&format!("ASCENDIT_TWIN_FAULT: {name} is not hidden: {why}"));
        }
    }
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static WHEN_OPENED: extern "C" fn() = when_opened;

/// The faults, at first those of the environment.
fn with<T>(use_them: impl FnOnce(&mut Faults) -> T) -> T {
    let mut held = faults();
    let faults = held.get_or_insert_with(|| {
        let text = std::env::var("ASCENDIT_TWIN_FAULT").unwrap_or_default();
        Faults::parse(&text).unwrap_or_else(|why| {
            crate::tell(&format!("ASCENDIT_TWIN_FAULT: {why}"));
            Faults::default()
        })
    });
    use_them(faults)
}

/// Whether this is the time that something of a kind is to fail.
pub(crate) fn hits(kind: &str) -> bool {
    with(|faults| match faults.countdown.get_mut(kind) {
        Some(1) => faults.countdown.remove(kind).is_some(),
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    })
}

/// Counts a launch; whether the device is there after it.
pub(crate) fn count_launch() -> bool {
    with(|faults| match &mut faults.until_lost {
        Some(0) => false,
        Some(left) => {
            *left -= 1;
            true
        }
        None => true,
    })
}

/// Whether the device is lost.
pub(crate) fn is_lost() -> bool {
    with(|faults| faults.until_lost == Some(0))
}

/// The version to claim.
pub(crate) fn version() -> Option<(i32, i32)> {
    with(|faults| faults.version)
}

/// Milliseconds that each launch takes more.
pub(crate) fn slow_ms() -> u64 {
    with(|faults| faults.slow_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_a_list() {
        let faults = Faults::parse("malloc:3, slow:20,version:7.5,init").unwrap();
        assert_eq!(faults.countdown["malloc"], 3);
        assert_eq!(faults.countdown["init"], 1);
        assert_eq!((faults.slow_ms, faults.version), (20, Some((7, 5))));
        let faults = Faults::parse("without:aclA,without:aclB").unwrap();
        assert_eq!(faults.without, ["aclA", "aclB"]);
        for (text, why) in [
            ("fire:1", "\"fire\" is no kind of fault"),
            ("malloc:x", "\"malloc:x\" has no number"),
            ("malloc:0", "\"malloc:0\" counts from 1"),
            ("version:8", "\"8\" is no version"),
        ] {
            assert_eq!(Faults::parse(text).unwrap_err(), why);
        }
        assert_eq!(
            set("without:aclA").unwrap_err(),
            "\"without\" comes too late for a library that is open"
        );
    }
}
