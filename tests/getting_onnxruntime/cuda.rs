//! What is found of NVIDIA's libraries, and what is said about the rest.

use std::fs;
use std::path::Path;

use ascendit::backend::onnx::card::Card;
use ascendit::backend::onnx::cuda::CudaEnv;

use super::compile;

/// A machine with a driver that runs at most some version of CUDA, a toolkit's libraries and
/// NVIDIA's Python packages.
fn nvidia_machine(root: &Path, cuda_version: u32) -> CudaEnv {
    compile(
        &format!("int cuDriverGetVersion(int *v) {{ *v = {cuda_version}; return 0; }}"),
        &root.join("lib/libcuda.so.1"),
    );
    let toolkit = ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13"];
    for name in toolkit {
        compile("int nothing;", &root.join("cuda/lib64").join(name));
    }
    for name in ["libnvrtc.so.13", "libcurand.so.10"] {
        compile(
            "int nothing;",
            &root.join("python/nvidia/cu13/lib").join(name),
        );
    }
    let parts = ["", "_graph", "_ops", "_heuristic", "_adv", "_cnn"];
    for part in parts
        .into_iter()
        .chain(["_engines_precompiled", "_engines_runtime_compiled"])
    {
        let name = format!("libcudnn{part}.so.9");
        compile(
            "int nothing;",
            &root.join("python/nvidia/cudnn/lib").join(name),
        );
    }
    CudaEnv {
        library_dirs: vec![root.join("lib"), root.join("cuda/lib64")],
        python_path: vec![root.join("python")],
    }
}

#[test]
fn cuda_is_complete_from_a_toolkit_and_python_packages() {
    let root = tempfile::tempdir().unwrap();
    let report = nvidia_machine(root.path(), 13_020).look();
    assert_eq!(
        report.to_string(),
        "the driver, CUDA 13 and cuDNN 9 are all there"
    );
    let order = report.preload_order();
    assert_eq!(order.len(), 14);
    assert_eq!(
        order[..6],
        [
            "lib/libcuda.so.1",
            "cuda/lib64/libcudart.so.13",
            "cuda/lib64/libcublasLt.so.13",
            "cuda/lib64/libcublas.so.13",
            "python/nvidia/cu13/lib/libnvrtc.so.13",
            "python/nvidia/cu13/lib/libcurand.so.10",
        ]
        .map(|name| root.path().join(name))
    );
    report.preload().unwrap();
}

#[test]
fn what_cuda_lacks_is_listed_with_how_to_get_it() {
    let root = tempfile::tempdir().unwrap();
    let env = nvidia_machine(root.path(), 12_040);
    fs::remove_file(root.path().join("cuda/lib64/libcublas.so.13")).unwrap();
    // Cut short: as good as missing.
    let curand = root.path().join("python/nvidia/cu13/lib/libcurand.so.10");
    let whole = fs::read(&curand).unwrap();
    fs::write(&curand, &whole[..4096]).unwrap();
    let report = env.look();
    assert_eq!(
        report.to_string(),
        format!(
            "missing for CUDA: CUDA 13.0 in the driver ({}/lib/libcuda.so.1 runs at most CUDA 12.4) \
             (install NVIDIA's driver, R580 or newer); libcublas.so.13 (python3 -m pip install \
             'nvidia-cublas==13.*'); libcurand.so.10 (python3 -m pip install 'nvidia-curand==10.*')",
            root.path().display()
        )
    );
    assert!(report.preload().is_err());
}

/// A driver with one GPU.
const ONE_GPU: &str = r#"
static int ready;
int cuInit(unsigned flags) { ready = flags == 0; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return !ready || ordinal != 0; }
int cuDeviceGetName(char *name, int size, int device) {
    const char *text = "NVIDIA H100 80GB HBM3";
    int i = 0;
    for (; text[i] && i + 1 < size; i++) name[i] = text[i];
    name[i] = 0;
    return device != 7;
}
int cuDeviceTotalMem_v2(unsigned long *bytes, int device) { *bytes = 85029158912; return device != 7; }
"#;

#[test]
fn a_gpu_is_known_by_its_name_and_memory() {
    let root = tempfile::tempdir().unwrap();
    let driver = root.path().join("libcuda.so.1");
    compile(ONE_GPU, &driver);
    let card = Card::ask(&driver, 0).expect("a GPU");
    assert_eq!(card.name, "NVIDIA H100 80GB HBM3");
    assert_eq!(card.memory_bytes, 85_029_158_912);
    assert_eq!(card.peak().expect("a peak").bytes_per_s, 3.352e12);
    assert_eq!(Card::ask(&driver, 1), None);
    assert_eq!(Card::ask(Path::new("/nowhere/libcuda.so.1"), 0), None);

    compile(
        "int cuInit(unsigned flags) { return 100; }",
        &driver.with_extension("2"),
    );
    assert_eq!(Card::ask(&driver.with_extension("2"), 0), None);
}
