//! See `tests/checks/submit_batch.rs`.
#![no_main]

use std::sync::Mutex;

use checks::submit_batch::Served;

#[path = "../../tests/checks/mod.rs"]
mod checks;

/// A server begins anew after so many messages, so that what it knows stays small.
const MESSAGES_MAX: u32 = 5_000;

/// Not of a thread: what is of a thread is dropped when libFuzzer ends, after what it needs for that.
static SERVED: Mutex<Option<(Served, u32)>> = Mutex::new(None);

libfuzzer_sys::fuzz_target!(|message: &[u8]| {
    let mut served = SERVED.lock().unwrap();
    if served.as_ref().is_some_and(|(_, messages)| *messages == MESSAGES_MAX) {
        // The old one stops before the new one starts.
        *served = None;
    }
    let (server, messages) = served.get_or_insert_with(|| (Served::start(), 0));
    *messages += 1;
    server.check(message);
});
