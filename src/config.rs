//! Every setting and every bound: its unit, its default, its reason.
//!
//! Settings come from a TOML file (`waag serve --config FILE`), whose keys are the fields below;
//! flags of the command line win over it. An unknown key is an error.

mod byte_size;
mod sizes;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use http::uri::Authority;
use serde::Deserialize;

pub use byte_size::ByteSize;
use sizes::ANSWER_FRAME_BYTES_MAX;
pub use sizes::{
    CONNECTION_WINDOW_BYTES, DELTA_BYTES_MAX, FINDINGS_BYTES_SPARE, Sizes, VERDICT_BYTES_MAX,
    WATCHED_ACTOR_BYTES, in_flight_bytes,
};

use crate::day::Calendar;
use crate::id::Eori;
use crate::index::filed::BATCH_DECLARATIONS_MAX;
use crate::telemetry::log;

const MIB: u64 = 1 << 20;

/// The settings of a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data folder.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Listen on an address that is not loopback, although anyone who reaches it may then lodge
    /// and read.
    pub insecure_listen_anywhere: bool,
    /// TLS. Without it everything goes in clear.
    pub tls: Option<TlsConfig>,
    /// The clients file: who may call, and what each may do (see [`crate::identity`]). Without it anyone may do
    /// everything.
    pub clients: Option<PathBuf>,
    /// How much single declarants may lodge in a second. Without one a declarant has its fair share.
    #[serde(rename = "limit")]
    pub limits: Vec<LimitConfig>,
    /// Where `GET /metrics` is answered: loopback only, unless `insecure_listen_anywhere` says otherwise.
    /// None: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where the analysts' page is (see [`crate::web`]). None: nowhere.
    pub web: Option<WebConfig>,
    /// Declarants that have metrics of their own: the first that the journal names. Later ones stand
    /// together as `(other)`. Each has up to 50 series, 4.4 KB of text at most.
    pub metrics_actors_max: u32,
    /// In which form `waag serve` writes its log.
    pub log_format: log::Format,
    /// Where traces go; without it, nowhere.
    pub traces: Option<TracesConfig>,
    /// Bytes of memory from which table, queues and buffers are sized.
    pub memory_max: ByteSize,
    /// Files in this folder replace the built-in rules of the same name.
    pub rules: Option<PathBuf>,
    /// IANA name of the zone in which days are counted: that is when the law changes.
    pub time_zone: String,
    /// Who answers for Waag's own algorithms, as the register of algorithms has it.
    pub algorithms_owner: String,
    /// Most declarations in a batch. The index addresses 65,536; the answer must fit in
    /// `answer_bytes_max` with one finding each.
    pub batch_declarations_max: usize,
    /// Most goods items in a batch.
    pub batch_goods_items_max: usize,
    /// Most bytes of a batch's message.
    pub batch_bytes_max: ByteSize,
    /// Most bytes of `common` times the number of declarations: each is judged with all of it. By
    /// default four of the largest messages: far more than is of use, and still a bound on the work.
    pub batch_common_bytes_max: ByteSize,
    /// Most documents and procedures of one declaration, those of its goods items included: ten
    /// times what is ever needed, and little enough to hold.
    pub declaration_list_elements_max: usize,
    /// Most characters of a `batch_id`.
    pub batch_id_characters_max: usize,
    /// An answer stays below this: 4 MiB is the limit of most clients.
    pub answer_bytes_max: ByteSize,
    /// Actors of a role that are counted apart; later ones fold into `(other)`. So many fallback references
    /// as well, of all declarants together; later ones fold into `(other)` of their declarant.
    pub actors_max: u32,
    /// Threads that judge. 0: one for each processor.
    pub workers: usize,
    /// Batches in work at once, all callers together, and fewer where `memory_max` has no room for
    /// so many. More wait, then are told to come back. One connection gets a quarter at most.
    pub batches_in_flight_max: usize,
    /// Batches of one stream in work at once; the stream is not read further until one is answered.
    pub stream_batches_in_flight_max: usize,
    /// Look-ups (`GetDeclaration`, `ListReasons`) in work at once, all callers together; more are told
    /// to come back. Each holds a thread, of the 512 that tokio starts for what may block, and waits
    /// for those before it. One reads a batch, of 16 MiB at most, which takes some 10 ms: so 64 are
    /// answered within a second.
    pub lookups_in_flight_max: usize,
    /// How long a batch waits for its turn before the caller is told to come back, milliseconds.
    pub admission_wait_ms_max: u64,
    /// How long a message may take to arrive once it has its share of memory, seconds.
    pub message_s_max: u64,
    /// How long a connection may take next to nothing of what waits for it, seconds, before it is closed: what its
    /// answers hold others could have. 64 KiB or one frame in this time are enough, at the default 1 KB/s.
    pub answer_s_max: u64,
    /// How long a connection may have no call on it, seconds, before it is closed: its place others could have.
    /// Clients that keep a connection between batches send one every few minutes, or connect again.
    pub connection_idle_s_max: u64,
    /// Bytes of a call's headers, as HTTP/2 counts them: a token and its like have a few hundred. Times all calls
    /// that there may be they stay below a thirty-second of the memory (see `connection_streams_max`).
    pub header_bytes_max: ByteSize,
    /// Size of a journal segment.
    pub segment_bytes: ByteSize,
    /// Bytes of the journal that may wait to be sealed; past that batches are told to come back. At 224
    /// bytes a goods item 4 GiB are 19 million of them. A quarter of it makes a run at the latest.
    pub unsealed_bytes_max: ByteSize,
    /// After so long what was lodged is written as a run and sealed, however little it is, seconds:
    /// analysts' tools see it then.
    pub seal_interval_s: u64,
    /// What stays free on the disk: lodging stops before that is used, and runs are not merged into it, so
    /// that sealing, which makes room, and the catalog can go on. A set takes up to some 200 MB.
    pub disk_reserve_bytes: ByteSize,
    /// A group is written when it holds this much or nothing more is waiting.
    pub group_bytes_max: ByteSize,
    /// Between two checkpoints of the summaries, milliseconds: what a restart folds again.
    pub checkpoint_interval_ms: u64,
    /// How far the clock may be behind the newest record, seconds.
    pub clock_behind_s_max: u64,
    /// How long a stop waits for batches in work, seconds.
    pub drain_s_max: u64,
    /// Connections at once, and fewer where `memory_max` has no room for so many.
    pub connections_max: u32,
    /// Connections of one address at once; of IPv6, of one network of 64 bits. None: 64, or half of all where that
    /// is less, so that no address has all.
    pub address_connections_max: Option<u32>,
    /// Streams (calls) of one connection at once, and fewer where `memory_max` has no room for the headers of so
    /// many on each connection: 48 of 16 KiB by default.
    pub connection_streams_max: u32,
    /// Watches over summaries at once, and fewer where `memory_max` has no room for so many (see
    /// [`Config::watches`]). More are told to come back. Each looks through the list of actors once
    /// a second (100,000: about 0.1 ms).
    pub watches_max: usize,
    /// Reads of summaries at once; more wait. Each takes a blocking thread, and one over all actors
    /// up to 160 bytes for each of `actors_max` while it runs: 8 × 100,000 × 160 = 128 MB.
    pub summary_reads_max: usize,
    /// Reads of summaries that wait, for their watermark or for their turn. More are told to come
    /// back, at once and not at their deadline: 1,024 of 5 ms each, 8 at a time, are 0.6 s. Each
    /// holds 1 KiB.
    pub summary_reads_waiting_max: usize,
    /// The archive keeps names and streets of importers and of senders of gifts in clear. Off by
    /// default, since they are private persons, and analysis seldom needs to know who they are:
    /// see [`crate::archive`].
    pub archive_personal_data: bool,
    /// What accepted declarations show when they are held against one another is looked for (see
    /// [`crate::insight`]). Without it what was found before is removed at the start.
    pub findings: bool,
    /// So many whole days before the newest are kept in the archive; older ones are dropped, but for
    /// what keys and summaries hold of them. None: all are kept for ever.
    pub retention_days: Option<u16>,
    /// So many whole days before the newest a key is known at least; what is sent again later may be
    /// taken for new. None: all are known for ever.
    pub key_retention_days: Option<u16>,
}

/// How much a declarant may lodge in a second.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Its EORI.
    pub declarant: Eori,
    /// Batches.
    pub batches_per_s: Option<NonZeroU32>,
    /// Bytes of their messages.
    pub bytes_per_s: Option<ByteSize>,
}

/// Where the analysts' page is. On loopback, or with TLS and identity, as the gRPC services are; it has the
/// certificate of `[tls]` too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// The address, as `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Names by which browsers know this server, besides loopback and `listen`: a request with another `Host`
    /// is refused.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// Where traces of batches go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// A collector that takes OTLP over gRPC, as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// One of so many batches is traced. Each has six spans, of 200 bytes and more.
    #[serde(default = "TracesConfig::one_in")]
    pub one_in: NonZeroU32,
}

impl TracesConfig {
    fn one_in() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(999)
    }
}

/// TLS of the listener. The files are PEM, and read again when one of them changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, then those of the authorities between it and a known one.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of the authorities that vouch for clients. Without them no client is known by its
    /// certificate.
    pub client_authorities: Option<PathBuf>,
    /// A connection without a client certificate is not taken at all, whether it has a token or not.
    #[serde(default)]
    pub client_certificates_required: bool,
}

/// Fewer segments than this must not be all that may wait to be sealed: one is being written, one
/// stands ready, and what is sealed at once, a quarter of all, begins and ends anywhere in one.
const SEGMENTS_UNSEALED_MIN: u64 = 8;

/// Connections of one address where the settings do not say: a company behind one proxy has a few dozens.
const ADDRESS_CONNECTIONS: u32 = 64;

/// A hundred years: as good as for ever, and no day is before the first that can be written.
const RETENTION_DAYS_MAX: u16 = 36_500;

/// What the shortest calls bring along.
const HEADER_BYTES_LEAST: ByteSize = ByteSize(1 << 10);

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./waag-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            insecure_listen_anywhere: false,
            tls: None,
            clients: None,
            limits: Vec::new(),
            metrics: None,
            web: None,
            metrics_actors_max: 200,
            log_format: log::Format::Text,
            traces: None,
            memory_max: ByteSize(3 << 30),
            rules: None,
            time_zone: "Europe/Amsterdam".into(),
            algorithms_owner: "the authority that runs this server".into(),
            batch_declarations_max: 10_000,
            batch_goods_items_max: 100_000,
            batch_bytes_max: ByteSize(16 * MIB),
            batch_common_bytes_max: ByteSize(64 * MIB),
            declaration_list_elements_max: 1_000_000,
            batch_id_characters_max: 64,
            answer_bytes_max: ByteSize(4 * MIB),
            actors_max: 100_000,
            workers: 0,
            batches_in_flight_max: 256,
            stream_batches_in_flight_max: 32,
            lookups_in_flight_max: 64,
            admission_wait_ms_max: 5_000,
            message_s_max: 60,
            answer_s_max: 60,
            connection_idle_s_max: 600,
            header_bytes_max: ByteSize(16 << 10),
            segment_bytes: ByteSize(256 * MIB),
            unsealed_bytes_max: ByteSize(4 << 30),
            seal_interval_s: 3_600,
            disk_reserve_bytes: ByteSize(1 << 30),
            group_bytes_max: ByteSize(MIB),
            checkpoint_interval_ms: 5_000,
            clock_behind_s_max: 60,
            drain_s_max: 30,
            connections_max: 256,
            address_connections_max: None,
            connection_streams_max: 256,
            watches_max: 32,
            summary_reads_max: 8,
            summary_reads_waiting_max: 1_024,
            archive_personal_data: false,
            findings: true,
            retention_days: None,
            key_retention_days: None,
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML of these settings.
    #[error("{path}: {source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is out of its bounds.
    #[error("setting {field} is {value}: {bound}")]
    Bound {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        bound: String,
    },
}

impl Config {
    /// Reads the settings in `path`.
    ///
    /// # Errors
    /// Where it cannot be read, or is no TOML of these settings. Bounds are checked by
    /// [`Self::check`], after the flags have been applied.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Io { path: path.into(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Toml { path: path.into(), source: Box::new(source) })
    }

    /// Checks every bound and derives the sizes.
    ///
    /// # Errors
    /// The first setting out of its bounds, with the bound.
    pub fn check(&self) -> Result<Sizes, ConfigError> {
        let bound = |field, value: &dyn std::fmt::Display, bound: String| {
            Err(ConfigError::Bound { field, value: value.to_string(), bound })
        };
        if Calendar::new(&self.time_zone).is_none() {
            let rule = "must be a zone of the IANA database, as Europe/Amsterdam".into();
            return bound("time_zone", &self.time_zone, rule);
        }
        if let Some(tls) = &self.tls
            && tls.client_certificates_required
            && tls.client_authorities.is_none()
        {
            let rule = "needs tls.client_authorities: whose certificates to take".into();
            return bound("tls.client_certificates_required", &true, rule);
        }
        let is_no_name = |host: &&String| {
            let authority = host.parse::<Authority>();
            !authority.is_ok_and(|authority| authority.as_str() == authority.host())
        };
        if let Some(host) = self.web.iter().flat_map(|web| &web.hosts).find(is_no_name) {
            let rule = "must be a name alone, without https:// and port, as waag.example".into();
            return bound("web.hosts", host, rule);
        }
        for (number, limit) in self.limits.iter().enumerate() {
            let shown = limit.declarant.as_str();
            if self.limits.iter().take(number).any(|other| other.declarant == limit.declarant) {
                return bound("limit.declarant", &shown, "has two limits: give it one".into());
            }
            if limit.batches_per_s.is_none() && limit.bytes_per_s.is_none() {
                let rule = "needs batches_per_s or bytes_per_s: how much it may lodge".into();
                return bound("limit.declarant", &shown, rule);
            }
            if limit.bytes_per_s == Some(ByteSize(0)) {
                return bound("limit.bytes_per_s", &0, "must be 1 or more".into());
            }
        }
        // A character of the echoed batch_id takes 4 bytes at most.
        let frame = ANSWER_FRAME_BYTES_MAX + 4 * self.batch_id_characters_max as u64;
        let fitting = self.answer_bytes_max.0.saturating_sub(frame) / VERDICT_BYTES_MAX;
        let declarations_max = fitting.min(BATCH_DECLARATIONS_MAX as u64);
        let bounded: &[(&'static str, u64, u64)] = &[
            ("workers", self.workers as u64, 1_024),
            ("admission_wait_ms_max", self.admission_wait_ms_max, 3_600_000),
            ("clock_behind_s_max", self.clock_behind_s_max, 86_400),
            ("drain_s_max", self.drain_s_max, 86_400),
        ];
        for &(field, value, most) in bounded {
            if value > most {
                return bound(field, &value, format!("must be 0 to {most}"));
            }
        }
        let positive: &[(&'static str, u64, u64)] = &[
            ("batch_goods_items_max", self.batch_goods_items_max as u64, 10_000_000),
            ("batch_bytes_max", self.batch_bytes_max.0, 256 * MIB),
            ("batch_common_bytes_max", self.batch_common_bytes_max.0, 4_096 * MIB),
            (
                "declaration_list_elements_max",
                self.declaration_list_elements_max as u64,
                100_000_000,
            ),
            ("batch_id_characters_max", self.batch_id_characters_max as u64, 1_024),
            ("answer_bytes_max", self.answer_bytes_max.0, 64 * MIB),
            ("actors_max", self.actors_max.into(), 10_000_000),
            ("metrics_actors_max", self.metrics_actors_max.into(), 1_000),
            ("batches_in_flight_max", self.batches_in_flight_max as u64, 65_536),
            ("stream_batches_in_flight_max", self.stream_batches_in_flight_max as u64, 4_096),
            // Half of the threads for what may block: a reload must find one.
            ("lookups_in_flight_max", self.lookups_in_flight_max as u64, 256),
            ("group_bytes_max", self.group_bytes_max.0, 16 * MIB),
            ("checkpoint_interval_ms", self.checkpoint_interval_ms, 3_600_000),
            ("message_s_max", self.message_s_max, 86_400),
            ("answer_s_max", self.answer_s_max, 86_400),
            ("connection_idle_s_max", self.connection_idle_s_max, 31_536_000),
            ("header_bytes_max", self.header_bytes_max.0, MIB),
            (
                "address_connections_max",
                self.address_connections_max.unwrap_or(ADDRESS_CONNECTIONS).into(),
                65_536,
            ),
            ("seal_interval_s", self.seal_interval_s, 31_536_000),
            ("connections_max", self.connections_max.into(), 65_536),
            ("connection_streams_max", self.connection_streams_max.into(), 1_000_000),
            ("watches_max", self.watches_max as u64, 4_096),
            // tokio has 512 blocking threads, and look-ups need some too.
            ("summary_reads_max", self.summary_reads_max as u64, 256),
            ("summary_reads_waiting_max", self.summary_reads_waiting_max as u64, 65_536),
        ];
        for &(field, value, most) in positive {
            if !(1..=most).contains(&value) {
                return bound(field, &value, format!("must be 1 to {most}"));
            }
        }
        if self.data_dir.as_os_str().is_empty() {
            return bound("data_dir", &"\"\"", "must name a folder, as ./waag-data".into());
        }
        if self.header_bytes_max < HEADER_BYTES_LEAST {
            let rule = format!("must be {HEADER_BYTES_LEAST} to 1MiB: no call has less");
            return bound("header_bytes_max", &self.header_bytes_max, rule);
        }
        if declarations_max == 0 {
            let rule = format!(
                "must have room for one declaration with one finding and a batch_id of \
                 batch_id_characters_max ({}) characters",
                self.batch_id_characters_max
            );
            return bound("answer_bytes_max", &self.answer_bytes_max, rule);
        }
        if !(1..=declarations_max).contains(&(self.batch_declarations_max as u64)) {
            let rule = format!(
                "must be 1 to {declarations_max}: an answer with one finding for each declaration \
                 must stay below answer_bytes_max ({}), and the index addresses {}",
                self.answer_bytes_max, BATCH_DECLARATIONS_MAX
            );
            return bound("batch_declarations_max", &self.batch_declarations_max, rule);
        }
        // With less, a day would be dropped to which batches may still come around midnight.
        if let Some(days) = self.retention_days
            && !(1..=RETENTION_DAYS_MAX).contains(&days)
        {
            let rule = format!("must be 1 to {RETENTION_DAYS_MAX}; leave it out to keep all days");
            return bound("retention_days", &days, rule);
        }
        if let Some(days) = self.key_retention_days {
            let Some(least) = self.retention_days else {
                let rule = "needs retention_days as well: what is kept must be known".into();
                return bound("key_retention_days", &days, rule);
            };
            if !(least..=RETENTION_DAYS_MAX).contains(&days) {
                let rule = format!(
                    "must be {least} (retention_days) to {RETENTION_DAYS_MAX}; leave it out to know all \
                     keys for ever"
                );
                return bound("key_retention_days", &days, rule);
            }
        }
        let segment_least = 4 * (self.batch_bytes_max.0 + MIB);
        if !(segment_least..=(4 << 30)).contains(&self.segment_bytes.0) {
            let least = ByteSize(segment_least);
            let rule = format!("must be {least} (four of the largest batches) to 4GiB");
            return bound("segment_bytes", &self.segment_bytes, rule);
        }
        let least = SEGMENTS_UNSEALED_MIN * self.segment_bytes.0;
        if self.unsealed_bytes_max.0 < least {
            let rule = format!(
                "must be at least {} ({SEGMENTS_UNSEALED_MIN} times segment_bytes): a quarter of it is \
                 sealed at once",
                ByteSize(least)
            );
            return bound("unsealed_bytes_max", &self.unsealed_bytes_max, rule);
        }
        self.sizes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_defaults_hold_and_are_what_the_contract_states() {
        let config = Config::default();
        let sizes = config.check().unwrap();
        assert_eq!(config.batch_declarations_max, 10_000);
        assert_eq!(config.batch_goods_items_max, 100_000);
        assert_eq!(config.batch_bytes_max, ByteSize(16 << 20));
        assert_eq!((sizes.connections_max, sizes.batches_in_flight_max), (128, 59));
        assert_eq!((sizes.address_connections_max, sizes.connection_streams_max), (64, 48));
        assert_eq!(sizes.lookups_in_flight_max, 12);
        assert_eq!(sizes.bytes_in_flight_max, 384 << 20);
        assert_eq!(sizes.index.slots(0), Some(crate::index::SLOTS_MAX));
        assert_eq!(sizes.index.bytes, 1_825_361_101);
    }

    #[test]
    fn each_bound_is_named() {
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(wrong(|c| c.batch_declarations_max = 0).contains("1 to 30838"));
        assert!(wrong(|c| c.data_dir = PathBuf::new()).contains("data_dir is \"\": must name"));
        assert!(wrong(|c| c.header_bytes_max = ByteSize(1)).contains("1KiB to 1MiB"));
        let told = wrong(|c| c.answer_bytes_max = ByteSize(1));
        assert!(told.contains("answer_bytes_max is 1: must have room"), "{told}");
        assert!(wrong(|c| c.batch_declarations_max = 40_000).contains("batch_declarations_max"));
        assert!(wrong(|c| c.memory_max = ByteSize(100 << 20)).contains("at least 256MiB"));
        assert!(wrong(|c| c.segment_bytes = ByteSize(1 << 20)).contains("segment_bytes"));
        for number in [0, 257] {
            let config = Config { lookups_in_flight_max: number, ..Config::default() };
            let told = config.check().unwrap_err().to_string();
            assert!(told.contains("lookups_in_flight_max") && told.contains("1 to 256"), "{told}");
        }
        assert!(wrong(|c| c.time_zone = "Mars/Olympus".into()).contains("time_zone"));
        assert!(wrong(|c| c.workers = 1_025).contains("workers is 1025: must be 0 to 1024"));
        assert!(wrong(|c| c.drain_s_max = u64::MAX).contains("drain_s_max"));
        assert!(
            wrong(|c| c.retention_days = Some(0))
                .contains("retention_days is 0: must be 1 to 36500")
        );
        assert!(wrong(|c| c.retention_days = Some(36_501)).contains("retention_days is 36501"));
        let keys = |retention_days, days| {
            let key_retention_days = Some(days);
            let config = Config { retention_days, key_retention_days, ..Config::default() };
            config.check().unwrap_err().to_string()
        };
        assert!(keys(None, 400).contains("key_retention_days is 400: needs retention_days"));
        let told = keys(Some(30), 29);
        assert!(told.contains("29: must be 30 (retention_days) to 36500"), "{told}");
        assert!(keys(Some(30), 36_501).contains("key_retention_days is 36501"));
        let served = |host: &str| {
            let listen = Config::default().listen;
            let hosts = vec!["waag.example".into(), host.into()];
            Config { web: Some(WebConfig { listen, hosts }), ..Config::default() }.check()
        };
        for host in ["https://waag.example", "waag.example:8080", "me@waag.example", "a b", ""] {
            let told = served(host).unwrap_err().to_string();
            let starts = format!("web.hosts is {host}: must be a name alone");
            assert!(told.contains(&starts), "{told}");
        }
        served("[2001:db8::1]").unwrap();
        let told = wrong(|c| c.metrics_actors_max = 1_001);
        assert!(told.contains("metrics_actors_max is 1001: must be 1 to 1000"), "{told}");
        assert!(wrong(|c| c.watches_max = 0).contains("watches_max is 0: must be 1 to 4096"));
        assert!(wrong(|c| c.summary_reads_max = 257).contains("must be 1 to 256"));
        assert!(wrong(|c| c.summary_reads_waiting_max = 0).contains("summary_reads_waiting_max"));
        let negative = toml::from_str::<Config>("memory_max = -5").unwrap_err().to_string();
        assert!(negative.contains("-5 is no size"), "{negative}");
        assert!(toml::from_str::<Config>("memory_mx = 3").is_err());
        let told = toml::from_str::<Config>("log_format = \"xml\"").unwrap_err().to_string();
        assert!(told.contains("`text` or `json`"), "{told}");
        let read: Config = toml::from_str("memory_max = \"1GiB\"\nworkers = 3").unwrap();
        assert_eq!((read.memory_max, read.workers), (ByteSize(1 << 30), 3));
    }
}
