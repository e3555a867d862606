//! Order, events, and what launches in flight keep alive.

use std::sync::Arc;
use std::time::Duration;

use ascendit::cann::{ElementType, Layout, Tensor};

use crate::twin::{Device, shared};

#[test]
fn a_stream_holds_what_it_uses_until_it_is_waited_for() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let a = device.buffer(&[1; 8]);
    let b = device.context.alloc(8).unwrap();
    device.stream.synchronize().unwrap();
    assert_eq!(Arc::strong_count(&a), 1);
    device.stream.copy(&a, 0, &b, 0, 8).unwrap();
    let gone = Arc::downgrade(&a);
    drop(a);
    assert!(gone.upgrade().is_some());
    device.stream.synchronize().unwrap();
    assert!(gone.upgrade().is_none());
    assert_eq!(device.stream.download(&b, 0, 8).unwrap(), [1; 8]);
}

#[test]
fn what_came_before_a_reached_event_is_let_go_of() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let [before, after] = [(); 2].map(|()| device.context.alloc(8).unwrap());
    let [event, later] = [(); 2].map(|()| device.context.event().unwrap());
    assert!(event.is_reached().unwrap());
    device.stream.zero(&before, 0, 8).unwrap();
    device.stream.record(&event).unwrap();
    device.stream.zero(&after, 0, 8).unwrap();
    event.synchronize().unwrap();
    assert!(event.is_reached().unwrap());
    device.stream.record(&later).unwrap();
    assert_eq!(Arc::strong_count(&before), 1);
    assert_eq!(Arc::strong_count(&after), 2);
}

#[test]
fn an_event_that_is_recorded_again_says_nothing_about_its_old_place() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let other = device.context.stream().unwrap();
    let buffer = device.context.alloc(8).unwrap();
    let [event, later] = [(); 2].map(|()| device.context.event().unwrap());
    device.stream.zero(&buffer, 0, 8).unwrap();
    device.stream.record(&event).unwrap();
    other.record(&event).unwrap();
    event.synchronize().unwrap();
    device.stream.record(&later).unwrap();
    assert_eq!(Arc::strong_count(&buffer), 2);
    later.synchronize().unwrap();
    device.stream.record(&event).unwrap();
    assert_eq!(Arc::strong_count(&buffer), 1);
}

#[test]
fn a_stream_waits_for_an_event_of_another() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let other = device.context.stream().unwrap();
    let event = device.context.event().unwrap();
    let bytes = vec![5; 8 << 20];
    let (a, b) = (
        device.buffer(&bytes),
        device.context.alloc(8 << 20).unwrap(),
    );
    other.wait(&event).unwrap();
    for _ in 0..20 {
        device.stream.zero(&b, 0, 8 << 20).unwrap();
        device.stream.copy(&a, 0, &b, 0, 8 << 20).unwrap();
    }
    device.stream.record(&event).unwrap();
    other.wait(&event).unwrap();
    drop(event);
    assert!(other.download(&b, 0, 8 << 20).unwrap() == bytes);
}

#[test]
fn the_time_between_events_is_that_of_the_work_between_them() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let [start, end] = [(); 2].map(|()| device.context.event().unwrap());
    let buffer = device.context.alloc(64 << 20).unwrap();
    device.stream.record(&start).unwrap();
    device.stream.zero(&buffer, 0, 64 << 20).unwrap();
    device.stream.record(&end).unwrap();
    device.stream.synchronize().unwrap();
    let time = end.since(&start).unwrap();
    assert!(
        time > Duration::ZERO && time < Duration::from_secs(60),
        "{time:?}"
    );
}

#[test]
fn waiting_for_some_time_says_whether_all_is_done() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let buffer = device.context.alloc(8).unwrap();
    device.stream.zero(&buffer, 0, 8).unwrap();
    assert!(
        device
            .stream
            .synchronize_within(Duration::from_secs(60))
            .unwrap()
    );
    assert_eq!(Arc::strong_count(&buffer), 1);
}

#[test]
fn a_dropped_stream_ends_its_work_first() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let other = device.context.stream().unwrap();
    let a = device.buffer(&[3; 1 << 20]);
    device.stream.synchronize().unwrap();
    let b = device.context.alloc(1 << 20).unwrap();
    for _ in 0..50 {
        other.zero(&b, 0, 1 << 20).unwrap();
        other.copy(&a, 0, &b, 0, 1 << 20).unwrap();
    }
    drop(other);
    assert_eq!(Arc::strong_count(&a), 1);
    assert!(device.stream.download(&b, 0, 1 << 20).unwrap() == [3; 1 << 20]);
}

#[test]
fn an_aborted_stream_holds_nothing_and_goes_on() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let buffer = device.context.alloc(64 << 20).unwrap();
    for _ in 0..50 {
        device.stream.zero(&buffer, 0, 64 << 20).unwrap();
    }
    device.stream.abort().unwrap();
    assert_eq!(Arc::strong_count(&buffer), 1);
    device.stream.upload(&[4; 8], &buffer, 0).unwrap();
    assert_eq!(device.stream.download(&buffer, 0, 8).unwrap(), [4; 8]);
}

#[test]
fn threads_share_a_stream() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    std::thread::scope(|scope| {
        for byte in 0..4u8 {
            let device = &device;
            scope.spawn(move || {
                for len in (1..40).map(|n| n * 1000) {
                    let buffer = device.buffer(&vec![byte; len]);
                    let back = device.stream.download(&buffer, 0, len).unwrap();
                    assert!(back == vec![byte; len]);
                }
            });
        }
    });
}

#[test]
fn an_operator_holds_its_tensors_and_a_launch_holds_all() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let x = device.tensor(&[2], &[1.0, 2.0]);
    let out = device.tensor(&[2], &[0.0; 2]);
    let memory = Arc::downgrade(x.buffer());
    let operator = device.context.ops().exp(&x, &out).unwrap();
    device.stream.synchronize().unwrap();
    drop(x);
    assert!(memory.upgrade().is_some());
    device.launch(operator);
    assert!(memory.upgrade().is_some());
    let got = device.read(&out);
    assert!((got[0] - 1f32.exp()).abs() < 1e-5);
    assert!(memory.upgrade().is_none());
}

#[test]
fn a_repeatable_operator_is_launched_again_with_other_contents() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let x = device.tensor(&[2], &[1.0, 2.0]);
    let out = device.tensor(&[2], &[0.0; 2]);
    let neg = device.context.ops().neg(&x, &out).unwrap();
    let mut neg = neg.repeatable().expect("as most operators");
    let workspace = device.context.alloc(neg.workspace_bytes()).unwrap();
    for value in [1.0f32, 3.0] {
        let bytes = [value; 2];
        device
            .stream
            .upload(bytemuck::cast_slice(&bytes), x.buffer(), 0)
            .unwrap();
        neg.launch(Some(&workspace), &device.stream).unwrap();
        assert_eq!(device.read(&out), [-value; 2]);
    }
    neg.launch(Some(&workspace), &device.stream).unwrap();
    let memory = Arc::downgrade(x.buffer());
    drop((neg, x));
    assert!(memory.upgrade().is_some());
    device.stream.synchronize().unwrap();
    assert!(memory.upgrade().is_none());
}

#[test]
#[should_panic(expected = "is larger than memory can be")]
fn a_view_larger_than_memory_is_refused() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let buffer = device.context.alloc(8).unwrap();
    let layout = Layout {
        strides: vec![usize::MAX],
        ..Layout::contiguous(ElementType::U8, &[4])
    };
    let _ = Tensor::new(&buffer, layout);
}

#[test]
#[should_panic(expected = "10 bytes at 0 are not inside of 9 bytes of device memory")]
fn a_view_beyond_its_buffer_is_refused() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let buffer = device.context.alloc(9).unwrap();
    let layout = Layout {
        strides: vec![3],
        ..Layout::contiguous(ElementType::U8, &[4])
    };
    let _ = Tensor::new(&buffer, layout);
}
