//! The engine: everything behind the gRPC services, started, asked and stopped as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam::channel::{Sender, bounded};
use tokio::sync::{oneshot, watch};

use super::answer::Framing;
use super::archivist::Archivist;
use super::budget::{Budget, Share, Turn};
use super::carried::Carried;
use super::clock::Clock;
use super::commit::{Committer, Freezing, Work};
use super::deltas;
use super::figures::Sources;
use super::finder::Finder;
use super::folding;
use super::forgetting::{Due, Forgetting};
use super::laws::Laws;
use super::limits::Limits;
use super::lookup::{Lookup, Lookups};
use super::options;
use super::pace::Pace;
use super::prepare::{Bounds, Preparer};
use super::record::{self, SettingsRecord};
use super::recover::Progress;
use super::refusal::Refusal;
use super::resume::{self, Resumed, Resuming};
use super::retention::Retention;
use super::runs;
use super::sealing::{SET_LINES_MAX, Sealer};
pub use super::start_error::StartError;
use super::start_error::io;
pub use super::work::Answer;
use super::work::{self, Caller, Finisher, Job, ToEnact, Worker};
use crate::archive::Archive;
use crate::config::{Config, DELTA_BYTES_MAX};
use crate::day::{Calendar, Moment};
use crate::disk::{Disk, FolderLock, LocalDisk};
use crate::id::{Eori, Watermark};
use crate::index::{Index, run};
use crate::insight::Findings;
use crate::journal::{self, Journal, Room};
use crate::mrn::Mint;
use crate::rules::{Law, Shelf};
use crate::secrets::Secrets;
use crate::summary::{Board, Event, Fold};
use crate::telemetry::{Figures, Telemetry, Trace};
use crate::wire::digest::Keys;
use crate::wire::normalise::normalise_id;
use crate::wire::reader;

/// What a start found.
#[derive(Debug, Clone)]
pub struct Started {
    /// Records, declarations and acceptances recovered.
    pub progress: Progress,
    /// Whether the journal had been ended cleanly.
    pub ended_clean: bool,
    /// Bytes of a torn tail that were cut: a group that no answer rested on.
    pub torn_bytes: u64,
    /// Why the catalog was made again, if it was.
    pub rebuilt_because: Option<String>,
    /// How long recovery took.
    pub took: Duration,
    /// Name of the rule set of today.
    pub rule_set: String,
}

/// Takes in batches, looks up declarations, gives out summaries.
#[derive(Debug)]
pub struct Engine {
    jobs: std::sync::Mutex<Option<Sender<Job>>>,
    work: std::sync::Mutex<Option<Sender<Work>>>,
    threads: std::sync::Mutex<Vec<JoinHandle<()>>>,
    budget: Budget,
    limits: Limits,
    bytes_max: usize,
    connections_max: u64,
    clock: Arc<Clock>,
    laws: Arc<Laws>,
    pub(super) room: Room,
    index: Arc<Index>,
    lookups: Lookups,
    board: Board,
    findings: Option<Findings>,
    calendar: Calendar,
    failed: Arc<AtomicBool>,
    stop: watch::Sender<Option<String>>,
    telemetry: Telemetry,
    sources: Sources,
    _lock: FolderLock,
}

/// A stage that panicked leaves batches half done that others wait for: nothing could be vouched
/// for any more. Everything durable is on disk, so the process ends at once and recovers.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the engine panicked: the process ends");
            std::process::abort();
        }
    }
}

/// The folders of a data folder.
pub mod folders {
    /// Batches not yet sealed.
    pub const JOURNAL: &str = "journal";
    /// What is sealed, and closed days of the summary.
    pub const ARCHIVE: &str = "archive";
    /// Keys.
    pub const SECRETS: &str = "secrets";
    /// Every rule file ever used.
    pub const RULES: &str = "rules";
    /// sled.
    pub const CATALOG: &str = "catalog";
    /// Full tables of the index.
    pub const RUNS: &str = "runs";
    /// What is found after acceptance.
    pub const INSIGHT: &str = "insight";
    /// All but the catalog, which is made with what is in it: an empty one would be a damaged one.
    pub const MADE_AT_START: [&str; 5] = [JOURNAL, ARCHIVE, SECRETS, RULES, RUNS];
}

impl Engine {
    /// Opens the data folder, recovers what it holds, and starts the threads.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        config: &Config,
        law: Law,
        clock: Clock,
    ) -> Result<(Arc<Self>, Started), StartError> {
        Self::start_on(Arc::new(LocalDisk::new()), config, law, clock)
    }

    /// The same, with the folders and the journal on a disk of the caller's.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_on(
        disk: Arc<dyn Disk>,
        config: &Config,
        law: Law,
        clock: Clock,
    ) -> Result<(Arc<Self>, Started), StartError> {
        Self::start_with(disk, Telemetry::default(), config, law, clock)
    }

    /// The same, with what happens recorded where the caller reads it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_with(
        disk: Arc<dyn Disk>,
        telemetry: Telemetry,
        config: &Config,
        law: Law,
        clock: Clock,
    ) -> Result<(Arc<Self>, Started), StartError> {
        let began = std::time::Instant::now();
        let sizes = config.check()?;
        let calendar = options::calendar(config)?;
        let folder = |name: &str| config.data_dir.join(name);
        for name in folders::MADE_AT_START {
            let path = folder(name);
            disk.create_dir(&path).map_err(io(path.display()))?;
        }
        let lock = FolderLock::take(&config.data_dir)?;
        let journal_folder = folder(folders::JOURNAL);
        let entries = disk.list(&journal_folder).map_err(io(journal_folder.display()))?;
        let is_new = entries.is_empty();
        let secrets = Secrets::open(&folder(folders::SECRETS), is_new)?;
        let keys = Keys::new(secrets.prf(), secrets.digest());
        let shelf = Shelf::open(&folder(folders::RULES))?;
        // A law is kept before its record is written, and the journal is made before that: an empty
        // journal beside a law is a lost one, and to go on would give the same MRNs a second time.
        if is_new && !shelf.is_empty()? {
            return Err(StartError::NoJournal { folder: journal_folder });
        }
        let laws = Arc::new(Laws::over(shelf));
        let archive_folder = folder(folders::ARCHIVE);
        let identity = secrets.identity();
        let archive_options = options::archive_options(config, &secrets);
        let archive = resume::open_archive(&disk, &archive_folder, archive_options)?;
        let mut fold_options = resume::fold_options(&*disk, &archive_folder, &archive, &identity)?;
        fold_options.columns_bytes_max = config.columns_bytes();
        let catalog_folder = folder(folders::CATALOG);
        let (fold, board, opened) =
            Fold::open(&catalog_folder, &archive_folder, &fold_options, identity)?;
        let snapshots = fold.snapshots(Arc::clone(&disk), archive_folder, identity);
        let runs_folder =
            run::Folder::new(Arc::clone(&disk), &folder(folders::RUNS), secrets.identity());
        let preparer = |bounds| Preparer::new(bounds, calendar.clone(), keys.clone());
        let resuming = Resuming {
            disk: Arc::clone(&disk),
            journal_folder: journal_folder.clone(),
            runs_folder: runs_folder.clone(),
            archive,
            journal: options::journal_options(config, secrets.identity()),
            laws: Arc::clone(&laws),
            preparers: (0..config.worker_count()).map(|_| preparer(Bounds::NONE)).collect(),
            time_zone: config.time_zone.clone(),
        };
        let index = |runs| runs::index(config, &sizes, keys.clone(), runs);
        let resumed = resuming.resume(fold, index)?;
        let Resumed { archive, index, mut journal, recovery, recovered } = resumed;
        let mut fold = recovered.fold;
        let has_snapshot = fold_options.snapshot.is_some();
        let retention =
            Retention::begin(config.retention_days, archive.clone(), snapshots, has_snapshot)?;
        let mut last = recovered.last;
        check_clock(config, &calendar, &clock, recovered.newest)?;

        let law = Arc::new(law);
        // A law that says nothing of today must not be put in force.
        let today = law.on(calendar.day(clock.admit()))?;
        // On the shelf before the first verdict, also where the journal knows this law already.
        laws.keep(&law)?;
        let first_law = match laws.is_newest(&law) {
            Some(number) => number,
            None => {
                let record = laws.record(&law);
                let body = record.body();
                last = Some(append(&mut journal, &mut fold, record::LAW, &body, Event::Other)?);
                laws.note(record)?;
                record.number
            }
        };
        laws.put_in_force(first_law, Arc::clone(&law));
        if recovered.actors_max != Some(config.actors_max) {
            let (actors_max, time_zone) = (config.actors_max, config.time_zone.as_str());
            let body = SettingsRecord { actors_max, time_zone }.body();
            let event = Event::ActorsMax(actors_max);
            last = Some(append(&mut journal, &mut fold, record::SETTINGS, &body, event)?);
        }

        let batches_max = usize::try_from(sizes.batches_in_flight_max).unwrap_or(usize::MAX);
        let (stop, _) = watch::channel(None);
        let (durable, durable_seen) = watch::channel(fold.watermark());
        let failed = Arc::new(AtomicBool::new(false));
        let clock = Arc::new(clock);
        let (jobs, to_workers) = bounded(batches_max);
        let (work, to_committer) = bounded(batches_max + 16);
        let (answers, from_committer) = bounded(batches_max);
        let (folds, to_fold) = deltas::way(batches_max * 4 + 16, DELTA_BYTES_MAX, fold.watermark());
        let mint = Mint::new(secrets.bijection());
        let answer_bytes_max = usize::try_from(config.answer_bytes_max.0).unwrap_or(usize::MAX);
        let lookup = Lookup {
            index: Arc::clone(&index),
            laws: Arc::clone(&laws),
            preparer: preparer(Bounds::NONE),
            reader: journal.reader(),
            archive: archive.clone(),
            mint: mint.clone(),
            durable: durable_seen.clone(),
        };

        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let builder = std::thread::Builder::new().name(format!("waag-{name}"));
            let run = || {
                let _abort = AbortOnPanic;
                run();
            };
            builder.spawn(run).map(|thread| threads.push(thread)).map_err(io("a thread"))
        };
        for number in 0..config.worker_count() {
            let worker = Worker {
                preparer: preparer(options::bounds(config)),
                index: Arc::clone(&index),
                laws: Arc::clone(&laws),
                room: journal.room(),
                finisher: Finisher { mint: mint.clone(), answer_bytes_max },
                failed: Arc::clone(&failed),
                stop: stop.clone(),
                full: None,
                telemetry: telemetry.clone(),
            };
            let (jobs, answers) = (to_workers.clone(), from_committer.clone());
            let (commit, fold) = (work.clone(), folds.clone());
            let run = move || worker.run(jobs, &answers, commit, &fold);
            spawn(&format!("worker-{number}"), Box::new(run))?;
        }
        let room = journal.room();
        let (run_writer, merger, frozen) = runs::threads(
            Arc::clone(&index),
            (runs_folder, config.disk_reserve_bytes.0),
            Arc::clone(&failed),
            stop.clone(),
        );
        let carried = Carried {
            seen: Progress { records: fold.watermark().0, ..recovered.seen },
            newest: recovered.newest,
            actors_max: Some(config.actors_max),
            time_zone: config.time_zone.clone(),
            laws: Vec::new(),
        };
        // Closed when the committer ends.
        let (sealing, until) = bounded(0);
        let oldest = journal.oldest();
        // Of what was read, from the segment on in which the newest run ends: somewhat more than that.
        let has_tail = last.map(|last| last.number) > index.runs_cover();
        let pace = Arc::new(Pace::new(config));
        if let Some(last) = last {
            pace.placed(last.position);
        }
        let sources = Sources {
            disk,
            journal_folder,
            durable: durable_seen,
            archive: archive.clone(),
            pace: Arc::clone(&pace),
            unsealed_bytes_max: config.unsealed_bytes_max.0,
            memory_max: config.memory_max.0,
            disk_reserve: config.disk_reserve_bytes.0,
        };
        let due = Due::default();
        let committer = Committer {
            journal,
            index: Arc::clone(&index),
            settler: recovered.settler,
            last,
            carried,
            frozen,
            due: due.clone(),
            freezing: Freezing::new(config, if has_tail { recovery.bytes } else { 0 }),
            pace: Arc::clone(&pace),
            paced: Instant::now(),
            _sealing: sealing,
            laws: Arc::clone(&laws),
            clock: Arc::clone(&clock),
            next_ordinal: recovered.next_ordinal,
            group_bytes_max: usize::try_from(config.group_bytes_max.0).unwrap_or(usize::MAX),
            answers,
            fold: folds,
            durable,
            failed: Arc::clone(&failed),
            stop: stop.clone(),
            telemetry: telemetry.clone(),
        };
        spawn("committer", Box::new(move || committer.run(&to_committer)))?;
        spawn("runs", Box::new(move || run_writer.run()))?;
        let interval = Duration::from_millis(config.checkpoint_interval_ms);
        let (fold_failed, fold_stop) = (Arc::clone(&failed), stop.clone());
        let (folder, catalog) = folding::threads(fold, to_fold, interval);
        let finder = Finder::begin(config, &secrets, &mint, &archive, &until);
        let findings = finder.as_ref().map(Finder::findings);
        let durable_fold = folder.durable();
        let of_merger = retention.clone();
        spawn("merge", Box::new(move || merger.run(&durable_fold, &of_merger)))?;
        let sealer = Sealer {
            oldest,
            archive,
            archivist: Archivist::new(preparer(Bounds::NONE), Arc::clone(&laws), mint),
            index: Arc::clone(&index),
            folded: folder.durable(),
            retention,
            forgetting: Forgetting::new(config.key_retention_days, due),
            derived: Watermark(0),
            set_lines_max: SET_LINES_MAX,
            pace,
            until,
            failed: Arc::clone(&failed),
            stop: stop.clone(),
        };
        spawn("sealer", Box::new(move || sealer.run()))?;
        if let Some(finder) = finder {
            spawn("finder", Box::new(move || finder.run()))?;
        }
        spawn("fold", Box::new(move || folder.run(&fold_failed, &fold_stop)))?;
        spawn("catalog", Box::new(move || catalog.run()))?;
        let ahead = board.clone();
        let read_ahead = move || {
            // Whoever asks for that day is told; whatever else there is is answered.
            ahead.read_ahead().unwrap_or_else(|error| {
                tracing::warn!(%error, "summaries of closed days are not read ahead");
            });
        };
        spawn("ranking", Box::new(read_ahead))?;

        let started = Started {
            progress: recovered.seen,
            ended_clean: recovery.ended_clean,
            torn_bytes: recovery.torn.as_ref().map_or(0, |torn| torn.bytes),
            // Of a new data folder there is nothing to tell.
            rebuilt_because: opened.rebuilt_because.filter(|_| recovered.seen.records > 0),
            took: began.elapsed(),
            rule_set: today.rule_set_name(),
        };
        let engine = Self {
            jobs: std::sync::Mutex::new(Some(jobs)),
            work: std::sync::Mutex::new(Some(work)),
            threads: std::sync::Mutex::new(threads),
            limits: Limits::new(&config.limits, config.batch_bytes_max.0),
            budget: Budget::new(
                &sizes,
                config.batch_bytes_max.0,
                Duration::from_millis(config.admission_wait_ms_max),
            ),
            bytes_max: usize::try_from(config.batch_bytes_max.0).unwrap_or(usize::MAX),
            connections_max: sizes.connections_max,
            clock,
            laws,
            room,
            index,
            lookups: Lookups::new(lookup, sizes.lookups_in_flight_max),
            board,
            findings,
            calendar,
            failed,
            stop,
            telemetry,
            sources,
            _lock: lock,
        };
        Ok((Arc::new(engine), started))
    }

    /// What callers may have in work.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Waits for the turn of the batch in `message`.
    ///
    /// # Errors
    /// The [`Refusal`] of the batch, where it waited for too long or the server stops.
    pub async fn turn(&self, message: &[u8], share: Share) -> Result<Turn, Refusal> {
        let declarant = declarant(message);
        self.limits.take(declarant, message.len())?;
        self.budget.turn(share, declarant).await
    }

    /// Hands a batch whose turn it is to the workers. Dropping the future loses the answer, not the
    /// batch.
    ///
    /// # Errors
    /// The [`Refusal`] of the batch; nothing of it is stored.
    pub fn submit(
        &self,
        message: Bytes,
        turn: Turn,
        framing: Framing,
        trace: Option<Box<Trace>>,
    ) -> impl Future<Output = Result<Answer, Refusal>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let caller = Caller { framing, reply, turn, trace };
        let job = Job { message, at: self.clock.admit(), caller };
        let jobs = self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // There is a place in the channel for every turn; a job that is not taken is dropped, and
        // its closed reply tells the caller.
        if let Some(jobs) = jobs.as_ref() {
            let _ = jobs.try_send(job);
        }
        async move {
            answer.await.unwrap_or_else(|_| {
                Err(Refusal::unavailable(
                    "the server stopped before the batch was durable: send it again, to a \
                     running one; that is safe",
                    1_000,
                ))
            })
        }
    }

    /// The largest message, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The most connections at once.
    #[must_use]
    pub fn connections_max(&self) -> u64 {
        self.connections_max
    }

    /// Where those beside the engine record what they see.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What can be read of its state, for metrics. Looks at folders and the disk: it may block.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.sources.read(self)
    }

    /// Whether the disk has no more space than lodging must leave on it. It may block.
    #[must_use]
    pub fn is_disk_short(&self) -> bool {
        self.sources.is_disk_short() || self.room.is_disk_full()
    }

    /// Summaries.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What is sealed.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.sources.archive
    }

    /// What is found after acceptance; none where that is switched off.
    #[must_use]
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.as_ref()
    }

    /// The zone in which days are counted.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The laws.
    #[must_use]
    pub fn laws(&self) -> &Laws {
        &self.laws
    }

    /// What is known of every LRN.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Looks up declarations.
    #[must_use]
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Puts `law` in force: its files are kept and its record is durable when this returns.
    ///
    /// # Errors
    /// A sentence saying why it was not; the law before it holds on.
    pub async fn change_law(&self, law: Law) -> Result<u32, String> {
        let today = self.calendar.day(self.clock.admit());
        law.on(today).map_err(|error| error.to_string())?;
        let (reply, answer) = oneshot::channel();
        let work = self.work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let work = work.ok_or("the server is stopping")?;
        let (law, laws, room) = (Arc::new(law), Arc::clone(&self.laws), self.room.clone());
        // Writing files and waiting, for room and for a place in the queue, are not for a tokio
        // worker.
        let kept = tokio::task::spawn_blocking(move || {
            laws.keep(&law).map_err(|error| format!("the rule files cannot be kept: {error}"))?;
            let reservation =
                work::reserve(&room, record::LAW_BYTES).map_err(|error| error.to_string())?;
            let law = ToEnact { law, reservation, reply };
            work.send(Work::Law(law)).map_err(|_| "the server is stopping".to_owned())
        });
        kept.await.map_err(|error| error.to_string())??;
        answer.await.unwrap_or_else(|_| Err("the server is stopping".into()))
    }

    /// Resolves with the reason once the engine cannot go on.
    pub async fn broken(&self) -> String {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(reason) = stop.borrow_and_update().clone() {
                return reason;
            }
            if stop.changed().await.is_err() {
                return "the engine is gone".into();
            }
        }
    }

    /// Whether it takes batches.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Takes no more batches, finishes those in work, ends the journal and makes a checkpoint.
    /// Blocks until all of that is done.
    pub fn stop(&self) {
        self.budget.close();
        let take = |sender: &std::sync::Mutex<Option<Sender<Job>>>| {
            sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
        };
        drop(take(&self.jobs));
        drop(self.work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        let threads = std::mem::take(
            &mut *self.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread panicked");
                self.failed.store(true, Ordering::Release);
            }
        }
    }
}

/// Who lodges the batch in `message`, as the worker will read it; none where that is no EORI.
#[must_use]
pub fn declarant(message: &[u8]) -> Option<Eori> {
    eori(reader::declarant(message))
}

/// An EORI as the rules read it.
#[must_use]
pub fn eori(text: &str) -> Option<Eori> {
    Eori::parse(normalise_id(text, &bumpalo::Bump::new()))
}

/// The refusal of a message that is larger than `bytes_max`.
#[must_use]
pub fn too_large(bytes: u64, bytes_max: usize) -> Refusal {
    let mut refusal = Refusal::exhausted(
        format!("the batch has {bytes} bytes; it may have {bytes_max} at most: split it"),
        0,
    );
    refusal.field = "declarations".into();
    refusal
}

/// Logs the progress of a long recovery now and then.
pub(super) fn report() -> Box<dyn FnMut(&Progress) + Send> {
    let mut next = std::time::Instant::now() + Duration::from_secs(2);
    Box::new(move |progress| {
        if std::time::Instant::now() >= next {
            next += Duration::from_secs(2);
            let Progress { records, declarations, .. } = progress;
            tracing::info!(records, declarations, "recovering");
        }
    })
}

fn check_clock(
    config: &Config,
    calendar: &Calendar,
    clock: &Clock,
    newest: Option<Moment>,
) -> Result<(), StartError> {
    let Some(newest) = newest else { return Ok(()) };
    clock.saw(newest);
    let behind_s = clock.behind_ms() / 1_000;
    if behind_s <= config.clock_behind_s_max {
        return Ok(());
    }
    Err(StartError::Clock {
        now: calendar.show(clock.now()),
        newest: calendar.show(newest),
        behind_s,
        max_s: config.clock_behind_s_max,
    })
}

/// Appends one record before the threads run.
fn append(
    journal: &mut Journal,
    fold: &mut Fold,
    kind: u8,
    body: &[u8],
    event: Event,
) -> Result<journal::Placed, StartError> {
    let reservation = journal
        .room()
        .reserve(body.len())
        .map_err(|error| io("the journal")(std::io::Error::other(error.to_string())))?;
    let placed = journal.push(kind, &[body], reservation)?;
    journal.commit()?;
    fold.apply(placed.number, &event)?;
    Ok(placed)
}
