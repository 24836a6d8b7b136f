//! Long work that somebody waits for: going through what is sealed takes from seconds to minutes.
//!
//! It is done on a thread of its own, of the lowest priority, and not on one of tokio's, which would hold up a stop
//! until it ends, and keep that priority for what comes after.

use tokio::sync::oneshot;
use tonic::Status;

/// The nicest there is: answers and sealing go first.
const NICER: i32 = 19;

/// Begins `work`.
pub(super) fn begin(work: impl FnOnce() + Send + 'static) -> Result<(), Status> {
    let thread = std::thread::Builder::new().name("scan".into());
    let begun = thread.spawn(move || {
        // Where that is refused it runs like the others.
        let _ = rustix::process::nice(NICER);
        work();
    });
    begun.map(drop).map_err(|error| Status::unavailable(format!("no thread for it: {error}")))
}

/// Does `work`, and waits for it.
pub(super) async fn done<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let (sender, receiver) = oneshot::channel();
    begin(move || {
        // Whoever waited may be gone.
        let _ = sender.send(work());
    })?;
    receiver.await.map_err(|_| Status::internal("it ended without a result"))
}
