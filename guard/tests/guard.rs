//! Panics behind the wall. The panic hook belongs to the whole process, so this is a test binary of its own.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is about panics")]

use std::panic;
use std::sync::atomic::{AtomicU32, Ordering};

use pairmill_guard::caught;

#[test]
fn f01_a_panic_becomes_an_error_and_only_others_reach_the_hook_of_the_process() {
    static REPORTED: AtomicU32 = AtomicU32::new(0);
    panic::set_hook(Box::new(|_| {
        REPORTED.fetch_add(1, Ordering::Relaxed);
    }));
    assert_eq!(caught(|| 7), Ok(7));
    let error = caught(|| {
        // An inner wall that held must not take the outer one down.
        assert!(caught(|| panic!("inner")).is_err());
        panic!("page 3\nis odd {}", "x".repeat(1_000));
    });
    let error = error.map(|()| 0).unwrap_err();
    assert!(error.message.starts_with("page 3 is odd") && error.message.len() == 200, "{error}");
    assert!(error.place.contains("guard.rs:"), "{error}");
    assert_eq!(REPORTED.load(Ordering::Relaxed), 0);
    assert!(panic::catch_unwind(|| panic!("a bug")).is_err());
    assert_eq!(REPORTED.load(Ordering::Relaxed), 1);
}
