//! Streams: order, waiting, failure and being stopped.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use cann_sys::*;

use crate::twin::*;

#[test]
fn a_call_returns_before_its_work_is_done() {
    let _twin = twin();
    let (number, stream) = (Number::new(3.0), stream());
    faults("slow:200");
    let began = Instant::now();
    number.negate(stream);
    assert!(began.elapsed() < Duration::from_millis(150));
    synchronize(stream);
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(number.value(), -3.0);
    destroy(stream);
    number.end();
}

#[test]
fn work_is_done_in_order() {
    let _twin = twin();
    let stream = stream();
    let bytes = 1 << 16;
    let (a, b) = (malloc(bytes), malloc(bytes));
    // SAFETY: addresses are checked.
    unsafe {
        for value in 0..100 {
            ok((T.aclrtMemsetAsync)(a, bytes, value, bytes, stream));
            let kind = ACL_MEMCPY_DEVICE_TO_DEVICE;
            ok((T.aclrtMemcpyAsync)(b, bytes, a, bytes, kind, stream));
        }
    }
    synchronize(stream);
    assert!(download(b, bytes) == vec![99; bytes]);
    destroy(stream);
    free(a);
    free(b);
}

#[test]
fn waiting_has_an_end() {
    let _twin = twin();
    let (number, stream) = (Number::new(1.0), stream());
    faults("slow:200");
    number.negate(stream);
    let text = "aclrtSynchronizeStreamWithTimeout: the stream is not done in time";
    // SAFETY: handles are checked.
    unsafe {
        let wait = T.aclrtSynchronizeStreamWithTimeout;
        refused(wait(stream, 0), 507_046, text);
        refused(wait(stream, 10), 507_046, text);
        ok(wait(stream, -1));
        ok(wait(stream, 0));
    }
    assert_eq!(number.value(), -1.0);
    destroy(stream);
    number.end();
}

#[test]
fn a_stream_that_failed_stays_failed_and_others_go_on() {
    let _twin = twin();
    let (number, other_number) = (Number::new(1.0), Number::new(2.0));
    let (failed, other) = (stream(), stream());
    // Slow, so that the third is queued before the second fails.
    faults("launch:2,slow:50");
    number.negate(failed);
    number.negate(failed);
    number.negate(failed);
    let text = "aclnnNeg fails on demand";
    // SAFETY: handles and addresses are checked.
    unsafe {
        for _ in 0..2 {
            refused(
                (T.aclrtSynchronizeStream)(failed),
                507_015,
                &format!("aclrtSynchronizeStream: {text}"),
            );
        }
        number.negate_refused(failed, 507_015, &format!("aclnnNeg: {text}"));
        refused(
            (T.aclrtMemsetAsync)(number.address, 4, 0, 4, failed),
            507_015,
            &format!("aclrtMemsetAsync: {text}"),
        );
        refused(
            (T.aclrtMemcpyAsync)(
                number.address,
                4,
                other_number.address,
                4,
                ACL_MEMCPY_DEVICE_TO_DEVICE,
                failed,
            ),
            507_015,
            &format!("aclrtMemcpyAsync: {text}"),
        );
    }
    // The first negation was done, and nothing after the second.
    assert_eq!(number.value(), -1.0);
    other_number.negate(other);
    synchronize(other);
    assert_eq!(other_number.value(), -2.0);
    destroy(failed);
    destroy(other);
    number.end();
    other_number.end();
}

#[test]
fn a_stream_that_is_aborted_throws_its_work_away_and_goes_on() {
    let _twin = twin();
    let (number, stream) = (Number::new(1.0), stream());
    faults("hang:1");
    number.negate(stream);
    number.negate(stream);
    let abort = T.aclrtStreamAbort.unwrap();
    // SAFETY: handles are checked.
    ok(unsafe { abort(stream) });
    synchronize(stream);
    assert_eq!(number.value(), 1.0);
    number.negate(stream);
    synchronize(stream);
    assert_eq!(number.value(), -1.0);
    destroy(stream);
    number.end();
}

#[test]
fn a_stream_that_hangs_is_destroyed_by_force() {
    let _twin = twin();
    let (number, stream) = (Number::new(1.0), stream());
    faults("hang:1");
    number.negate(stream);
    let force = T.aclrtDestroyStreamForce.unwrap();
    // SAFETY: handles are checked.
    unsafe {
        ok(force(stream));
        let text = "aclrtDestroyStreamForce: there is no such stream";
        refused(force(stream), 107_000, text);
    }
    number.end();
}

#[test]
fn destroying_a_stream_waits_for_its_work() {
    let _twin = twin();
    let (number, stream) = (Number::new(1.0), stream());
    faults("slow:100");
    number.negate(stream);
    destroy(stream);
    assert_eq!(number.value(), -1.0);
    number.end();
}

#[test]
fn streams_that_are_gone_or_of_others_are_refused() {
    let _twin = twin();
    let (gone, kept) = (stream(), stream());
    let number = Number::new(1.0);
    destroy(gone);
    let mut context: aclrtContext = null_mut();
    let none = "there is no such stream";
    // SAFETY: handles are checked; there are places for the results.
    unsafe {
        for wrong in [gone, null_mut(), number.address, (&raw mut context).cast()] {
            refused(
                (T.aclrtSynchronizeStream)(wrong),
                107_003,
                &format!("aclrtSynchronizeStream: {none}"),
            );
            refused(
                (T.aclrtDestroyStream)(wrong),
                107_000,
                &format!("aclrtDestroyStream: {none}"),
            );
            refused(
                (T.aclrtStreamAbort.unwrap())(wrong),
                107_003,
                &format!("aclrtStreamAbort: {none}"),
            );
            number.negate_refused(wrong, 107_003, &format!("aclnnNeg: {none}"));
        }
        ok((T.aclrtCreateContext)(&mut context, 0));
        let foreign = "the stream belongs to another context than this thread's";
        number.negate_refused(kept, 107_003, &format!("aclnnNeg: {foreign}"));
        ok((T.aclrtDestroyContext)(context));
        to_default();
    }
    number.negate(kept);
    destroy(kept);
    assert_eq!(number.value(), -1.0);
    number.end();
}

#[test]
fn many_threads_use_many_streams() {
    let _twin = twin();
    std::thread::scope(|scope| {
        for value in 1..=4u8 {
            scope.spawn(move || {
                to_default();
                for round in 0..20 {
                    let (number, stream) = (Number::new(f32::from(value)), stream());
                    for _ in 0..=round {
                        number.negate(stream);
                    }
                    synchronize(stream);
                    let sign = if round % 2 == 0 { -1.0 } else { 1.0 };
                    assert_eq!(number.value(), sign * f32::from(value));
                    destroy(stream);
                    number.end();
                }
            });
        }
    });
}
