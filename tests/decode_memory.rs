//! Peak memory of streaming decode does not grow with the number of frames.

mod devices;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ascendit::backend::Backend;
use ascendit::checkpoint::{Checkpoint, Overrides};
use ascendit::media::{VideoOptions, VideoWriter, to_rgb8};
use ascendit::pipeline::{Request, Settings, Silent, TextToVideo};
use ascendit::samplers::Generator;
use ascendit::tensor::{HostTensor, numel};

/// Tells a child process of this test which device to decode on, and how many frames.
const TASK: &str = "ASCENDIT_TEST_DECODE";

/// Decodes noise with the demo's decoder into a Y4M file.
fn decode(backend: Arc<dyn Backend>, frames: usize, output: &Path) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    let checkpoint = Checkpoint::open(Some(&demo), &Overrides::default()).expect("the demo opens");
    let request = Request {
        prompt: "noise".into(),
        frames: Some(frames),
        height: Some(128),
        width: Some(128),
        decode_chunk: Some(2),
        ..Request::default()
    };
    let settings = Settings::new(&request, &checkpoint).expect("settings");
    let [t, h, w] = settings.latent;
    let shape = [1, 8, t, h, w];
    let latent = HostTensor::f32(shape, Generator::new(1).randn(numel(&shape)));
    let mut pipeline = TextToVideo::new(backend, checkpoint, None, true).expect("a pipeline");
    let options = VideoOptions {
        width: 128,
        height: 128,
        fps: 8.0,
        frames: Some(frames),
        overwrite: true,
        metadata: serde_json::Value::Null,
    };
    let mut writer = VideoWriter::create(output, &options).expect("a writer");
    let decoded = pipeline
        .decode(&settings, &latent, &Silent::default(), &mut |frame| {
            writer.push(&to_rgb8(&frame.pixels))
        })
        .expect("it decodes");
    assert_eq!(decoded, frames);
    writer.finish().expect("a file");
}

/// The largest resident size of this process so far, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("a peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

/// Does what [`TASK`] says and prints the peak; nothing when this is not a child process.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let (device, frames) = task.split_once(' ').expect("DEVICE FRAMES");
    let backend = devices::available()
        .into_iter()
        .find(|b| b.info().device.to_string() == device)
        .expect("the parent saw the device");
    let dir = tempfile::tempdir().expect("a folder");
    decode(
        backend.into(),
        frames.parse().expect("a number"),
        &dir.path().join("out.y4m"),
    );
    println!("peak {} KiB", peak_kib());
}

fn peak_of(device: &str, frames: usize) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", "child", "--nocapture"])
        .env(TASK, format!("{device} {frames}"))
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = text
        .lines()
        .find_map(|line| line.split_once("peak "))
        .expect("a peak");
    line.1.trim_end_matches(" KiB").parse().expect("a number")
}

#[test]
fn peak_memory_at_129_frames_is_that_at_33() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: peak memory (only known on Linux)");
        return;
    }
    for backend in devices::available() {
        let device = backend.info().device.to_string();
        let (short, long) = (peak_of(&device, 33), peak_of(&device, 129));
        println!("{device}: {short} KiB at 33 frames, {long} KiB at 129 frames");
        assert!(
            long as f64 <= 1.15 * short as f64,
            "{device}: {short} KiB, then {long} KiB"
        );
    }
}
