//! One connection: sends what the plan says, checks every answer, comes back when told to.
//!
//! A lane starts no sending before all of its own that lie more than the plan's `reach` before it
//! have been answered. With a rate, batches are due at fixed moments and latency is measured from
//! those, however late a batch could be sent: so a server that stalls is not measured only by what it
//! was given (no coordinated omission). A batch is made before it is due, since to make it is no part of
//! what is measured, and a thread waits for the moment: tokio's own clock ticks in milliseconds.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use super::answer::{Answer, Refusal};
use super::check::Book;
use super::meter::Meter;
use super::plan::{Plan, Sending};
use super::progress::Sent;
use super::template::Templates;
use super::transport::{Mode, Transport, UnderWay, in_ms, sleep_until};

/// `google.rpc.Code`.
const RESOURCE_EXHAUSTED: i32 = 8;

/// What all lanes send, and how.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) plan: Plan,
    pub(crate) templates: Templates,
    pub(crate) mode: Mode,
    /// Batches without an answer, for each lane.
    pub(crate) in_flight: usize,
    /// Lines a second for each lane; as fast as it goes, if none.
    pub(crate) rate: Option<f64>,
    pub(crate) answers: Answers,
    /// What is refused for now is not sent again.
    pub(crate) drops_refused: bool,
}

impl Load {
    /// How long a batch of so many lines takes of a lane's time at its rate, where it has one.
    // A batch has 500,000 lines at most, far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    fn interval(&self, lines: u64) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_secs_f64(lines as f64 / rate))
    }
}

/// What answers hold, and so what is checked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// A verdict on each declaration.
    Verdicts,
    /// How much was read: those of a sink.
    Counts,
}

/// Why a lane, or a run, ended before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The server has no room for anything new, and coming back will not help.
    Full(String),
    /// A bound of the test itself: disk space, say.
    Bound(String),
    /// A call failed, or was refused for good.
    Fault(String),
}

impl End {
    /// For a report.
    pub(crate) fn into_words(self) -> String {
        match self {
            Self::Full(told) | Self::Bound(told) | Self::Fault(told) => told,
        }
    }
}

/// What a lane is to send.
#[derive(Debug)]
pub(crate) enum Work {
    /// The plan, until so many lines were sent.
    Plan { lines: u64 },
    /// The batches of these earlier sendings.
    Again(VecDeque<u64>),
}

/// One connection's state, kept from one run to the next.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: u64,
    /// The number of its next sending.
    pub(crate) next: u64,
    pub(crate) book: Book,
    unanswered: BTreeSet<u64>,
    /// Sendings of an earlier run that never got an answer.
    lost: BTreeSet<u64>,
    lines_sent: u64,
    due: Instant,
    /// The next batch, where there is a rate; counted as sent already.
    ahead: Option<UnderWay>,
    /// Refused for now, with the moment at which each may be sent again.
    later: VecDeque<(Instant, UnderWay)>,
}

impl Lane {
    pub(crate) fn new(id: u64, book: Book) -> Self {
        Self {
            id,
            next: 0,
            book,
            unanswered: BTreeSet::new(),
            lost: BTreeSet::new(),
            lines_sent: 0,
            due: Instant::now(),
            ahead: None,
            later: VecDeque::new(),
        }
    }

    /// All that was sent.
    pub(crate) fn sent(&self) -> Sent {
        Sent { next: self.next, unanswered: self.unanswered.len() + self.lost.len() }
    }

    /// Whether this sending was made and answered.
    pub(crate) fn was_answered(&self, number: u64) -> bool {
        number < self.next && !self.unanswered.contains(&number) && !self.lost.contains(&number)
    }

    /// Sends `work` until it is done or `stopped` says so, and waits for all answers.
    pub(crate) async fn run(
        mut self,
        load: Arc<Load>,
        channel: Channel,
        mut work: Work,
        meter: Arc<Mutex<Meter>>,
        mut stopped: watch::Receiver<bool>,
    ) -> (Self, Option<End>) {
        let end = match Transport::open(load.mode, channel, load.in_flight).await {
            Ok(transport) => {
                let first = load.templates.list.first().map_or(0, |template| template.lines);
                let after = load.interval(first).map(|each| load.plan.offset(self.id, each));
                self.due = Instant::now() + after.unwrap_or_default();
                self.lines_sent = 0;
                self.later.clear();
                self.lost.append(&mut self.unanswered);
                self.exchange(&load, transport, &mut work, &meter, &mut stopped).await.err()
            }
            Err(status) => Some(fault(&status)),
        };
        (self, end)
    }

    async fn exchange(
        &mut self,
        load: &Load,
        mut transport: Transport,
        work: &mut Work,
        meter: &Mutex<Meter>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<(), End> {
        let mut more = true;
        let mut alarm: Option<Alarm> = None;
        // Without room for one batch the server may yet answer the others under way.
        let mut full = None;
        loop {
            if full.is_some() || *stopped.borrow() {
                more = false;
                self.drop_ahead(load);
            }
            more = more && self.has_work(work);
            let now = Instant::now();
            let has_room = transport.in_flight() < load.in_flight;
            if has_room && self.later.front().is_some_and(|(when, _)| *when <= now) {
                if let Some((_, batch)) = self.later.pop_front() {
                    transport.send(batch).await;
                }
                continue;
            }
            if more && self.ahead.is_none() && self.may_start(&load.plan) {
                // Without a rate a batch is made when there is room for it: it is due then.
                if load.rate.is_some() || has_room {
                    let sending = self.take_work(load, work);
                    self.ahead = sending.map(|sending| self.make(load, sending));
                }
            }
            let due = self.ahead.as_ref().map(|batch| batch.due).filter(|_| has_room);
            if due.is_some_and(|due| due <= Instant::now()) {
                if let Some(batch) = self.ahead.take() {
                    transport.send(batch).await;
                }
                continue;
            }
            let is_idle = transport.in_flight() == 0 && self.later.is_empty();
            if !more && is_idle && self.ahead.is_none() {
                return full.map_or(Ok(()), Err);
            }
            let retry = self.later.front().map(|(when, _)| *when).filter(|_| has_room);
            alarm = due.map(|due| match alarm.take() {
                Some(alarm) if alarm.at == due => alarm,
                _ => Alarm::at(due),
            });
            tokio::select! {
                reply = transport.reply(), if transport.in_flight() > 0 => {
                    if let Some((batch, reply)) = reply.map_err(|status| fault(&status))? {
                        match self.take(load, batch, reply, meter) {
                            Err(end @ End::Full(_)) => full = Some(end),
                            taken => taken?,
                        }
                    }
                }
                () = sleep_until(retry), if retry.is_some() => {}
                () = ring(&mut alarm), if alarm.is_some() => alarm = None,
                changed = stopped.changed(), if more || self.ahead.is_some() => {
                    more = more && changed.is_ok();
                }
            }
        }
    }

    /// The batch made ahead will not be sent.
    fn drop_ahead(&mut self, load: &Load) {
        let Some(batch) = self.ahead.take() else { return };
        // It is the last that was made.
        self.unanswered.remove(&batch.sending.number);
        self.next = batch.sending.number;
        let template = load.templates.list.get(batch.sending.template);
        self.lines_sent -= template.map_or(0, |template| template.lines);
        self.due = batch.due;
    }

    fn has_work(&self, work: &Work) -> bool {
        match work {
            Work::Plan { lines } => self.lines_sent < *lines,
            Work::Again(batches) => !batches.is_empty(),
        }
    }

    fn may_start(&self, plan: &Plan) -> bool {
        self.unanswered.first().is_none_or(|&oldest| oldest + plan.reach() >= self.next)
    }

    fn take_work(&self, load: &Load, work: &mut Work) -> Option<Sending> {
        let templates = &load.templates.list;
        Some(match work {
            Work::Plan { .. } => load.plan.sending(self.id, self.next, templates),
            Work::Again(batches) => {
                let batch = batches.pop_front()?;
                let sending = load.plan.batch(self.id, self.next, batch, templates);
                Sending { again: true, ..sending }
            }
        })
    }

    fn make(&mut self, load: &Load, sending: Sending) -> UnderWay {
        let Load { plan, templates, .. } = load;
        let mut bytes = Vec::new();
        let mut lines = 0;
        if let Some(template) = templates.list.get(sending.template) {
            let contents = sending.contents(plan, self.id, template.places.len());
            let number = plan.number(self.id, sending.batch);
            let known_as = plan.number(self.id, sending.number);
            bytes = templates.patched(template, known_as, number, contents);
            lines = template.lines;
        }
        self.unanswered.insert(sending.number);
        self.next += 1;
        self.lines_sent += lines;
        let due = match load.interval(lines) {
            None => Instant::now(),
            Some(interval) => {
                let due = self.due;
                self.due += interval;
                due
            }
        };
        UnderWay { due, sending, bytes: Bytes::from(bytes) }
    }

    fn take(
        &mut self,
        load: &Load,
        batch: UnderWay,
        reply: Result<Bytes, Status>,
        meter: &Mutex<Meter>,
    ) -> Result<(), End> {
        let took = batch.due.elapsed();
        let batch_id = load.templates.batch_id(load.plan.number(self.id, batch.sending.number));
        let bytes = match reply {
            Ok(bytes) => bytes,
            Err(status) => return self.refused(load, batch, &batch_id, &status, meter),
        };
        let read = match load.mode {
            Mode::Stream => Answer::of_stream(&bytes),
            Mode::Unary => Answer::of_call(&bytes),
        };
        match read.map_err(|error| End::Fault(format!("batch {batch_id}: {error}")))? {
            Answer::Verdicts(verdicts) => {
                self.unanswered.remove(&batch.sending.number);
                if let Some(template) = load.templates.list.get(batch.sending.template) {
                    let counts = match load.answers {
                        Answers::Verdicts => {
                            self.book.check(&batch.sending, &batch_id, template, &verdicts)
                        }
                        Answers::Counts => self.book.check_counts(&batch_id, template, &verdicts),
                    };
                    locked(meter).answered(&counts, took);
                }
                Ok(())
            }
            Answer::Refusal(Refusal { retry_after_ms, .. }) if retry_after_ms > 0 => {
                self.refused_for_now(load, batch, in_ms(retry_after_ms), meter);
                Ok(())
            }
            Answer::Refusal(refusal) => {
                let told = String::from_utf8_lossy(refusal.message);
                Err(refused_for_good(&batch_id, refusal.code, &told))
            }
            Answer::Empty => {
                Err(End::Fault(format!("batch {batch_id} got neither verdicts nor a refusal")))
            }
        }
    }

    fn refused(
        &mut self,
        load: &Load,
        batch: UnderWay,
        batch_id: &str,
        status: &Status,
        meter: &Mutex<Meter>,
    ) -> Result<(), End> {
        let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        let Some(delay) = retry else {
            return Err(refused_for_good(batch_id, status.code().into(), status.message()));
        };
        self.refused_for_now(load, batch, Instant::now() + delay, meter);
        Ok(())
    }

    fn refused_for_now(
        &mut self,
        load: &Load,
        batch: UnderWay,
        until: Instant,
        meter: &Mutex<Meter>,
    ) {
        locked(meter).refusals += 1;
        if load.drops_refused {
            self.unanswered.remove(&batch.sending.number);
        } else {
            self.later.push_back((until, batch));
        }
    }
}

/// A thread that waits for a moment.
struct Alarm {
    at: Instant,
    rings: JoinHandle<()>,
}

impl Alarm {
    fn at(at: Instant) -> Self {
        let wait = move || std::thread::sleep(at.saturating_duration_since(Instant::now()));
        Self { at, rings: tokio::task::spawn_blocking(wait) }
    }
}

/// Waits for the alarm; for ever where there is none.
async fn ring(alarm: &mut Option<Alarm>) {
    match alarm {
        // Where its thread has gone, the moment is looked at again at once.
        Some(alarm) => drop((&mut alarm.rings).await),
        None => std::future::pending().await,
    }
}

/// A panic elsewhere leaves the figures as they were.
pub(crate) fn locked(meter: &Mutex<Meter>) -> std::sync::MutexGuard<'_, Meter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fault(status: &Status) -> End {
    End::Fault(format!("{:?}: {}", status.code(), status.message()))
}

fn refused_for_good(batch_id: &str, code: i32, message: &str) -> End {
    let told = format!("batch {batch_id} was refused for good (code {code}): {message}");
    if code == RESOURCE_EXHAUSTED { End::Full(told) } else { End::Fault(told) }
}
