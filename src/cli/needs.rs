//! Whether memory and disk are enough for a generation, looked at before work starts.

use std::path::Path;

use crate::backend::DeviceInfo;
use crate::disk::{self, size_text};
use crate::media::Format;
use crate::pipeline::{Estimate, Settings, Stage};
use crate::{Error, Result, machine};

/// Refuses a generation that cannot fit into the device's memory. Where memory is not known,
/// nothing is refused.
pub(super) fn check_memory(
    estimate: &Estimate,
    settings: &Settings,
    info: &DeviceInfo,
) -> Result<()> {
    let on_host = info.device.kind.on_host();
    let available = if on_host {
        machine::memory().and_then(|memory| memory.available_bytes)
    } else {
        info.memory_bytes
    };
    match available {
        Some(available) => require_memory(estimate, settings, info, on_host, available),
        None => Ok(()),
    }
}

fn require_memory(
    estimate: &Estimate,
    settings: &Settings,
    info: &DeviceInfo,
    on_host: bool,
    available: u64,
) -> Result<()> {
    // On the host, weights can stay in their files; activations cannot.
    let needs: Vec<(Stage, u64)> = if on_host {
        let stages = estimate.stages.iter();
        stages.map(|s| (s.stage, s.activation_bytes)).collect()
    } else {
        estimate.stage_bytes()
    };
    let Some((stage, needed)) = needs.into_iter().max_by_key(|(_, bytes)| *bytes) else {
        return Ok(());
    };
    if needed <= available {
        return Ok(());
    }
    let remedy = match stage {
        Stage::Encode => "pass fewer --text-tokens",
        Stage::Denoise => "make fewer frames or a smaller size",
        Stage::Decode if settings.decode_chunk.is_none_or(|chunk| chunk > 1) => {
            "pass --decode-chunk 1, or make a smaller size"
        }
        Stage::Decode => "make a smaller size",
    };
    Err(Error::Exhausted {
        what: format!(
            "{} frames of {}x{} need at least {} of memory on {} to {stage}, {} is available; \
             {remedy}, or use a device with more memory",
            settings.frames,
            settings.height,
            settings.width,
            size_text(needed),
            info.device,
            size_text(available),
        ),
    })
}

/// Refuses outputs that surely do not fit on their disk.
pub(super) fn check_disk(output: &Path, settings: &Settings, videos: usize) -> Result<()> {
    let folder = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let needed = least_bytes(Format::from_path(output)?, settings) * videos as u64;
    let what = match videos {
        1 => output.display().to_string(),
        n => format!("{} ({n} videos)", output.display()),
    };
    disk::require(
        &what,
        needed,
        disk::free_bytes(folder)?,
        folder,
        "write to a folder on a larger disk",
    )
}

/// Bytes that a file takes at least: what formats compress real content to at best.
fn least_bytes(format: Format, settings: &Settings) -> u64 {
    let raw = (settings.frames * settings.height * settings.width * 3) as u64;
    match format {
        Format::Y4m => raw,
        Format::Apng | Format::Frames | Format::Png | Format::Webp => raw / 20,
        Format::Mp4 | Format::Gif | Format::Jpeg => raw / 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Device;
    use crate::checkpoint::{Checkpoint, Overrides};
    use crate::pipeline::{Request, StageEstimate};

    fn settings() -> Settings {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
        let checkpoint = Checkpoint::open(Some(&demo), &Overrides::default()).unwrap();
        let request = Request {
            prompt: "x".into(),
            ..Request::default()
        };
        Settings::new(&request, &checkpoint).unwrap()
    }

    fn estimate(bytes: [(Stage, u64, u64); 3]) -> Estimate {
        let stage = |(stage, weight_bytes, activation_bytes)| StageEstimate {
            stage,
            flops: 1,
            runs: 1,
            weight_bytes,
            activation_bytes,
        };
        Estimate {
            stages: bytes.map(stage).to_vec(),
        }
    }

    fn info(device: &str) -> DeviceInfo {
        DeviceInfo {
            device: device.parse::<Device>().unwrap(),
            description: String::new(),
            memory_bytes: None,
            peak: None,
        }
    }

    const BYTES: [(Stage, u64, u64); 3] = [
        (Stage::Encode, 24_000_000_000, 1_000_000),
        (Stage::Denoise, 6_000_000_000, 2_000_000_000),
        (Stage::Decode, 500_000_000, 3_000_000_000),
    ];

    #[test]
    fn weights_that_stay_in_their_files_need_no_memory() {
        let (estimate, settings, cpu) = (estimate(BYTES), settings(), info("cpu"));
        require_memory(&estimate, &settings, &cpu, true, 3_000_000_000).unwrap();
        let error = require_memory(&estimate, &settings, &cpu, true, 2_999_999_999).unwrap_err();
        assert_eq!(
            error.to_string(),
            "17 frames of 64x64 need at least 3.0 GB of memory on cpu to decode, 3.0 GB is \
             available; pass --decode-chunk 1, or make a smaller size, or use a device with more \
             memory"
        );
        assert_eq!(error.exit_code(), 200);
    }

    #[test]
    fn a_card_must_hold_weights_and_activations() {
        let (estimate, settings, cuda) = (estimate(BYTES), settings(), info("cuda:1"));
        let error = require_memory(&estimate, &settings, &cuda, false, 16_000_000_000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "17 frames of 64x64 need at least 24.0 GB of memory on cuda:1 to encode, 16.0 GB is \
             available; pass fewer --text-tokens, or use a device with more memory"
        );
        require_memory(&estimate, &settings, &cuda, false, 25_000_000_000).unwrap();
    }

    #[test]
    fn raw_video_needs_its_whole_size() {
        let settings = settings();
        assert_eq!(least_bytes(Format::Y4m, &settings), 17 * 64 * 64 * 3);
        assert_eq!(least_bytes(Format::Mp4, &settings), 17 * 64 * 64 * 3 / 500);
    }
}
