//! Whether a shared library is whole and made for this machine, read from its ELF header.
//!
//! The dynamic loader maps a library without comparing it with the length of its file: a library
//! that was cut short kills the process at the first access behind the end. So this is looked at
//! before opening one. On macOS the loader does it by itself, and nothing is checked here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const PT_LOAD: u32 = 1;

/// The reason why a library cannot be opened here, if there is one.
pub(super) fn check(path: &Path) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0)
        .map_err(|_| format!("not a shared library, only {length} bytes long"))?;
    if !header.starts_with(b"\x7fELF") {
        return Err("not a shared library (it has no ELF header)".into());
    }
    let ours = u16::from(cfg!(target_endian = "big")) + 1;
    if header[4] != 2 || u16::from(header[5]) != ours {
        return Err("a library for another kind of machine".into());
    }
    let machine = u16_at(&header, 18);
    if machine_name(machine) != std::env::consts::ARCH {
        return Err(format!(
            "a library for {}, this machine is {}",
            machine_name(machine),
            std::env::consts::ARCH
        ));
    }

    let count = usize::from(u16_at(&header, 56));
    if usize::from(u16_at(&header, 54)) != PROGRAM_HEADER_BYTES || count == 0 {
        return Err("damaged: its ELF header makes no sense".into());
    }
    let mut programs = vec![0; count * PROGRAM_HEADER_BYTES];
    file.read_exact_at(&mut programs, u64_at(&header, 32))
        .map_err(|_| format!("damaged: it ends after {length} bytes, within its own header"))?;
    let end = programs
        .chunks_exact(PROGRAM_HEADER_BYTES)
        .filter(|program| u32_at(program, 0) == PT_LOAD)
        .map(|program| u64_at(program, 8).saturating_add(u64_at(program, 32)))
        .max()
        .unwrap_or(0);
    if end > length {
        return Err(format!(
            "damaged: {length} bytes long, but its content ends at {end}"
        ));
    }
    Ok(())
}

fn machine_name(machine: u16) -> &'static str {
    match machine {
        3 => "x86",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => "an unknown machine",
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("a slice of N bytes is an array of N bytes")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes_at(bytes, at))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path())
    }

    fn this_program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_whole_file_passes() {
        check(&std::env::current_exe().unwrap()).unwrap();
    }

    #[test]
    fn what_is_no_library_says_so() {
        assert_eq!(
            checked(b"text").unwrap_err(),
            "not a shared library, only 4 bytes long"
        );
        assert_eq!(
            checked(&[0; 100]).unwrap_err(),
            "not a shared library (it has no ELF header)"
        );
    }

    #[test]
    fn a_cut_file_is_damaged() {
        let whole = this_program();
        assert_eq!(
            checked(&whole[..100]).unwrap_err(),
            "damaged: it ends after 100 bytes, within its own header"
        );
        let message = checked(&whole[..5000]).unwrap_err();
        assert!(
            message.starts_with("damaged: 5000 bytes long, but its content ends at "),
            "{message}"
        );
    }

    #[test]
    fn a_library_for_another_machine_names_both() {
        let mut other = this_program();
        other.truncate(5000);
        other[18..20].copy_from_slice(&243u16.to_ne_bytes());
        assert_eq!(
            checked(&other).unwrap_err(),
            format!(
                "a library for riscv64, this machine is {}",
                std::env::consts::ARCH
            )
        );
    }

    #[test]
    fn no_header_makes_it_panic() {
        let whole = this_program();
        for at in 4..HEADER_BYTES {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole[..4096].to_vec();
                bytes[at] = value;
                let _ = checked(&bytes);
            }
        }
    }
}
