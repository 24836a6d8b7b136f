//! Waag takes in low-value e-commerce customs declarations at billion-line scale: each is judged by
//! the law in force, deduplicated, made durable and answered, and what was answered adds up to
//! exact summaries per actor.
//!
//! # The life of a batch
//! ```text
//! gRPC message ─ admit ─ read in place ─ judge ─ claim ─ place and write ─ fold ─ answer
//!    Bytes      bytes in   borrowed      rules    lock-free  journal, one      summary
//!               flight     view                   index      synced group
//! ```
//! - **admit** ([`ingest::budget`]): a batch takes its share of memory when the length of its message
//!   arrives, and its turn once its declarant is read; one past a bound is skipped on the wire. It
//!   gets its one time, which decides rule set, rates, summary day and MRN year; nothing later asks
//!   the clock.
//! - **read in place** ([`wire`]): the message is walked into borrowed structs, exactly as prost
//!   would decode it, and normalised.
//! - **judge** ([`rules`]): pure functions of the normalised declaration, the rule set of its day
//!   and dated reference data collect all findings at once.
//! - **claim** ([`index`]): the key, a keyed PRF of (declarant, LRN), is claimed in a lock-free
//!   table; what is not in it is looked for on disk, in runs behind filters, before that. Room there
//!   and in the journal is reserved first: what has claimed is always placed, client or no client.
//!   A table that is full goes to disk as a run, and another takes over.
//! - **place and write** ([`ingest`], [`journal`]): one committer gives records their order, settles
//!   what several hold against what stands before, and writes all that waits as one group, synced.
//! - **answer** ([`ingest::answer`]): verdicts go straight to bytes, once the group is durable.
//! - **fold** ([`summary`], [`catalog`]): each batch's small delta is merged in journal order.
//!
//! Behind that, records are sealed ([`archive`], `ingest::sealing`): what is in a run and in a checkpoint
//! of the summaries becomes Parquet files, and leaves the journal. Two things differ from the design: the
//! manifest of the archive is a small synced file for each set beside its tables, and not in the catalog,
//! so that it is not lost with what is only derived; and where a segment and a set have the same records
//! either will do, so that a set need not end where a segment does.
//!
//! Days past their retention are dropped from the archive (`ingest::retention`). Runs and summaries, of which a
//! snapshot is kept for that, are then no longer derived but truth. Keys past theirs are forgotten from a
//! record of the journal on (`ingest::forgetting`).
//!
//! # What must always be true
//! 1. An answer is durable, and so is all that it rests on.
//! 2. Retrying is always safe: the first answer, every time, as long as its key is not forgotten.
//! 3. (declarant, LRN) is accepted once at most, over all keys that are not forgotten.
//! 4. A summary is exactly the fold of the journal up to its watermark, also where days are dropped.
//! 5. Every verdict can be explained and repeated.
//! 6. Every bound is explicit ([`config`]).
//! 7. A failed write stops the server.
//!
//! # Where things are
//! | module | what |
//! |---|---|
//! | [`config`] | every setting and every bound |
//! | [`id`], [`day`], [`outcome`], [`mrn`] | a type for each meaning |
//! | [`secrets`] | the keys of a data folder |
//! | [`wire`] | reading, normalising, digesting |
//! | [`rules`] | the law as dated data, and judging by it |
//! | [`index`] | which (declarant, LRN) is known, with which content: hot in a table, cold in runs |
//! | [`disk`], [`journal`] | durable writing, and the simulated disk that tests it |
//! | [`ingest`] | the stages and threads between a message and its answer; recovery; look-ups |
//! | [`summary`], [`catalog`] | the fold and its checkpoints |
//! | [`insight`] | findings: what accepted declarations show when they are held against one another; followed by `ingest::finder` |
//! | [`signals`] | which declarants stand out over some weeks, in which way and since when |
//! | [`agreements`] | agreements on improvements with actors: kept, and reviewed |
//! | [`profiles`] | analysts' own dated rules: kept, tried on the past, matched with what is sealed |
//! | [`samples`] | the sampling frame: plans, selections, outcomes of controls, estimates |
//! | [`algorithms`] | Waag's own algorithms, for the register |
//! | [`book`] | files that only grow, in which agreements, profiles and samples are kept |
//! | [`statistics`] | intervals, bounds, samples and CUSUM, as pure functions |
//! | [`archive`] | what is sealed, as Parquet files that analysts' tools read |
//! | [`identity`], [`audit`] | who may do what, and the log of who did |
//! | [`telemetry`] | figures for Prometheus, and the log |
//! | [`backup`] | a copy of a data folder in use, and a data folder made of it |
//! | [`web`] | the analysts' page, in a browser |
//! | [`rpc`], [`proto`] | the gRPC services and what is generated from the contract |
//! | [`generate`] | realistic batches with known answers; worlds in which some misbehave, with the truth about them |
//! | [`client`] | lodging from another program: batches in flight, answers in order, sent again when lost |
//! | [`send`], `rows` | files of declarations to a service, verdicts beside them; declarations as rows |
//! | [`spool`] | batches taken in beside a declarant's system while the service is down, and forwarded |
//! | [`conformity`] | cases of law played against any service that speaks the contract |
//! | [`command`] | the command line |
//!
//! Without the feature `client`, which is on by default, there are no client, no commands and no binaries.

pub mod agreements;
pub mod algorithms;
pub mod archive;
pub mod audit;
pub mod backup;
pub mod book;
pub mod catalog;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
pub mod command;
pub mod config;
#[cfg(feature = "client")]
pub mod conformity;
pub mod day;
pub mod disk;
mod fields;
pub mod generate;
pub mod id;
pub mod identity;
pub mod index;
pub mod ingest;
pub mod insight;
pub mod journal;
pub mod mrn;
pub mod outcome;
pub mod profiles;
pub mod proto;
#[cfg(feature = "client")]
mod rows;
pub mod rpc;
pub mod rules;
pub mod samples;
pub mod secrets;
#[cfg(feature = "client")]
pub mod send;
pub mod signals;
#[cfg(feature = "client")]
pub mod spool;
pub mod statistics;
pub mod summary;
pub mod telemetry;
pub mod web;
pub mod wire;
