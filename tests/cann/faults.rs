//! What is said when something fails, and that nothing is left then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ascendit::cann::{Cann, Context, Kernel, KernelBinary, TwinSearch};
use ascendit::{Error, Result};

use crate::twin::{Device, alone, live, with_faults};

/// Brings a fault about, compares what is said, and looks whether the twin is clean and works after.
fn fault(faults: &str, expected: &str, work: impl FnOnce(&Cann) -> Result<()>) {
    let (_guard, cann) = alone();
    {
        let _faults = with_faults(&cann, faults);
        let error = work(&cann).expect_err("a fault");
        assert_eq!(error.to_string(), expected);
        let temporary = matches!(error, Error::Exhausted { .. });
        assert_eq!(
            temporary,
            faults.contains("m:") || faults.contains("malloc")
        );
    }
    assert_eq!(live(&cann), "");
    let device = Device::new(&cann);
    let x = device.tensor(&[1], &[2.0]);
    device.launch(device.context.ops().neg(&x, &x).unwrap());
    assert_eq!(device.read(&x), [-2.0]);
}

/// A little of everything.
fn work(cann: &Cann) -> Result<()> {
    let context = Context::new(cann, 0)?;
    let stream = context.stream()?;
    let event = context.event()?;
    let buffer = context.alloc(64)?;
    stream.upload(&[0; 64], &buffer, 0)?;
    let layout = ascendit::cann::Layout::contiguous(ascendit::cann::ElementType::F32, &[16]);
    let x = ascendit::cann::Tensor::new(&buffer, layout)?;
    let neg = context.ops().neg(&x, &x)?;
    let workspace = context.alloc(neg.workspace_bytes())?;
    neg.launch(Some(&workspace), &stream)?;
    let cat = context.ops().cat(&[&x], 0, &x)?;
    cat.launch(Some(&context.alloc(1 << 20)?), &stream)?;
    stream.record(&event)?;
    stream.download(&buffer, 0, 64).map(|_| ())
}

#[test]
fn nothing_is_left_when_all_goes_well() {
    let (_guard, cann) = alone();
    let device = Device::new(&cann);
    let x = device.tensor(&[16], &[0.0; 16]);
    let ops = device.context.ops();
    let never_launched = ops.softmax(&x, 0, &x).unwrap();
    let repeatable = ops.exp(&x, &x).unwrap().repeatable().unwrap();
    let list = ops
        .cat(&[&x, &x], 0, &device.tensor(&[32], &[0.0; 32]))
        .unwrap();
    let pinned = device.context.pinned(8).unwrap();
    let event = device.context.event().unwrap();
    device.stream.record(&event).unwrap();
    assert!(live(&cann).contains("executor"), "{}", live(&cann));
    drop((device, x, never_launched, repeatable, list, pinned, event));
    assert_eq!(live(&cann), "");
}

#[test]
fn device_memory_that_runs_out() {
    fault(
        "malloc:1",
        "twin:0: aclrtMalloc of 64 bytes failed (207001 ACL_ERROR_RT_MEMORY_ALLOCATION: not enough \
         memory); CANN says: EZ207001: aclrtMalloc: out of memory on demand: 64 bytes asked for; 68.7 GB \
         of 68.7 GB are free; make fewer frames or a smaller size, pass --decode-chunk 1, or end other \
         programs that use the card",
        work,
    );
}

#[test]
fn pinned_memory_that_runs_out() {
    fault(
        "hostmem:1",
        "twin:0: aclrtMallocHost of 64 bytes failed (207001 ACL_ERROR_RT_MEMORY_ALLOCATION: not enough \
         memory); CANN says: EZ207001: aclrtMallocHost: out of pinned memory on demand: 64 bytes asked for",
        work,
    );
}

#[test]
fn an_operator_that_cannot_be_prepared() {
    fault(
        "prepare:1",
        "twin:0: aclnnNegGetWorkspaceSize failed (561103 ACLNN_ERR_INNER_NULLPTR: the operator lost \
         something); CANN says: EZ561103: aclnnNegGetWorkspaceSize: it fails on demand; run again; if it \
         comes back, please report it",
        work,
    );
}

#[test]
fn an_operator_that_fails_when_it_runs() {
    fault(
        "launch:1",
        "twin:0: aclrtSynchronizeStream failed (507015 ACL_ERROR_RT_AICORE_EXCEPTION: a kernel failed); \
         CANN says: EZ507015: aclrtSynchronizeStream: aclnnNeg fails on demand; run again; if it comes \
         back, please report it",
        |cann| {
            let device = Device::new(cann);
            let x = device.tensor(&[1], &[0.0]);
            device.stream.synchronize()?;
            device.launch(device.context.ops().neg(&x, &x)?);
            device.stream.synchronize()
        },
    );
}

#[test]
fn a_copy_that_fails() {
    fault(
        "copy:1",
        "twin:0: aclrtSynchronizeStream failed (507013 ACL_ERROR_RT_SYS_DMA: a copy failed); CANN says: \
         EZ507013: aclrtSynchronizeStream: the copy broke off after 32 of 64 bytes; look at the card with \
         `npu-smi info`, end other programs that use it, and reset it",
        |cann| {
            let device = Device::new(cann);
            let buffer = device.context.alloc(64)?;
            device.stream.upload(&[1; 64], &buffer, 0)?;
            device.stream.synchronize()
        },
    );
}

#[test]
fn a_device_that_is_lost() {
    fault(
        "lost:1",
        "twin:0: aclrtSynchronizeStream failed (507010 ACL_ERROR_RT_LOST_HEARTBEAT: the device does not \
         answer any more); CANN says: EZ507010: aclrtSynchronizeStream: the device is lost; look at the \
         card with `npu-smi info`, end other programs that use it, and reset it",
        |cann| {
            let device = Device::new(cann);
            let x = device.tensor(&[1], &[0.0]);
            let neg = device.context.ops().neg(&x, &x)?;
            let unused = device.context.ops().exp(&x, &x)?;
            let workspace = device.context.alloc(64)?;
            neg.launch(Some(&workspace), &device.stream)?;
            let lost = device.stream.synchronize();
            // Dropped on a thread that was never bound.
            std::thread::scope(|scope| {
                scope.spawn(move || drop((device, x, unused, workspace)));
            });
            lost
        },
    );
}

#[test]
fn what_a_device_has_none_left_of() {
    for (kind, call) in [
        ("setdevice", "aclrtSetDevice"),
        ("context", "aclrtCreateContext"),
        ("stream", "aclrtCreateStream"),
        ("event", "aclrtCreateEventWithFlag"),
    ] {
        let (_guard, cann) = alone();
        {
            let _faults = with_faults(&cann, &format!("{kind}:1"));
            let error = work(&cann).expect_err("a fault").to_string();
            assert!(
                error.starts_with(&format!("twin:0: {call} failed (")),
                "{error}"
            );
        }
        assert_eq!(live(&cann), "", "{kind}");
        work(&cann).unwrap();
    }
}

#[test]
fn a_library_that_does_not_start_or_is_too_old() {
    let (_guard, cann) = alone();
    let file = cann.origin().to_owned();
    let search = TwinSearch {
        named: Some(file.clone().into()),
        exe_dir: None,
    };
    let refusal = || Cann::open_twin(&search).expect_err("a fault").to_string();
    let remedy = format!("tried {file} (taken); `cargo build` makes it; ASCENDIT_TWIN can name it");
    let faults = with_faults(&cann, "version:8.0");
    assert_eq!(
        refusal(),
        format!("twin: CANN 8.0.RC1 is too old, 8.1 or newer is needed; {remedy}")
    );
    drop(faults);

    let faults = with_faults(&cann, "init:1");
    drop(cann);
    let error = refusal();
    assert!(error.starts_with("twin: aclInit failed ("), "{error}");
    assert!(error.ends_with(&remedy), "{error}");
    drop(faults);
    assert!(Cann::open_twin(&search).is_ok());
}

#[test]
fn a_slow_stream_is_not_done_in_time_and_holds_what_it_uses() {
    let (_guard, cann) = alone();
    let device = Device::new(&cann);
    let x = device.tensor(&[1], &[0.0]);
    device.stream.synchronize().unwrap();
    let buffer = Arc::downgrade(x.buffer());
    let _faults = with_faults(&cann, "slow:300");
    device.launch(device.context.ops().neg(&x, &x).unwrap());
    drop(x);
    let done = device.stream.synchronize_within(Duration::from_millis(20));
    assert!(!done.unwrap());
    assert!(buffer.upgrade().is_some());
    assert!(
        device
            .stream
            .synchronize_within(Duration::from_secs(60))
            .unwrap()
    );
    assert!(buffer.upgrade().is_none());
}

#[test]
fn a_stream_that_hangs_is_stopped_by_abort_and_when_it_is_dropped() {
    let (_guard, cann) = alone();
    let device = Device::new(&cann);
    let x = device.tensor(&[1], &[3.0]);
    device.stream.synchronize().unwrap();
    {
        let _faults = with_faults(&cann, "hang:1");
        device.launch(device.context.ops().neg(&x, &x).unwrap());
        let done = device.stream.synchronize_within(Duration::from_millis(20));
        assert!(!done.unwrap());
        device.stream.abort().unwrap();
    }
    assert_eq!(device.read(&x), [3.0]);

    let _faults = with_faults(&cann, "hang:1");
    let other = device.context.stream().unwrap();
    let neg = device.context.ops().neg(&x, &x).unwrap();
    let workspace = device.context.alloc(64).unwrap();
    neg.launch(Some(&workspace), &other).unwrap();
    let began = Instant::now();
    drop(other);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(Arc::strong_count(&workspace), 1);
    drop((device, x, workspace));
    assert_eq!(live(&cann), "");
}

/// Adds a number to some bytes.
const KERNEL: &str = r#"
    #include <stdint.h>
    #include <string.h>
    struct range { uint64_t address, bytes; uint8_t *host; };
    struct launch {
        const char *soc; uint32_t blocks, modes;
        const uint8_t *arguments; uint64_t argument_bytes;
        const struct range *ranges; uint64_t range_count;
        void (*tell)(void *, uint32_t, const char *, uint64_t); void *user;
    };
    struct args { uint64_t address; uint32_t add, each; };
    static int32_t add(const struct launch *launch) {
        struct args args;
        memcpy(&args, launch->arguments, sizeof(args));
        const struct range *range = launch->ranges;
        while (args.address - range->address >= range->bytes) range++;
        unsigned char *bytes = range->host + (args.address - range->address);
        for (uint32_t i = 0; i < launch->blocks * args.each; i++) bytes[i] += args.add;
        return 0;
    }
    const void *twin_kernel(const char *name) { return strcmp(name, "add") ? 0 : add; }
"#;

fn kernel(context: &Context, name: &str) -> Result<Kernel> {
    let file = tempfile::Builder::new().suffix(".so").tempfile().unwrap();
    crate::fake::compile(KERNEL, file.path());
    KernelBinary::load(context, file.path())?.kernel(name)
}

#[test]
fn a_kernel_gets_its_arguments_and_is_held_while_it_runs() {
    use ascendit::cann::Arg;
    let (_guard, cann) = alone();
    let device = Device::new(&cann);
    let buffer = device.buffer(&[1; 12]);
    let tiling: Vec<u8> = [5u32, 4].iter().flat_map(|n| n.to_ne_bytes()).collect();
    let args = [Arg::Buffer(&buffer, 4), Arg::Bytes(&tiling)];
    let add = kernel(&device.context, "add").unwrap();
    add.launch(2, &args, &device.stream).unwrap();
    drop(add);
    let expected = [1, 1, 1, 1, 6, 6, 6, 6, 6, 6, 6, 6];
    assert_eq!(device.stream.download(&buffer, 0, 12).unwrap(), expected);

    let error = kernel(&device.context, "sub")
        .expect_err("no such kernel")
        .to_string();
    assert!(
        error.starts_with("twin:0: aclrtBinaryGetFunction of sub in /"),
        "{error}"
    );
    let missing = KernelBinary::load(&device.context, "/nowhere/kernels.o".as_ref());
    let error = missing.expect_err("no such file").to_string();
    assert_eq!(error, "cannot open /nowhere/kernels.o");
    drop((device, buffer));
    assert_eq!(live(&cann), "");
}
