mod devices;
use ascendit::tensor::DType;
use ascendit::verify::{self, Limits};
#[test]
fn extra() {
    let mut dirs: Vec<_> = std::fs::read_dir("/work/wt/extra-goldens")
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    dirs.sort();
    for backend in devices::available() {
        for dir in &dirs {
            if !dir.is_dir() {
                continue;
            }
            let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
            let arch = name.split("--").next().unwrap();
            let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                verify::run(
                    backend.as_ref(),
                    arch,
                    dir,
                    DType::F32,
                    Limits::of(DType::F32),
                    &ascendit::cancel::Cancel::new(),
                )
            }));
            match r {
                Err(_) => println!("{} {name}: PANIC", backend.info().device),
                Ok(Err(e)) => println!("{} {name}: ERR {e}", backend.info().device),
                Ok(Ok(o)) => {
                    let bad: Vec<_> = o.iter().filter(|o| !o.ok).collect();
                    println!(
                        "{} {name}: {} outputs, {} bad {:?}",
                        backend.info().device,
                        o.len(),
                        bad.len(),
                        bad.first()
                    );
                }
            }
        }
    }
}
