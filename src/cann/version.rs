//! Which CANN this is.

use std::ffi::{CStr, c_char};
use std::fmt;

use cann_sys::{
    ACL_PKG_NAME_CANN, ACL_PKG_NAME_DRIVER, ACL_PKG_NAME_RUNTIME, ACL_PKG_NAME_TOOLKIT,
    aclCANNPackageName, aclCANNPackageVersion, aclError,
};

/// The oldest CANN whose functions this engine is written for.
const MINIMUM: (u32, u32) = (8, 1);

/// `aclsysGetCANNVersion`, which some versions do not have.
pub(super) type GetVersion =
    unsafe extern "C" fn(aclCANNPackageName, *mut aclCANNPackageVersion) -> aclError;

/// The versions of CANN's parts, as they write them. Absent are those that CANN does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The toolkit: `8.1.RC1`.
    pub cann: Option<String>,
    /// The runtime.
    pub runtime: Option<String>,
    /// The driver of the cards.
    pub driver: Option<String>,
}

impl Version {
    /// Asks CANN.
    pub(super) fn ask(get: Option<GetVersion>) -> Self {
        let Some(get) = get else {
            return Self::default();
        };
        let of = |package| {
            // SAFETY: an all-zero value is valid for a struct of character arrays.
            let mut version: aclCANNPackageVersion = unsafe { std::mem::zeroed() };
            // SAFETY: `get` is CANN's function of this type, and `version` is a valid place to write to.
            let code = unsafe { get(package, &mut version) };
            (code == 0).then(|| text(&version.version)).flatten()
        };
        Self {
            cann: of(ACL_PKG_NAME_CANN).or_else(|| of(ACL_PKG_NAME_TOOLKIT)),
            runtime: of(ACL_PKG_NAME_RUNTIME),
            driver: of(ACL_PKG_NAME_DRIVER),
        }
    }

    /// Why this version cannot be used, if that is known.
    pub(super) fn refusal(&self) -> Option<String> {
        let cann = self.cann.as_deref()?;
        let (major, minor) = MINIMUM;
        (numbers(cann)? < MINIMUM)
            .then(|| format!("CANN {cann} is too old, {major}.{minor} or newer is needed"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cann {
            Some(version) => write!(f, "CANN {version}")?,
            None => f.write_str("CANN of an unknown version")?,
        }
        if let Some(version) = &self.runtime {
            write!(f, ", runtime {version}")?;
        }
        if let Some(version) = &self.driver {
            write!(f, ", driver {version}")?;
        }
        Ok(())
    }
}

/// A text in a field of fixed size.
fn text(field: &[c_char]) -> Option<String> {
    let bytes: &[u8] = bytemuck::cast_slice(field);
    let text = CStr::from_bytes_until_nul(bytes).ok()?.to_string_lossy();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The first two numbers of a version: `8.1.RC1` is 8 and 1.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-', ' ']);
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cann(version: &str) -> Version {
        Version {
            cann: Some(version.into()),
            ..Version::default()
        }
    }

    #[test]
    fn only_versions_that_are_known_to_be_too_old_are_refused() {
        for fine in [
            "8.1.RC1",
            "8.1.RC1.alpha001",
            "8.2",
            "9.0.0-beta.1",
            "10.0.T1",
        ] {
            assert_eq!(cann(fine).refusal(), None, "{fine}");
        }
        for unknown in ["", "master", "8", "8.RC1"] {
            assert_eq!(cann(unknown).refusal(), None, "{unknown}");
        }
        assert_eq!(
            cann("8.0.RC3").refusal().as_deref(),
            Some("CANN 8.0.RC3 is too old, 8.1 or newer is needed")
        );
        assert!(cann("7.0.0").refusal().is_some());
    }

    #[test]
    fn versions_are_written_as_far_as_they_are_known() {
        let all = Version {
            cann: Some("8.1.RC1".into()),
            runtime: Some("7.7".into()),
            driver: Some("24.1".into()),
        };
        assert_eq!(all.to_string(), "CANN 8.1.RC1, runtime 7.7, driver 24.1");
        assert_eq!(Version::default().to_string(), "CANN of an unknown version");
    }
}
