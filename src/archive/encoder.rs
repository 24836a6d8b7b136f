//! Encoding beside the thread that makes rows: what is handed on is compressed and written by one thread
//! of its own, so that a set takes as long as the longer of the two, not as both.
//!
//! What was handed on is written in that order, of whatever file. An error is told to whoever hands on
//! next or ends the file, and nothing more is written to that file.

use std::sync::Arc;
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use crossbeam::channel::{Receiver, Sender, bounded};

use super::error::ArchiveError;
use super::table_file::{FileWriter, Written};

/// What may wait: some thousand rows each, few megabytes in all. Enough to even out that goods items
/// come twice as often as declarations.
const JOBS_MAX: usize = 4;

/// Encodes in a thread of its own or, without one, in that of its caller. That thread ends when this is
/// dropped, after all that was handed on.
#[derive(Debug)]
pub(super) struct Encoder {
    thread: Option<(Sender<Job>, JoinHandle<()>)>,
}

enum Job {
    Rows(Arc<FileWriter>, RecordBatch),
    Finish(Arc<FileWriter>, Sender<Result<Written, ArchiveError>>),
}

impl Encoder {
    /// With a thread of its own where `beside`, and where one can be had. It is as nice as its caller.
    pub(super) fn new(beside: bool) -> Arc<Self> {
        let (sender, jobs) = bounded(JOBS_MAX);
        let thread = beside.then(|| {
            std::thread::Builder::new().name("waag-encoder".to_owned()).spawn(move || run(&jobs))
        });
        let thread = thread.and_then(Result::ok).map(|thread| (sender, thread));
        Arc::new(Self { thread })
    }

    /// Writes rows to `file`, soon.
    pub(super) fn write(&self, file: &Arc<FileWriter>, rows: RecordBatch) {
        if let Some((sender, _)) = &self.thread {
            // It fails only where the thread has panicked, which ending the file tells.
            let _ = sender.send(Job::Rows(Arc::clone(file), rows));
        } else {
            file.write(&rows);
        }
    }

    /// Ends `file` once all that was handed on for it is written.
    pub(super) fn finish(&self, file: &Arc<FileWriter>) -> Result<Written, ArchiveError> {
        let Some((sender, _)) = &self.thread else { return file.finish() };
        let (answer, finished) = bounded(1);
        let _ = sender.send(Job::Finish(Arc::clone(file), answer));
        finished.recv().unwrap_or_else(|_| {
            Err(ArchiveError::Order("the thread that encodes has ended".to_owned()))
        })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn run(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Rows(file, rows) => file.write(&rows),
            Job::Finish(file, answer) => {
                let _ = answer.send(file.finish());
            }
        }
    }
}
