//! Which chip the devices are, as `ASCENDIT_TWIN_SOC` says. Cores and sizes are those of the platform files
//! (`platform_config/Ascend910B*.ini`) of hicann/runtime; but a 910B4-1 has 65,536 MB where `npu-smi` is shown,
//! and half of that in its file.

/// A chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Chip {
    /// Cube cores; twice as many vector cores.
    pub(crate) cube_cores: i64,
    pub(crate) l2_bytes: i64,
    pub(crate) memory_bytes: usize,
}

/// The chip's name, by which CANN calls it.
pub(crate) fn name() -> String {
    std::env::var("ASCENDIT_TWIN_SOC").unwrap_or_else(|_| "Ascend910B2".into())
}

/// The chip of that name.
pub(crate) fn chip() -> Chip {
    of(&name())
}

/// One that is not known is as a 910B2.
fn of(name: &str) -> Chip {
    let (cube_cores, l2_mib, memory_gib) = match name {
        "Ascend910B3" => (20, 192, 64),
        "Ascend910B4" => (20, 96, 32),
        "Ascend910B4-1" => (20, 168, 64),
        _ => (24, 192, 64),
    };
    Chip {
        cube_cores,
        l2_bytes: l2_mib << 20,
        memory_bytes: memory_gib << 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_differ_in_cores_and_memory() {
        let numbers = |name| {
            let chip = of(name);
            [
                chip.cube_cores,
                chip.l2_bytes >> 20,
                (chip.memory_bytes >> 30) as i64,
            ]
        };
        for (name, expected) in [
            ("Ascend910B1", [24, 192, 64]),
            ("Ascend910B2", [24, 192, 64]),
            ("Ascend910B2C", [24, 192, 64]),
            ("Ascend910B3", [20, 192, 64]),
            ("Ascend910B4", [20, 96, 32]),
            ("Ascend910B4-1", [20, 168, 64]),
            ("another", [24, 192, 64]),
        ] {
            assert_eq!(numbers(name), expected, "{name}");
        }
    }
}
