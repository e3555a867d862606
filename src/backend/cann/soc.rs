//! Ascend 910B chips: cores, clocks, memory. From the platform files of CANN 8.1
//! (`platform_config/Ascend910B*.ini`), as published with the runtime (hicann/runtime).

use crate::Error;
use crate::backend::Peak;

/// Multiplications and additions of a cube core per cycle in f16 and bf16: 16 x 16 x 16, two each.
const CUBE_FLOPS_PER_CYCLE: f64 = 8192.0;

/// f32 runs at a quarter of that.
const F32_SHARE: f64 = 0.25;

/// A chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Soc {
    /// Its name without `Ascend`.
    pub name: &'static str,
    /// Cube cores; twice as many vector cores.
    pub cube_cores: usize,
    /// Cycles per second.
    pub clock: f64,
    /// Bytes per second to and from its memory.
    pub bytes_per_s: f64,
    /// Bytes of its memory.
    pub memory_bytes: u64,
    /// How well attention runs beside the 910B2, where known (`calibrated` predictions).
    pub attention: f64,
}

const GB: u64 = 1 << 30;

/// The chips that are known.
pub const SOCS: [Soc; 5] = [
    soc("910B1", 24, 1.85e9, 1.6e12, 64, 1.0),
    soc("910B2", 24, 1.8e9, 1.6e12, 64, 1.0),
    soc("910B3", 20, 1.8e9, 1.6e12, 64, 1.05),
    soc("910B4", 20, 1.5e9, 0.8e12, 32, 0.75),
    soc("910B4-1", 20, 1.5e9, 1.6e12, 64, 1.10),
];

const fn soc(
    name: &'static str,
    cube_cores: usize,
    clock: f64,
    bytes_per_s: f64,
    memory_gb: u64,
    attention: f64,
) -> Soc {
    Soc {
        name,
        cube_cores,
        clock,
        bytes_per_s,
        memory_bytes: memory_gb * GB,
        attention,
    }
}

impl Soc {
    /// The chip of a name, with or without `Ascend`, in any case. `Ascend910B2C` is a 910B2.
    pub fn find(name: &str) -> Option<&'static Self> {
        let short = name.to_ascii_uppercase();
        let short = short.strip_prefix("ASCEND").unwrap_or(&short);
        let short = short.strip_suffix('C').unwrap_or(short);
        SOCS.iter().find(|soc| soc.name == short)
    }

    /// [`Soc::find`] for a name that a user gave.
    ///
    /// # Errors
    /// If no chip has this name, with those that there are.
    pub fn named(name: &str) -> Result<&'static Self, Error> {
        Self::find(name).ok_or_else(|| {
            let names: Vec<_> = SOCS.iter().map(|soc| soc.name).collect();
            Error::request(format!(
                "unknown chip {name:?}; chips are {}",
                names.join(", ")
            ))
        })
    }

    /// Its peak rates: cores, clock and the cube's width, which is less than what is advertised.
    pub fn peak(&self) -> Peak {
        let half_flops = self.cube_cores as f64 * self.clock * CUBE_FLOPS_PER_CYCLE;
        Peak {
            half_flops,
            f32_flops: half_flops * F32_SHARE,
            bytes_per_s: self.bytes_per_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_is_found_by_the_names_it_goes_by() {
        for (name, expected) in [
            ("910B2", Some("910B2")),
            ("Ascend910B4", Some("910B4")),
            ("ascend910b4-1", Some("910B4-1")),
            ("Ascend910B2C", Some("910B2")),
            ("Ascend310P3", None),
            ("", None),
        ] {
            assert_eq!(Soc::find(name).map(|soc| soc.name), expected, "{name}");
        }
        assert_eq!(
            Soc::named("910C").unwrap_err().to_string(),
            "unknown chip \"910C\"; chips are 910B1, 910B2, 910B3, 910B4, 910B4-1"
        );
    }

    #[test]
    fn peaks_follow_from_cores_and_clocks() {
        let tera = |name: &str| Soc::find(name).unwrap().peak().half_flops / 1e12;
        assert!((tera("910B2") - 353.9).abs() < 0.1);
        assert!((tera("910B4") - 245.8).abs() < 0.1);
    }
}
