//! What may be in work at once, of all callers together and of each: so that whatever clients send or
//! fail to read, no more memory than this is held for them, and none of them has it all.
//!
//! | taken | when | how much one may have |
//! |---|---|---|
//! | bytes | when the length of a message is known, before any of it is read | a connection a quarter, a client half, or one message of the largest |
//! | a place on the connection | then, too | a connection as many as a quarter of all turns |
//! | a turn | once the message's declarant is read, before judging | a declarant half of all turns |
//!
//! A call that reads takes one of its connection's two places for reads, one of its client's, and one among
//! those of its kind, and keeps them until its answer has left.
//!
//! A client is who calls, where clients are known, else an address: what it cannot have on one connection it
//! cannot have on more of them either.
//!
//! What cannot be had at once is waited for, in the order of asking, and the caller's stream is not
//! read meanwhile. All of it is given back when the last byte of the answer has left for the
//! network. Nobody waits for bytes while holding a turn, so nothing can block in a circle.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;
use crate::config::{Sizes, in_flight_bytes};
use crate::id::Eori;
use crate::telemetry::InFlight;

/// Bytes are counted in units of this, since a semaphore counts to 2^29 on small systems.
const UNIT: u64 = 1 << 10;

/// The part of the whole that one connection may have.
const CONNECTION_PART: u64 = 4;

/// The part of the bytes and of the look-ups that one client may have, on all its connections.
const CLIENT_PART: u64 = 2;

/// The part of all turns that one declarant may have: whoever floods the server leaves as much to
/// the others, and half of the turns keeps all workers busy.
const DECLARANT_PART: u64 = 2;

/// Reads of one connection whose answers have not left: two, so that one runs while another leaves.
const CONNECTION_READS_MAX: u64 = 2;

/// What all callers may have in work.
#[derive(Debug)]
pub struct Budget {
    bytes: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    declarants: Mutex<HashMap<Option<Eori>, Arc<Semaphore>>>,
    clients: Arc<Clients>,
    turns_max: u64,
    bytes_max: u64,
    connection_bytes_max: u64,
    wait: Duration,
}

/// Whose a connection or a call is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Client {
    /// Nobody's that is known: of all who call from there.
    Address(IpAddr),
    /// That of a known client, by its name.
    Named(Box<str>),
}

impl Client {
    /// That of calls that come over no connection of an address.
    pub const NOWHERE: Self = Self::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
}

/// What clients have in work.
#[derive(Debug)]
struct Clients {
    bytes_max: u64,
    reads_max: u64,
    /// Those with a connection or a call.
    known: Mutex<HashMap<Client, Arc<Own>>>,
}

/// What one client may have.
#[derive(Debug)]
struct Own {
    bytes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl Clients {
    fn of(&self, client: Client) -> Arc<Own> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = known.get(&client) {
            return Arc::clone(own);
        }
        known.retain(|_, own| Arc::strong_count(own) > 1);
        let own = Own { bytes: semaphore(self.bytes_max / UNIT), reads: semaphore(self.reads_max) };
        let own = Arc::new(own);
        known.insert(client, Arc::clone(&own));
        own
    }
}

/// What one connection may have in work, and through it a view of its client's and of the whole.
#[derive(Debug, Clone)]
pub struct ConnectionBudget {
    places: Arc<Semaphore>,
    own_bytes: Arc<Semaphore>,
    all_bytes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    client: Arc<Own>,
    clients: Arc<Clients>,
    units_max: u32,
    wait: Duration,
}

/// A place for a read, of its connection and of its client.
#[derive(Debug)]
pub struct ReadPlace {
    _places: [OwnedSemaphorePermit; 2],
}

/// What a message holds from its first byte on.
#[derive(Debug)]
pub struct Share {
    arrived: Instant,
    _place: OwnedSemaphorePermit,
    _bytes: [OwnedSemaphorePermit; 3],
}

/// What a batch holds that may be judged.
#[derive(Debug)]
pub struct Turn {
    share: Share,
    _turn: [OwnedSemaphorePermit; 2],
}

impl Turn {
    /// For how long its batch has been here: since the length of its message arrived.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.share.arrived.elapsed()
    }
}

impl Budget {
    /// Of these sizes, for messages of at most `batch_bytes_max`; whoever must wait for longer than
    /// `wait` is told to come back.
    #[must_use]
    pub fn new(sizes: &Sizes, batch_bytes_max: u64, wait: Duration) -> Self {
        let (turns_max, bytes_max) = (sizes.batches_in_flight_max, sizes.bytes_in_flight_max);
        let lookups_max = sizes.lookups_in_flight_max as u64;
        let largest = (u64::from(units(batch_bytes_max)) * UNIT).min(bytes_max);
        Self {
            bytes: semaphore(bytes_max / UNIT),
            turns: semaphore(turns_max),
            declarants: Mutex::default(),
            clients: Arc::new(Clients {
                bytes_max: (bytes_max / CLIENT_PART).max(largest),
                // One of a connection may wait while another leaves, however few there are.
                reads_max: (lookups_max / CLIENT_PART).max(CONNECTION_READS_MAX),
                known: Mutex::default(),
            }),
            turns_max,
            bytes_max,
            connection_bytes_max: (bytes_max / CONNECTION_PART).max(largest),
            wait,
        }
    }

    /// What a new connection of `client` may have in work.
    #[must_use]
    pub fn connection(&self, client: Client) -> ConnectionBudget {
        let units_max = self.connection_bytes_max / UNIT;
        ConnectionBudget {
            places: semaphore(self.turns_max / CONNECTION_PART),
            own_bytes: semaphore(units_max),
            all_bytes: Arc::clone(&self.bytes),
            reads: semaphore(CONNECTION_READS_MAX),
            client: self.clients.of(client),
            clients: Arc::clone(&self.clients),
            units_max: u32::try_from(units_max).unwrap_or(u32::MAX),
            wait: self.wait,
        }
    }

    /// The turn of a batch of `declarant`; those that name none well formed share what one has.
    ///
    /// # Errors
    /// The refusal of the batch, where it waited for too long or the server stops.
    pub async fn turn(&self, share: Share, declarant: Option<Eori>) -> Result<Turn, Refusal> {
        let own = self.declarant(declarant);
        let turn = async {
            let own = own.acquire_owned().await?;
            Ok([own, Arc::clone(&self.turns).acquire_owned().await?])
        };
        let turn = within(self.wait, turn, || {
            format!(
                "{} batches are in work, the most there may be, or half of them for this declarant \
                 (batches_in_flight_max, memory_max): send the batch again later",
                self.turns_max
            )
        });
        Ok(Turn { share, _turn: turn.await? })
    }

    fn declarant(&self, declarant: Option<Eori>) -> Arc<Semaphore> {
        let mut declarants = self.declarants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = declarants.get(&declarant) {
            return Arc::clone(own);
        }
        // Only those in work are kept, and these are no more than there are messages in work.
        declarants.retain(|_, own| Arc::strong_count(own) > 1);
        let own = semaphore(self.turns_max / DECLARANT_PART);
        declarants.insert(declarant, Arc::clone(&own));
        own
    }

    /// Batches in work.
    #[must_use]
    pub fn batches_in_flight(&self) -> InFlight {
        in_flight(self.turns_max, self.turns.available_permits() as u64)
    }

    /// Bytes in work, as [`in_flight_bytes`] counts them.
    #[must_use]
    pub fn bytes_in_flight(&self) -> InFlight {
        let free = self.bytes.available_permits() as u64;
        in_flight(self.bytes_max, free.saturating_mul(UNIT))
    }

    /// From here on everybody is told that the server stops; what is held stays valid.
    pub fn close(&self) {
        self.bytes.close();
        self.turns.close();
    }
}

impl ConnectionBudget {
    /// A message's share of the bytes: the largest gets all there is, if that is what it takes.
    fn units(&self, bytes: usize) -> u32 {
        units(bytes as u64).min(self.units_max)
    }

    /// The same connection, for a call of `client`.
    #[must_use]
    pub fn of(&self, client: Client) -> Self {
        Self { client: self.clients.of(client), ..self.clone() }
    }

    /// A place for a read of this connection; waits for those before it.
    ///
    /// # Errors
    /// [`Refusal`] where the server stops.
    pub async fn read_place(&self) -> Result<ReadPlace, Refusal> {
        let take = async |of: &Arc<Semaphore>| {
            Arc::clone(of).acquire_owned().await.map_err(|_| Refusal::stopping())
        };
        Ok(ReadPlace { _places: [take(&self.reads).await?, take(&self.client.reads).await?] })
    }

    /// A share for a message of `bytes`, where it can be had at once.
    #[must_use]
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let units = self.units(bytes);
        let take = |all: &Arc<Semaphore>| Arc::clone(all).try_acquire_many_owned(units).ok();
        Some(Share {
            arrived: Instant::now(),
            _place: Arc::clone(&self.places).try_acquire_owned().ok()?,
            _bytes: [take(&self.own_bytes)?, take(&self.client.bytes)?, take(&self.all_bytes)?],
        })
    }

    /// A share for a message of `bytes`, waiting for it.
    ///
    /// # Errors
    /// The refusal of the batch, where it waited for too long or the server stops.
    pub async fn take(&self, bytes: usize) -> Result<Share, Refusal> {
        let (arrived, units) = (Instant::now(), self.units(bytes));
        let take = |all: &Arc<Semaphore>| Arc::clone(all).acquire_many_owned(units);
        let share = async {
            let place = Arc::clone(&self.places).acquire_owned().await?;
            let own = [take(&self.own_bytes).await?, take(&self.client.bytes).await?];
            let [of_connection, of_client] = own;
            let bytes = [of_connection, of_client, take(&self.all_bytes).await?];
            Ok(Share { arrived, _place: place, _bytes: bytes })
        };
        within(self.wait, share, || {
            "so many batches or bytes are in work, of this connection, of this client or of all, that this one \
             has no room (batches_in_flight_max, memory_max): send it again later"
                .to_owned()
        })
        .await
    }
}

/// What is waited for, or the refusal where that takes longer than `wait`, or the server stops.
async fn within<T>(
    wait: Duration,
    taken: impl Future<Output = Result<T, AcquireError>>,
    sentence: impl Fn() -> String,
) -> Result<T, Refusal> {
    match tokio::time::timeout(wait, taken).await {
        Ok(taken) => taken.map_err(|_| Refusal::stopping()),
        Err(_) => Err(Refusal::exhausted(sentence(), 1_000)),
    }
}

fn in_flight(most: u64, free: u64) -> InFlight {
    InFlight { now: most.saturating_sub(free), most }
}

fn semaphore(permits: u64) -> Arc<Semaphore> {
    let permits = usize::try_from(permits).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS)))
}

fn units(bytes: u64) -> u32 {
    u32::try_from(in_flight_bytes(bytes).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ingest::refusal::RefusalKind;

    const MIB: usize = 1 << 20;

    fn at(last: u8) -> Client {
        Client::Address(Ipv4Addr::new(127, 0, 0, last).into())
    }

    fn budget(batches: u64, bytes: u64, batch_bytes_max: u64) -> Budget {
        let sizes = Sizes {
            index: crate::index::Memory { bytes: 0, slots_min: 0 },
            bytes_in_flight_max: bytes,
            batches_in_flight_max: batches,
            connections_max: 1,
            address_connections_max: 1,
            connection_streams_max: 1,
            lookups_in_flight_max: 1,
        };
        Budget::new(&sizes, batch_bytes_max, Duration::from_secs(5))
    }

    fn eori(n: u8) -> Option<Eori> {
        Eori::parse(&format!("NL{n}"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_gets_a_quarter_and_all_together_the_bytes_there_are() {
        let budget = budget(8, 64 << 20, MIB as u64);
        let first = budget.connection(at(1));
        let held = [first.try_take(1).unwrap(), first.try_take(1).unwrap()];
        // 64 KiB for findings and a KiB for two bytes, each.
        assert_eq!(budget.bytes_in_flight(), InFlight { now: (2 * 65) << 10, most: 64 << 20 });
        assert!(first.try_take(1).is_none(), "a quarter of 8 batches");
        let other = budget.connection(at(2));
        let large = other.try_take(7 * MIB).unwrap();
        assert!(other.try_take(MIB).is_none(), "a quarter of 64 MiB, each message counted twice");
        drop((held, large));
        let one_more = |of| budget.connection(at(of)).try_take(7 * MIB).unwrap();
        let all: Vec<_> = (0..4).map(one_more).collect();
        let refused = budget.connection(at(9)).take(4 * MIB).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_ms), (RefusalKind::Exhausted, 1_000));
        drop(all);
        assert!(budget.connection(at(9)).take(4 * MIB).await.is_ok());
        budget.close();
        assert_eq!(
            budget.connection(at(9)).take(1).await.unwrap_err().kind,
            RefusalKind::Unavailable
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_gets_half_of_the_bytes_on_whatever_connections_and_of_the_look_ups() {
        let mut budget = budget(64, 64 << 20, MIB as u64);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(budget.connection(at(1)).try_take(7 * MIB).unwrap());
        }
        assert!(budget.connection(at(1)).try_take(2 * MIB).is_none(), "half, with 4 MiB to go");
        let refused = budget.connection(at(1)).take(2 * MIB).await.unwrap_err();
        assert!(refused.message.contains("of this client"), "{}", refused.message);
        held.push(budget.connection(at(2)).try_take(7 * MIB).unwrap());
        // One of those who are known is not held to what its address has.
        let named = Client::Named("broker".into());
        held.push(budget.connection(at(1)).of(named.clone()).try_take(7 * MIB).unwrap());
        drop(held);
        // Those without a connection are forgotten.
        drop(budget.connection(at(3)));
        assert_eq!(budget.clients.known.lock().unwrap().len(), 1);

        let clients = Arc::get_mut(&mut budget.clients).unwrap();
        clients.reads_max = 3;
        let other = budget.connection(at(2)).of(named.clone());
        let own = budget.connection(at(1)).of(named);
        let mut reads = vec![own.read_place().await.unwrap(), own.read_place().await.unwrap()];
        reads.push(other.read_place().await.unwrap());
        let waits = tokio::time::timeout(Duration::from_secs(60), other.read_place()).await;
        assert!(waits.is_err(), "a fourth of the client, its connection's second");
        assert!(budget.connection(at(5)).read_place().await.is_ok());
        reads.pop();
        assert!(other.read_place().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_message_fits_even_where_a_quarter_does_not_hold_it() {
        let budget = budget(4, 32 << 20, 16 << 20);
        assert!(budget.connection(at(9)).take(16 << 20).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_declarant_that_floods_leaves_half_of_the_turns_to_others() {
        let budget = budget(8, 64 << 20, MIB as u64);
        let share = || budget.connection(at(9)).try_take(1).unwrap();
        let mut flood = Vec::new();
        for _ in 0..4 {
            flood.push(budget.turn(share(), eori(1)).await.unwrap());
        }
        let refused = budget.turn(share(), eori(1)).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_ms), (RefusalKind::Exhausted, 1_000));
        let others = [budget.turn(share(), eori(2)).await, budget.turn(share(), None).await];
        assert!(others.iter().all(Result::is_ok));
        // What it gives back it may have again, and waits for.
        let waiting = budget.turn(share(), eori(1));
        flood.pop();
        flood.push(waiting.await.unwrap());
        // All turns together are bounded, whoever has them.
        drop(others);
        let mut rest = Vec::new();
        for n in 2..6 {
            rest.push(budget.turn(share(), eori(n)).await.unwrap());
        }
        assert!(budget.turn(share(), eori(9)).await.is_err());
        assert_eq!(budget.batches_in_flight(), InFlight { now: 8, most: 8 });
        // Those who have nothing in work are forgotten.
        drop((rest, flood));
        drop(budget.turn(share(), eori(7)).await);
        drop(budget.turn(share(), eori(8)).await);
        assert_eq!(budget.declarants.lock().unwrap().len(), 1);
        let held = share();
        budget.close();
        let refused = budget.turn(held, eori(2)).await.unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unavailable);
    }
}
