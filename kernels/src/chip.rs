//! What a plan must know of a chip.

/// A chip of the 910B series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    /// Its name, as in `910B2`.
    pub name: &'static str,
    /// Cube cores.
    pub cube_cores: u32,
}

/// The chips that the twin knows (`twin/machine/chip.cpp`).
pub const CHIPS: [Chip; 5] = [
    chip("910B1", 24),
    chip("910B2", 24),
    chip("910B3", 20),
    chip("910B4", 20),
    chip("910B4-1", 20),
];

const fn chip(name: &'static str, cube_cores: u32) -> Chip {
    Chip { name, cube_cores }
}

impl Chip {
    /// The chip of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        CHIPS.iter().find(|chip| chip.name == name)
    }

    /// Vector cores: two beside each cube core.
    pub fn vector_cores(&self) -> u32 {
        2 * self.cube_cores
    }
}
