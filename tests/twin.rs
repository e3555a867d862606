//! The twin from the user's side. What goes wrong on a device is one clear error, leaves nothing behind,
//! and the next generation works; what CANN would do unasked is known.

#[path = "program/mod.rs"]
mod program;
mod twin_controls;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use ascendit::Error;
use ascendit::backend::Backend;
use ascendit::backend::cann::CannBackend;
use ascendit::cancel::Cancel;
use ascendit::checkpoint::{Checkpoint, Overrides};
use ascendit::pipeline::{Event, Observer, Request, Silent, Stage, TextToVideo};
use ascendit::tensor::DType;
use ascendit::verify::{self, Limits};
use program::Place;
use twin_controls::{Faults, live, logged};

/// A fault, the exit code, and what the error says about it. Launches fail when they run, so that the
/// call that tells is any later one.
const FAULTS: [(&str, i32, &str); 32] = [
    (
        "init",
        2,
        "twin: aclInit failed (507000 ACL_ERROR_RT_INTERNAL_ERROR",
    ),
    (
        "version:7.0",
        2,
        "twin: CANN 7.0.RC1 is too old, 8.1 or newer is needed",
    ),
    (
        "without:aclnnAddcmul",
        2,
        " lacks aclnnAddcmul in libopapi.so; tried ",
    ),
    (
        "setdevice",
        201,
        "twin:0: aclrtSetDevice failed (507000 ACL_ERROR_RT_INTERNAL_ERROR",
    ),
    (
        "context",
        201,
        "twin:0: aclrtCreateContext failed (507000 ACL_ERROR_RT_INTERNAL_ERROR",
    ),
    ("stream", 201, "twin:0: aclrtCreateStream failed (207005 "),
    (
        "event",
        201,
        "twin:0: aclrtCreateEventWithFlag failed (207005 ",
    ),
    (
        "event:20",
        201,
        "twin:0: aclrtCreateEventWithFlag failed (207005 ",
    ),
    (
        "hostmem:1",
        200,
        "to encode: twin:0: aclrtMallocHost of 131.1 kB failed (207001 ",
    ),
    ("hostmem:3", 200, "aclrtMallocHost of "),
    (
        "malloc:1",
        200,
        "to encode: twin:0: aclrtMalloc of 131.1 kB for the weight shared.weight failed (207001 ",
    ),
    ("malloc:30", 200, "make fewer frames or a smaller size"),
    ("malloc:60", 200, "to denoise: twin:0: aclrtMalloc of "),
    ("malloc:400", 200, "to decode: twin:0: aclrtMalloc of "),
    (
        "copy:1",
        201,
        "the copy broke off after 65536 of 131072 bytes",
    ),
    ("copy:10", 201, "the copy broke off after "),
    ("copy:60", 201, "the copy broke off after "),
    ("copy:300", 201, "the copy broke off after "),
    (
        "prepare:1",
        201,
        "twin:0: embed: aclnnEmbeddingGetWorkspaceSize failed (561103 ",
    ),
    (
        "prepare:100",
        201,
        "GetWorkspaceSize failed (561103 ACLNN_ERR_INNER_NULLPTR",
    ),
    ("prepare:250", 201, "twin:0: transformer_blocks."),
    (
        "prepare:1000",
        201,
        "GetWorkspaceSize failed (561103 ACLNN_ERR_INNER_NULLPTR",
    ),
    ("launch:1", 201, "aclnnEmbedding fails on demand"),
    (
        "launch:80",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    (
        "launch:500",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    (
        "launch:5000",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    (
        "launch:9700",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    ("lost:0", 201, "the device is lost"),
    ("lost:50", 201, "the device is lost"),
    ("lost:3000", 201, "the device is lost"),
    ("lost:9700", 201, "the device is lost"),
    (
        "launch:2000,slow:0",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
];

/// The same with our own kernels.
const FAULTS_WITH_KERNELS: [(&str, i32, &str); 4] = [
    (
        "launch:80",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    (
        "launch:900",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    (
        "launch:6000",
        201,
        "(507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed)",
    ),
    ("lost:3000", 201, "the device is lost"),
];

#[test]
fn every_fault_of_a_device_is_one_clear_error_and_leaves_nothing() {
    let mut failures = vec![];
    let without = FAULTS.map(|fault| ("off", fault));
    let with = FAULTS_WITH_KERNELS.map(|fault| ("on", fault));
    for (kernels, (fault, code, says)) in without.into_iter().chain(with) {
        let place = Place::new();
        let before = place.files();
        let demo = program::repository("assets/demo").display().to_string();
        let args = [
            "generate",
            "a red seven",
            "-o",
            "out.mp4",
            "--device",
            "twin",
            "--kernels",
            kernels,
            "--model",
            &demo,
        ];
        let mut command = place.command(&args);
        command.arg("--quiet").env("ASCENDIT_TWIN_FAULT", fault);
        let ran = place.ran(command.output().expect("the program runs"));
        let one_error =
            ran.stderr.starts_with("ERROR ") && ran.stderr.trim_end().lines().count() == 1;
        let clean = place.files() == before && ran.stdout.is_empty();
        if ran.code != Some(code) || !one_error || !ran.stderr.contains(says) || !clean {
            failures.push(format!(
                "{fault}, kernels {kernels}: {says}\n{ran:?}\n{:?}",
                place.files()
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The twin, beside this program.
fn twin_library() -> String {
    let program = std::env::current_exe().expect("this program");
    let twin = program.with_file_name("libascendit_cann_twin.so");
    twin.to_str().expect("a path in UTF-8").to_owned()
}

/// Tests that use the twin in this process do so one after the other: faults and log are the process's.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn the_next_generation_in_the_same_process_works() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    [false, true].into_iter().for_each(next_generations_work);
}

/// After each of some faults, with our own kernels or without.
fn next_generations_work(kernels: bool) {
    let twin =
        CannBackend::open("twin".parse().expect("a device"), kernels).expect("the twin opens");
    let demo = program::repository("assets/demo");
    let checkpoint = Checkpoint::open(Some(&demo), &Overrides::default()).expect("the demo opens");
    let mut pipeline =
        TextToVideo::new(Arc::new(twin), checkpoint, None, true).expect("a pipeline");
    let request = Request {
        prompt: "a blue two".into(),
        frames: Some(5),
        steps: Some(2),
        seed: 3,
        ..Request::default()
    };
    let mut generate = || {
        let mut frames = vec![];
        let done = pipeline.generate(&request, &Silent::default(), &mut |frame| {
            frames.push(frame.pixels);
            Ok(())
        });
        done.map(|_| frames).map_err(|e| e.to_string())
    };
    let expected = generate().expect("it works");
    let faults = [
        "launch:3",
        "launch:200",
        "launch:300",
        "prepare:3",
        "prepare:6",
        "malloc:2",
        "copy:2",
        "event:2",
        "launch:400",
        "malloc:7",
    ];
    for fault in faults {
        let faults = Faults::new(&twin_library(), fault);
        let error = generate().map(|_| ()).expect_err(fault);
        drop(faults);
        assert!(error.contains("twin:0"), "{fault}: {error}");
        let again = generate().unwrap_or_else(|error| panic!("after {fault}: {error}"));
        assert!(again == expected, "other frames after {fault}");
    }
    drop(pipeline);
    assert_eq!(live(&twin_library()), "");
}

#[test]
fn what_cann_does_unasked_is_known() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for dtype in [DType::F16, DType::BF16] {
        let twin =
            CannBackend::open("twin".parse().expect("a device"), false).expect("the twin opens");
        let demo = program::repository("assets/demo");
        let demo = Checkpoint::open(Some(&demo), &Overrides::default()).expect("the demo opens");
        let mut pipeline =
            TextToVideo::new(Arc::new(twin), demo, Some(dtype), true).expect("a pipeline");
        let request = Request {
            prompt: "a blue two".into(),
            steps: Some(1),
            ..Request::default()
        };
        let log = logged(&twin_library(), || {
            pipeline
                .generate(&request, &Silent::default(), &mut |_| Ok(()))
                .expect("it works");
        });
        let mut hidden: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for line in &log {
            let Some(op) = line["op"].as_str() else {
                continue;
            };
            let entry = hidden.entry(op).or_default();
            entry.0 += 1;
            entry.1 += line["copies"].as_u64().expect("a number");
            entry.2 += line["casts"].as_u64().expect("a number");
        }
        assert!(hidden["aclnnConvolution"].0 > 50, "{dtype}: {hidden:?}");
        hidden.retain(|_, (_, copies, casts)| *copies + *casts > 0);
        // Everything else gets its operands in one piece and in the types that the chip's operators take;
        // a copy of a strided tensor is one that CANN copies into one piece first.
        let ops: Vec<&str> = hidden.keys().copied().collect();
        assert_eq!(ops, ["aclnnInplaceCopy"], "{dtype}: {hidden:?}");
        let (launches, copies, casts) = hidden["aclnnInplaceCopy"];
        assert!(copies <= launches, "{dtype}: {hidden:?}");
        assert_eq!(casts, 0, "{dtype}: {hidden:?}");
    }
}

#[test]
fn without_the_operator_for_inference_others_attend() {
    const TEST: &str = "without_the_operator_for_inference_others_attend";
    const FAULT: &str = "without:aclnnPromptFlashAttentionV3";
    if std::env::var("ASCENDIT_TWIN_FAULT").as_deref() != Ok(FAULT) {
        // Once more in a process that begins without it: functions are looked up when a library is opened.
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", TEST])
            .env("ASCENDIT_TWIN_FAULT", FAULT)
            .output()
            .expect("this program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
        return;
    }
    let twin =
        Arc::new(CannBackend::open("twin".parse().expect("a device"), false).expect("it opens"));
    let demo = program::repository("assets/demo");
    let checkpoint = Checkpoint::open(Some(&demo), &Overrides::default()).expect("the demo opens");
    let mut pipeline = TextToVideo::new(
        Arc::clone(&twin) as Arc<dyn Backend>,
        checkpoint,
        None,
        true,
    )
    .expect("a pipeline");
    let request = Request {
        prompt: "a blue two".into(),
        frames: Some(5),
        steps: Some(1),
        ..Request::default()
    };
    let generation = counted(|| {
        pipeline
            .generate(&request, &Silent::default(), &mut |_| Ok(()))
            .expect("it works");
    });
    let goldens = |architecture: &str| {
        let folder = program::repository("tests/data").join(architecture);
        let (dtype, cancel) = (DType::F16, Cancel::new());
        let limits = Limits::of(dtype);
        let outcomes = verify::run(twin.as_ref(), architecture, &folder, dtype, limits, &cancel);
        let outcomes = outcomes.expect("it runs");
        let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.ok).collect();
        assert!(!outcomes.is_empty() && failed.is_empty(), "{failed:?}");
    };
    // The first one has masks only.
    let masked = counted(|| goldens("open-sora-plan-v1.3-t2v"));
    let unmasked = counted(|| goldens("wfvae-v1.3"));
    for launches in [&generation, &masked, &unmasked] {
        assert_eq!(launches.get("aclnnPromptFlashAttentionV3"), None);
    }
    // Attention to all keys, and to some of them.
    for (launches, operator) in [
        (&generation, "aclnnFlashAttentionScore"),
        (&generation, "aclnnBatchMatMul"),
        (&masked, "aclnnBatchMatMul"),
        (&unmasked, "aclnnFlashAttentionScore"),
    ] {
        assert!(launches.contains_key(operator), "{operator}: {launches:?}");
    }
}

/// How often each operator is launched while `work` runs.
fn counted(work: impl FnOnce()) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in logged(&twin_library(), work) {
        if let Some(op) = line["op"].as_str() {
            *counts.entry(op.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Asks to stop at the first segment of a stage.
struct StopIn {
    stage: Stage,
    cancel: Cancel,
}

impl Observer for StopIn {
    fn on(&self, event: Event<'_>) {
        if matches!(event, Event::Segment(stage, ..) if stage == self.stage) {
            self.cancel.cancel();
        }
    }

    fn cancel(&self) -> &Cancel {
        &self.cancel
    }
}

#[test]
fn a_generation_stops_in_every_stage_and_leaves_the_device_clean() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let twin = CannBackend::open("twin".parse().expect("a device"), false).expect("the twin opens");
    let demo = program::repository("assets/demo");
    let checkpoint = Checkpoint::open(Some(&demo), &Overrides::default()).expect("the demo opens");
    let mut pipeline =
        TextToVideo::new(Arc::new(twin), checkpoint, None, true).expect("a pipeline");
    for stage in [Stage::Encode, Stage::Denoise, Stage::Decode] {
        // Other prompts, so that each is encoded.
        let request = Request {
            prompt: format!("a blue two {stage}"),
            frames: Some(5),
            steps: Some(2),
            ..Request::default()
        };
        let faults = Faults::new(&twin_library(), "slow:10");
        let stop = StopIn {
            stage,
            cancel: Cancel::new(),
        };
        let result = pipeline.generate(&request, &stop, &mut |_| Ok(()));
        let error = result.map(|_| ()).expect_err("it was told to stop");
        assert!(matches!(error, Error::Cancelled), "{stage}: {error}");
        drop(faults);
        let again = pipeline.generate(&request, &Silent::default(), &mut |_| Ok(()));
        again
            .map(|_| ())
            .unwrap_or_else(|error| panic!("after {stage}: {error}"));
    }
    drop(pipeline);
    assert_eq!(live(&twin_library()), "");
}
