//! What is found of NVIDIA's libraries, and what is said about the rest.

use std::fs;
use std::path::Path;

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
