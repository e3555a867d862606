//! Profiles.

use ascendit::cann::{Cann, Context, Profile};

use crate::fake::{Fake, only};
use crate::twin::{Device, alone, live};

#[test]
fn a_profile_has_the_launches_between_its_start_and_its_end() {
    let (_guard, cann) = alone();
    let device = Device::new(&cann);
    let folder = tempfile::tempdir().unwrap();
    let x = device.tensor(&[1], &[0.0]);
    device.launch(device.context.ops().exp(&x, &x).unwrap());
    device.stream.synchronize().unwrap();
    let profile = Profile::start(&device.context, folder.path()).unwrap();
    device.launch(device.context.ops().neg(&x, &x).unwrap());
    device.stream.synchronize().unwrap();
    profile.finish();
    device.launch(device.context.ops().sin(&x, &x).unwrap());
    device.stream.synchronize().unwrap();
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap();
    let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
    assert!(text.contains("aclnnNeg"), "{text}");
    assert!(
        !text.contains("aclnnExp") && !text.contains("aclnnSin"),
        "{text}"
    );
    drop((device, x));
    assert_eq!(live(&cann), "");
}

#[test]
fn a_cann_without_a_profiler_says_so() {
    let root = tempfile::tempdir().unwrap();
    Fake {
        source: "int aclrtGetDeviceCount(unsigned *n) { *n = 1; return 0; }",
        without: &["aclrtGetDeviceCount"],
        ..Fake::default()
    }
    .make(root.path());
    let cann = Cann::open(&only(root.path())).unwrap();
    let context = Context::new(&cann, 0).unwrap();
    let error = Profile::start(&context, root.path()).expect_err("none");
    assert_eq!(
        error.to_string(),
        "cann:0: CANN 8.1.RC1 has no profiler here"
    );
}
