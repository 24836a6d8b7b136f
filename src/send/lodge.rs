//! One file: read by a thread of its own, sent over one stream, its verdicts written as they come.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tonic::Code;

use super::cutter::{Cut, CutError, Cutter, Mark, Piece};
use super::input::{Input, InputError, Meter};
use super::source::Unreadable;
use super::tally::Tally;
use super::verdicts::{VerdictFile, VerdictsError};
use crate::client::{Answered, ClientError, Lodging, LodgingOptions, Reply, Server};
use crate::proto::v1::BatchRefusal;

/// Batches that are sent and not written down.
const BATCHES_IN_FLIGHT_MAX: usize = 8;
/// Batches that are read ahead.
const BATCHES_AHEAD_MAX: usize = 4;

/// How to send.
#[derive(Debug, Clone)]
pub(crate) struct LodgeOptions {
    /// Who answers for declarations that name nobody.
    pub(crate) declarant: Option<String>,
    /// Declarations of a batch at most.
    pub(crate) batch_max: usize,
    /// Stop at what cannot be read.
    pub(crate) is_strict: bool,
    /// Do not go on from what was answered before.
    pub(crate) is_anew: bool,
    /// How long no batch may be answered before it is given up.
    pub(crate) silence_max: Duration,
}

/// Why a file was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("{name}: {source}")]
    Cut { name: String, source: CutError },
    #[error(transparent)]
    Verdicts(#[from] VerdictsError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the service refuses batch {} (code {}): {}", refusal.batch_id, refusal.code, refusal.message)]
    Refused { refusal: BatchRefusal },
    #[error("the thread that reads {name} has ended unexpectedly")]
    Reader { name: String },
}

impl SendError {
    /// Whether it lies with the service or the way to it, and not with the files.
    pub(crate) fn is_of_transport(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Refused { .. })
    }
}

/// What came of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lodged {
    pub(crate) tally: Tally,
    /// Answers to this run that were given before.
    pub(crate) replays: u64,
    /// Declarations that were answered before this run.
    pub(crate) answered_before: u64,
    /// What could not be read.
    pub(crate) unreadable: u64,
    /// All that can be read is answered.
    pub(crate) is_whole: bool,
}

/// Who is told how it goes.
pub(crate) trait Reporter: Clone + Send + 'static {
    /// So many declarations have their answer by now.
    fn answered(&self, declarations: u64, meter: &Meter);
    /// What cannot be read.
    fn unreadable(&self, input: &Input, what: &Unreadable);
}

/// Sends `input`, with its verdicts going to `verdicts`. What came of it is in `lodged` in any case.
///
/// # Errors
/// Where it did not come to the end; the same call goes on from there.
pub(crate) async fn lodge(
    input: &Input,
    verdicts: &Path,
    server: &Server,
    options: &LodgeOptions,
    reporter: &impl Reporter,
    lodged: &mut Lodged,
) -> Result<(), SendError> {
    let meter = Meter::default();
    let (opened, is_opened) = oneshot::channel();
    let (resume, answered) = oneshot::channel();
    let (sender, mut cuts) = mpsc::channel(BATCHES_AHEAD_MAX);
    let reading = {
        let (input, options, reporter) = (input.clone(), options.clone(), reporter.clone());
        let meter = meter.clone();
        tokio::task::spawn_blocking(move || {
            let reader = Reader { input: &input, options: &options, reporter: &reporter };
            reader.run(&meter, opened, answered, &sender)
        })
    };
    let ended = |_| SendError::Reader { name: input.name() };
    is_opened.await.map_err(ended)??;
    let (file, mark, tally) = VerdictFile::open(verdicts, options.is_anew)?;
    lodged.answered_before = mark.declarations;
    lodged.tally = tally;
    // Where the reader has gone, waiting for it tells why.
    let _ = resume.send(mark);
    let mut writing = Writing { file, lodged, cuts: VecDeque::new() };
    writing.run(&mut cuts, server, options, reporter, &meter).await?;
    let read = reading.await.map_err(|_| SendError::Reader { name: input.name() })?;
    writing.file.sync()?;
    let (unreadable, is_whole) =
        read.map_err(|source| SendError::Cut { name: input.name(), source })?;
    lodged.unreadable = unreadable;
    lodged.is_whole = is_whole;
    Ok(())
}

/// The side that reads.
struct Reader<'a, R> {
    input: &'a Input,
    options: &'a LodgeOptions,
    reporter: &'a R,
}

impl<R: Reporter> Reader<'_, R> {
    /// Hands batches on; gives how much could not be read, and whether it came to the end.
    fn run(
        &self,
        meter: &Meter,
        opened: oneshot::Sender<Result<(), InputError>>,
        answered: oneshot::Receiver<Mark>,
        cuts: &mpsc::Sender<Cut>,
    ) -> Result<(u64, bool), CutError> {
        let mut unreadable = 0;
        let source = match self.input.open(meter) {
            Ok(source) => source,
            Err(error) => {
                let _ = opened.send(Err(error));
                return Ok((unreadable, false));
            }
        };
        let _ = opened.send(Ok(()));
        let Ok(answered) = answered.blocking_recv() else { return Ok((unreadable, false)) };
        let LodgeOptions { declarant, batch_max, is_strict, .. } = self.options.clone();
        let mut cutter = Cutter::new(source, &self.input.name(), declarant, batch_max, answered);
        while let Some(piece) = cutter.next()? {
            match piece {
                Piece::Batch(cut) => {
                    if cuts.blocking_send(*cut).is_err() {
                        // Whoever sends has stopped, and says why.
                        return Ok((unreadable, false));
                    }
                }
                Piece::Unreadable(what) => {
                    self.reporter.unreadable(self.input, &what);
                    unreadable += 1;
                    if is_strict {
                        cutter.stop();
                    }
                }
            }
        }
        Ok((unreadable, !(is_strict && unreadable > 0)))
    }
}

/// The side that sends and writes.
struct Writing<'a> {
    file: VerdictFile,
    lodged: &'a mut Lodged,
    /// Of each batch that is sent and not written down: declarations without an answer, and how far the
    /// input is read with it.
    cuts: VecDeque<(usize, Mark)>,
}

impl Writing<'_> {
    async fn run(
        &mut self,
        cuts: &mut mpsc::Receiver<Cut>,
        server: &Server,
        options: &LodgeOptions,
        reporter: &impl Reporter,
        meter: &Meter,
    ) -> Result<(), SendError> {
        reporter.answered(self.lodged.tally.declarations, meter);
        // Nobody is called where nothing is to be sent.
        let Some(first) = cuts.recv().await else { return Ok(()) };
        let lodging_options = LodgingOptions {
            batches_in_flight_max: BATCHES_IN_FLIGHT_MAX,
            halves_refused: true,
            silence_max: options.silence_max,
        };
        let mut lodging = Lodging::open(server, lodging_options).await?;
        self.send(&mut lodging, first);
        let mut has_more = true;
        while has_more || !lodging.is_empty() {
            tokio::select! {
                cut = cuts.recv(), if has_more && lodging.has_room() => match cut {
                    Some(cut) => self.send(&mut lodging, cut),
                    None => has_more = false,
                },
                answered = lodging.answer(), if !lodging.is_empty() => {
                    if let Some(answered) = answered? {
                        self.write(answered)?;
                        reporter.answered(self.lodged.tally.declarations, meter);
                    }
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, lodging: &mut Lodging, cut: Cut) {
        self.cuts.push_back((cut.batch.len(), cut.mark));
        lodging.send(cut.batch);
    }

    /// Answers come in the order of sending, those to parts of a batch one after another.
    fn write(&mut self, Answered { batch, reply, .. }: Answered) -> Result<(), SendError> {
        let tally = &mut self.lodged.tally;
        match reply {
            Reply::Verdicts(answer) => {
                self.lodged.replays += self.file.add(&batch, answer.verdicts, tally)?;
            }
            Reply::Refused(refusal) if is_of_content(&refusal) => {
                self.file.add_refused(&batch, &refusal, tally)?;
            }
            Reply::Refused(refusal) => return Err(SendError::Refused { refusal }),
        }
        if let Some((unanswered, mark)) = self.cuts.front_mut() {
            *unanswered = unanswered.saturating_sub(batch.len());
            if *unanswered == 0 {
                let mark = *mark;
                self.cuts.pop_front();
                self.file.step(mark)?;
            }
        }
        Ok(())
    }
}

/// Fields of a batch that say what is sent.
const FIELDS_OF_CONTENT: [&str; 5] =
    ["batch_id", "declarant", "representative", "declarations", "common"];

/// Whether it is what was sent that is refused: malformed, or larger than may be. Anything else concerns all of
/// it: who sends it, or a service that takes no more, or has no law for today.
fn is_of_content(refusal: &BatchRefusal) -> bool {
    match Code::from(refusal.code) {
        Code::InvalidArgument => {
            FIELDS_OF_CONTENT.iter().any(|field| refusal.field.starts_with(field))
        }
        Code::ResourceExhausted => refusal.field.starts_with("declarations"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_names_nothing_of_what_was_sent_is_not_written_down_as_its_answer() {
        let is_of_content = |code: Code, field: &str| {
            let field = field.to_owned();
            is_of_content(&BatchRefusal { code: code as i32, field, ..BatchRefusal::default() })
        };
        for field in
            ["declarant", "representative_status", "declarations[3].goods_items", "common.lrn"]
        {
            assert!(is_of_content(Code::InvalidArgument, field), "{field}");
        }
        assert!(is_of_content(Code::ResourceExhausted, "declarations"));
        // No law says anything of today.
        assert!(!is_of_content(Code::InvalidArgument, ""));
        assert!(!is_of_content(Code::InvalidArgument, "mrn"));
        assert!(!is_of_content(Code::ResourceExhausted, ""));
        assert!(!is_of_content(Code::PermissionDenied, "declarant"));
    }
}
