//! Events: within a stream, across streams, and when streams fail.

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use cann_sys::*;

use crate::twin::*;

#[track_caller]
fn record(event: aclrtEvent, stream: Stream) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtRecordEvent)(event, stream) });
}

#[track_caller]
fn wait(stream: Stream, event: aclrtEvent) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtStreamWaitEvent)(stream, event) });
}

fn is_reached(event: aclrtEvent) -> bool {
    let mut status = u32::MAX as aclrtEventRecordedStatus;
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtQueryEventStatus)(event, &mut status) });
    assert!([0, 1].contains(&status));
    status == ACL_EVENT_RECORDED_STATUS_COMPLETE
}

#[track_caller]
fn destroy_event(event: aclrtEvent) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtDestroyEvent)(event) });
}

#[test]
fn an_event_is_reached_when_what_came_before_is_done() {
    let _twin = twin();
    let (number, stream, event) = (Number::new(1.0), stream(), event());
    // Nothing was recorded, so nothing is waited for.
    assert!(is_reached(event));
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtSynchronizeEvent)(event) });
    faults("slow:100");
    number.negate(stream);
    record(event, stream);
    number.negate(stream);
    assert!(!is_reached(event));
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtSynchronizeEvent)(event) });
    assert!(is_reached(event));
    assert_eq!(number.value(), -1.0);
    synchronize(stream);
    assert_eq!(number.value(), 1.0);
    destroy_event(event);
    destroy(stream);
    number.end();
}

#[test]
fn a_stream_waits_for_another() {
    let _twin = twin();
    let (number, first, second, event) = (Number::new(1.0), stream(), stream(), event());
    let copy = malloc(4);
    faults("slow:100");
    number.negate(first);
    record(event, first);
    wait(second, event);
    // An event that is waited for can go.
    destroy_event(event);
    let (kind, from) = (ACL_MEMCPY_DEVICE_TO_DEVICE, number.address);
    // SAFETY: addresses are checked.
    ok(unsafe { (T.aclrtMemcpyAsync)(copy, 4, from, 4, kind, second) });
    synchronize(second);
    assert_eq!(floats(copy, 1), [-1.0]);
    destroy(first);
    destroy(second);
    free(copy);
    number.end();
}

#[test]
fn a_stream_waits_for_the_record_that_was_there() {
    let _twin = twin();
    let (number, first, second, event) = (Number::new(1.0), stream(), stream(), event());
    record(event, first);
    wait(second, event);
    // A later record does not hold the stream up.
    faults("hang:1");
    number.negate(first);
    record(event, first);
    synchronize(second);
    assert!(!is_reached(event));
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtDestroyStreamForce.unwrap())(first) });
    destroy(second);
    destroy_event(event);
    number.end();
}

#[test]
fn the_time_between_events_is_in_milliseconds() {
    let _twin = twin();
    let (number, stream, [start, end]) = (Number::new(1.0), stream(), [event(), event()]);
    let mut ms = f32::NAN;
    let text = "aclrtEventElapsedTime: an event was not reached yet";
    // SAFETY: handles are checked; there is a place for the result.
    unsafe {
        refused(
            (T.aclrtEventElapsedTime)(&mut ms, start, end),
            107_000,
            text,
        );
        faults("slow:50");
        record(start, stream);
        number.negate(stream);
        record(end, stream);
        refused(
            (T.aclrtEventElapsedTime)(&mut ms, start, end),
            107_000,
            text,
        );
        synchronize(stream);
        ok((T.aclrtEventElapsedTime)(&mut ms, start, end));
    }
    assert!((50.0..5000.0).contains(&ms), "{ms}");
    destroy_event(start);
    destroy_event(end);
    destroy(stream);
    number.end();
}

#[test]
fn an_event_on_a_stream_that_failed_fails_and_holds_nobody_up() {
    let _twin = twin();
    let (number, failed, other, event) = (Number::new(1.0), stream(), stream(), event());
    // Slow and then failing, so that the event is recorded before.
    faults("launch:2,slow:50");
    number.negate(failed);
    number.negate(failed);
    record(event, failed);
    wait(other, event);
    number.negate(other);
    synchronize(other);
    assert_eq!(number.value(), 1.0);
    assert!(!is_reached(event));
    let text = "aclnnNeg fails on demand";
    // SAFETY: handles are checked.
    unsafe {
        refused(
            (T.aclrtSynchronizeEvent)(event),
            507_015,
            &format!("aclrtSynchronizeEvent: {text}"),
        );
        // A record that is refused leaves the event as it was.
        refused(
            (T.aclrtRecordEvent)(event, failed),
            507_015,
            &format!("aclrtRecordEvent: {text}"),
        );
    }
    record(event, other);
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtSynchronizeEvent)(event) });
    assert!(is_reached(event));
    destroy(failed);
    destroy(other);
    destroy_event(event);
    number.end();
}

#[test]
fn waiting_for_an_event_of_a_stream_that_is_aborted_ends() {
    let _twin = twin();
    let (number, stream, event) = (Number::new(1.0), stream(), event());
    faults("hang:1");
    number.negate(stream);
    record(event, stream);
    let (stream_number, event_number) = (stream as usize, event as usize);
    let began = Instant::now();
    std::thread::scope(|scope| {
        // SAFETY: handles are checked.
        scope.spawn(move || unsafe {
            to_default();
            refused(
                (T.aclrtSynchronizeEvent)(event_number as aclrtEvent),
                107_023,
                "aclrtSynchronizeEvent: the stream was aborted",
            );
        });
        std::thread::sleep(Duration::from_millis(50));
        // SAFETY: handles are checked.
        ok(unsafe { (T.aclrtStreamAbort.unwrap())(stream_number as aclrtStream) });
    });
    assert!(began.elapsed() < Duration::from_secs(30));
    destroy(stream);
    destroy_event(event);
    number.end();
}

#[test]
fn a_stream_that_waits_can_be_destroyed_by_force() {
    let _twin = twin();
    let (number, hangs, waits, event) = (Number::new(1.0), stream(), stream(), event());
    faults("hang:1");
    number.negate(hangs);
    record(event, hangs);
    wait(waits, event);
    let force = T.aclrtDestroyStreamForce.unwrap();
    // SAFETY: handles are checked.
    unsafe {
        ok(force(waits));
        ok(force(hangs));
    }
    destroy_event(event);
    number.end();
}

#[test]
fn events_that_are_gone_are_refused() {
    let _twin = twin();
    let (stream, gone, kept) = (stream(), event(), event());
    destroy_event(gone);
    let (mut status, mut ms) = (0, 0.0);
    // SAFETY: handles are checked; there are places for the results.
    unsafe {
        for wrong in [gone, null_mut(), stream] {
            let text = |name| format!("{name}: there is no such event");
            refused(
                (T.aclrtRecordEvent)(wrong, stream),
                107_000,
                &text("aclrtRecordEvent"),
            );
            refused(
                (T.aclrtStreamWaitEvent)(stream, wrong),
                107_000,
                &text("aclrtStreamWaitEvent"),
            );
            refused(
                (T.aclrtQueryEventStatus)(wrong, &mut status),
                107_000,
                &text("aclrtQueryEventStatus"),
            );
            refused(
                (T.aclrtSynchronizeEvent)(wrong),
                107_000,
                &text("aclrtSynchronizeEvent"),
            );
            refused(
                (T.aclrtEventElapsedTime)(&mut ms, kept, wrong),
                107_000,
                &text("aclrtEventElapsedTime"),
            );
            refused(
                (T.aclrtDestroyEvent)(wrong),
                107_000,
                &text("aclrtDestroyEvent"),
            );
        }
    }
    destroy_event(kept);
    destroy(stream);
}
