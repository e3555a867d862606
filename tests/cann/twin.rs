//! The twin, as tests use it.

use std::process::Command;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ascendit::cann::{
    Cann, Context, DeviceBuffer, ElementType, Format, Layout, Prepared, Stream, Tensor, TwinSearch,
};

use crate::twin_controls;

/// Tests share the process's twin. Those that count what is on it are alone with it.
static TWIN: RwLock<()> = RwLock::new(());

/// The twin beside other tests.
pub(crate) fn shared() -> (RwLockReadGuard<'static, ()>, Cann) {
    let guard = TWIN.read().unwrap_or_else(|e| e.into_inner());
    (guard, open())
}

/// The twin for one test alone.
pub(crate) fn alone() -> (RwLockWriteGuard<'static, ()>, Cann) {
    let guard = TWIN.write().unwrap_or_else(|e| e.into_inner());
    (guard, open())
}

fn open() -> Cann {
    Cann::open_twin(&TwinSearch::from_env()).expect("the twin is built with the engine")
}

/// What is on the twin: `2 tensors, 1 stream`.
pub(crate) fn live(cann: &Cann) -> String {
    twin_controls::live(cann.origin())
}

/// What goes wrong on the twin, until it is dropped.
pub(crate) fn with_faults(cann: &Cann, faults: &str) -> twin_controls::Faults {
    twin_controls::Faults::new(cann.origin(), faults)
}

/// Runs a test of this program again, in a process of its own with a variable of the twin.
pub(crate) fn again(test: &str, name: &str, value: &str) {
    let program = std::env::current_exe().unwrap();
    let run = Command::new(program)
        .args(["--exact", test])
        .env(name, value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(text.contains("1 passed"), "{text}");
}

/// A device of the twin with a stream.
pub(crate) struct Device {
    pub(crate) context: Context,
    pub(crate) stream: Stream,
}

impl Device {
    pub(crate) fn new(cann: &Cann) -> Self {
        let context = Context::new(cann, 0).unwrap();
        let stream = context.stream().unwrap();
        Self { context, stream }
    }

    /// A buffer with bytes.
    pub(crate) fn buffer(&self, bytes: &[u8]) -> Arc<DeviceBuffer> {
        let buffer = self.context.alloc(bytes.len()).unwrap();
        self.stream.upload(bytes, &buffer, 0).unwrap();
        buffer
    }

    /// A tensor with `f32` elements.
    pub(crate) fn tensor(&self, shape: &[usize], elements: &[f32]) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), elements.len());
        let buffer = self.buffer(bytemuck::cast_slice(elements));
        Tensor::new(&buffer, Layout::contiguous(ElementType::F32, shape)).unwrap()
    }

    /// The same with a meaning of its axes.
    pub(crate) fn image(&self, format: Format, shape: &[usize], elements: &[f32]) -> Tensor {
        let plain = self.tensor(shape, elements);
        let layout = Layout {
            format,
            ..plain.layout().clone()
        };
        Tensor::new(plain.buffer(), layout).unwrap()
    }

    /// The elements of a contiguous `f32` tensor.
    pub(crate) fn read(&self, tensor: &Tensor) -> Vec<f32> {
        let (buffer, layout) = (tensor.buffer(), tensor.layout());
        assert!(layout.is_contiguous() && layout.dtype == ElementType::F32);
        let len = layout.shape.iter().product::<usize>() * 4;
        let bytes = self
            .stream
            .download(buffer, layout.offset * 4, len)
            .unwrap();
        bytemuck::pod_collect_to_vec(&bytes)
    }

    /// Launches an operator once.
    pub(crate) fn launch(&self, operator: Prepared) {
        let workspace = self.context.alloc(operator.workspace_bytes()).unwrap();
        operator.launch(Some(&workspace), &self.stream).unwrap();
    }
}
