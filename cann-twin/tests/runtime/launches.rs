//! The two phases of operators: executors, workspaces, memory, and the log.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use ascendit_cann_twin::ascendit_twin_set_logging;
use cann_sys::*;

use crate::twin::*;

/// Two rows of four floats, input and output.
struct Pair {
    x: *mut c_void,
    out: *mut c_void,
    tensors: [*mut aclTensor; 2],
    stream: Stream,
}

impl Pair {
    /// The input is read with a stride.
    fn with_stride(stride: i64) -> Self {
        let values: Vec<f32> = (1..=8).map(|n| n as f32).collect();
        let (x, out) = (upload_floats(&values), malloc(16));
        let tensors = [tensor(x, 4, stride, 0), tensor(out, 4, 1, 0)];
        let stream = stream();
        Self {
            x,
            out,
            tensors,
            stream,
        }
    }

    fn prepare(&self) -> (u64, *mut aclOpExecutor) {
        prepare_neg(self.tensors[0], self.tensors[1])
    }

    fn end(self) {
        destroy(self.stream);
        self.tensors.into_iter().for_each(destroy_tensor);
        free(self.x);
        free(self.out);
    }
}

#[test]
fn an_executor_is_used_once() {
    let _twin = twin();
    let pair = Pair::with_stride(1);
    let (size, executor) = pair.prepare();
    assert_eq!((size, live().contains("1 executor")), (0, true));
    // SAFETY: handles are checked, and no workspace is needed.
    unsafe {
        ok((T.aclnnNeg)(null_mut(), 0, executor, pair.stream));
        synchronize(pair.stream);
        assert_eq!(floats(pair.out, 4), [-1.0, -2.0, -3.0, -4.0]);
        let text = "the executor was used before, or is none";
        refused(
            (T.aclnnNeg)(null_mut(), 0, executor, pair.stream),
            161_002,
            &format!("aclnnNeg: {text}"),
        );
        for none in [
            null_mut(),
            pair.tensors[0].cast(),
            (&raw const text).cast_mut().cast(),
        ] {
            refused(
                (T.aclnnNeg)(null_mut(), 0, none, pair.stream),
                161_002,
                &format!("aclnnNeg: {text}"),
            );
        }
    }
    pair.end();
}

#[test]
fn a_repeatable_executor_is_used_until_it_is_destroyed() {
    let _twin = twin();
    let pair = Pair::with_stride(1);
    let (_, executor) = pair.prepare();
    // SAFETY: handles are checked, and no workspace is needed.
    unsafe {
        ok((T.aclSetAclOpExecutorRepeatable)(executor));
        for round in 0..3 {
            ok((T.aclrtMemsetAsync)(pair.out, 16, round, 16, pair.stream));
            ok((T.aclnnNeg)(null_mut(), 0, executor, pair.stream));
            synchronize(pair.stream);
            assert_eq!(floats(pair.out, 4), [-1.0, -2.0, -3.0, -4.0]);
        }
        ok((T.aclDestroyAclOpExecutor)(executor));
        let text = "it is no executor, or one that was destroyed";
        refused(
            (T.aclDestroyAclOpExecutor)(executor),
            161_002,
            &format!("aclDestroyAclOpExecutor: {text}"),
        );
        refused(
            (T.aclSetAclOpExecutorRepeatable)(executor),
            161_002,
            "aclSetAclOpExecutorRepeatable: it is no executor",
        );
        refused(
            (T.aclSetAclOpExecutorRepeatable)(null_mut()),
            561_103,
            "aclSetAclOpExecutorRepeatable: the executor is a null pointer",
        );
    }
    pair.end();
}

#[test]
fn an_executor_is_one_of_its_function() {
    let _twin = twin();
    let pair = Pair::with_stride(1);
    let (_, executor) = pair.prepare();
    // SAFETY: handles are checked, and no workspace is needed.
    unsafe {
        refused(
            (T.aclnnExp)(null_mut(), 0, executor, pair.stream),
            161_002,
            "aclnnExp: the executor is one of aclnnNeg",
        );
        ok((T.aclnnNeg)(null_mut(), 0, executor, pair.stream));
    }
    pair.end();
}

#[test]
fn a_descriptor_must_live_until_the_second_phase() {
    let _twin = twin();
    let (x, out, stream) = (upload_floats(&[1.0]), malloc(4), stream());
    for early in 0..2 {
        let tensors = [tensor(x, 1, 1, 0), tensor(out, 1, 1, 0)];
        let (_, executor) = prepare_neg(tensors[0], tensors[1]);
        destroy_tensor(tensors[early]);
        // SAFETY: handles are checked, and no workspace is needed.
        unsafe {
            let gone = tensors[early] as usize;
            let text = format!("a descriptor ({gone:#x}) was destroyed before the second phase");
            refused(
                (T.aclnnNeg)(null_mut(), 0, executor, stream),
                161_002,
                &format!("aclnnNeg: {text}"),
            );
            ok((T.aclDestroyAclOpExecutor)(executor));
        }
        destroy_tensor(tensors[1 - early]);
    }
    // After the second phase, it need not.
    let tensors = [tensor(x, 1, 1, 0), tensor(out, 1, 1, 0)];
    let (_, executor) = prepare_neg(tensors[0], tensors[1]);
    faults("slow:50");
    // SAFETY: handles are checked, and no workspace is needed.
    ok(unsafe { (T.aclnnNeg)(null_mut(), 0, executor, stream) });
    tensors.into_iter().for_each(destroy_tensor);
    synchronize(stream);
    assert_eq!(floats(out, 1), [-1.0]);
    destroy(stream);
    free(x);
    free(out);
}

#[test]
fn a_workspace_is_large_enough_and_on_the_device() {
    let _twin = twin();
    // What is strided is copied first, which takes a workspace.
    let pair = Pair::with_stride(2);
    let (size, executor) = pair.prepare();
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclDestroyAclOpExecutor)(executor) });
    let workspace = malloc(4096);
    assert!((16..=4096).contains(&size), "{size}");
    let mut host = [0u8; 4096];
    let outside = "the workspace is not memory of the device".to_owned();
    let small = format!(
        "a workspace of {} bytes is too small, {size} are needed",
        size - 1
    );
    let end = workspace.wrapping_byte_add(4096 - size as usize + 1);
    for (memory, bytes, text) in [
        (workspace, size - 1, &small),
        (null_mut(), size, &outside),
        (host.as_mut_ptr().cast(), size, &outside),
        (end, size, &outside),
    ] {
        let (_, executor) = pair.prepare();
        // SAFETY: handles and addresses are checked.
        let code = unsafe { (T.aclnnNeg)(memory, bytes, executor, pair.stream) };
        refused(code, 161_002, &format!("aclnnNeg: {text}"));
    }
    let (_, executor) = pair.prepare();
    // SAFETY: handles and addresses are checked.
    ok(unsafe { (T.aclnnNeg)(workspace, size, executor, pair.stream) });
    synchronize(pair.stream);
    assert_eq!(floats(pair.out, 4), [-1.0, -3.0, -5.0, -7.0]);
    free(workspace);
    pair.end();
}

#[test]
fn an_operator_that_leaves_its_memory_fails_the_stream() {
    let _twin = twin();
    let (x, out) = (malloc(16), malloc(16));
    let mut host = [0f32; 4];
    let own: *mut c_void = host.as_mut_ptr().cast();
    for (from, to, does) in [
        (tensor(x, 5, 1, 0), tensor(out, 5, 1, 0), "reads"),
        (tensor(x, 4, 1, 1), tensor(out, 4, 1, 0), "reads"),
        (tensor(x, 4, 1, 0), tensor(out, 4, 1, 1), "writes"),
        (tensor(x, 4, 1, 0), tensor(own, 4, 1, 0), "writes"),
        (tensor(own, 4, 1, 0), tensor(out, 4, 1, 0), "reads"),
    ] {
        let stream = stream();
        let (_, executor) = prepare_neg(from, to);
        // SAFETY: handles and addresses are checked, and no workspace is needed.
        unsafe {
            ok((T.aclnnNeg)(null_mut(), 0, executor, stream));
            let text = format!("an operator {does} outside of the memory of its tensor");
            refused(
                (T.aclrtSynchronizeStream)(stream),
                507_015,
                &format!("aclrtSynchronizeStream: {text}"),
            );
        }
        destroy(stream);
        destroy_tensor(from);
        destroy_tensor(to);
    }
    assert_eq!(host, [0.0; 4]);
    free(x);
    free(out);
}

#[test]
fn an_offset_that_wraps_around_is_outside() {
    let _twin = twin();
    let (x, out, stream) = (malloc(16), malloc(16), stream());
    // Times 4, this wraps around to the beginning of the memory.
    let offset = 1i64 << 62;
    let (from, to) = (tensor(x, 1, 1, offset), tensor(out, 1, 1, 0));
    let (mut size, mut executor) = (0, null_mut());
    // SAFETY: there are places for the results; handles are checked.
    unsafe {
        match (T.aclnnNegGetWorkspaceSize)(from, to, &mut size, &mut executor) {
            0 => {
                ok((T.aclnnNeg)(null_mut(), 0, executor, stream));
                let text = "an operator reads outside of the memory of its tensor";
                let text = format!("aclrtSynchronizeStream: {text}");
                refused((T.aclrtSynchronizeStream)(stream), 507_015, &text);
            }
            code => assert_eq!(code, 161_002),
        }
    }
    destroy(stream);
    destroy_tensor(from);
    destroy_tensor(to);
    free(x);
    free(out);
}

#[test]
fn memory_that_is_freed_before_an_operator_runs_fails_the_stream() {
    let _twin = twin();
    let (first, stream) = (Number::new(1.0), stream());
    let (x, out) = (malloc(4), malloc(4));
    let (from, to) = (tensor(x, 1, 1, 0), tensor(out, 1, 1, 0));
    let (_, executor) = prepare_neg(from, to);
    faults("slow:100");
    first.negate(stream);
    // SAFETY: handles and addresses are checked, and no workspace is needed.
    unsafe {
        ok((T.aclnnNeg)(null_mut(), 0, executor, stream));
        free(x);
        let text = "aclnnNeg ran on memory that was freed";
        let text = format!("aclrtSynchronizeStream: {text}");
        refused((T.aclrtSynchronizeStream)(stream), 507_015, &text);
    }
    destroy(stream);
    destroy_tensor(from);
    destroy_tensor(to);
    free(out);
    first.end();
}

#[test]
fn a_first_phase_needs_places_for_its_results() {
    let _twin = twin();
    let pair = Pair::with_stride(1);
    let [x, out] = pair.tensors;
    let (mut size, mut executor) = (0, null_mut());
    let text = "aclnnNegGetWorkspaceSize: a pointer for a result is null";
    // SAFETY: null is what is looked at.
    unsafe {
        let first = T.aclnnNegGetWorkspaceSize;
        refused(first(x, out, null_mut(), &mut executor), 161_001, text);
        refused(first(x, out, &mut size, null_mut()), 161_001, text);
        refused(
            first(null(), out, &mut size, &mut executor),
            161_001,
            "aclnnNegGetWorkspaceSize: self is a null pointer",
        );
    }
    assert!(executor.is_null());
    pair.end();
}

#[test]
fn the_log_says_what_was_launched() {
    let _twin = twin();
    let (plain, strided) = (Pair::with_stride(1), Pair::with_stride(2));
    let workspace = malloc(4096);
    let launch = |pair: &Pair| {
        let (size, executor) = pair.prepare();
        // SAFETY: handles and addresses are checked.
        ok(unsafe { (T.aclnnNeg)(workspace, 4096, executor, pair.stream) });
        synchronize(pair.stream);
        size
    };
    launch(&plain);
    ascendit_twin_set_logging(1);
    launch(&plain);
    let size = launch(&strided);
    let line = |size, copies| {
        format!(
            r#"{{"op":"aclnnNeg","reads":[[4]],"writes":[[4]],"bytes":32,"workspace":{size},"casts":0,"copies":{copies}}}"#
        )
    };
    // With no place for it, only the length is told.
    // SAFETY: null is a place for nothing.
    let len = unsafe { ascendit_cann_twin::ascendit_twin_take_log(null_mut(), 0) };
    let log = take_log();
    assert_eq!(log, [line(0, 0), line(size, 1)]);
    assert_eq!(len, log.iter().map(|line| line.len() + 1).sum::<usize>());
    assert_eq!(take_log(), Vec::<String>::new());
    ascendit_twin_set_logging(0);
    launch(&plain);
    assert_eq!(take_log(), Vec::<String>::new());
    free(workspace);
    plain.end();
    strided.end();
}
