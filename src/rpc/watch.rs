//! One watch over summaries.
//!
//! It goes in rounds, each at least [`WATCH_PAUSE`] after the end of the one before. A round takes
//! the ids that changed, and makes the summary of each only when there is room to send it: so a
//! slow reader gets few and new ones, and nothing piles up for it.
//!
//! What it keeps: 8 bytes for each actor of its role, at most a ninth of them to spare, and the ids of the
//! round, 18 bytes each: below [`WATCHED_ACTOR_BYTES`](crate::config::WATCHED_ACTOR_BYTES) for each
//! of at most `actors_max` and `(other)`; and [`WATCH_AHEAD`] messages.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tonic::Status;

use super::guard::{Caller, Guard, status_of};
use super::reads::{Reader, assert_reading};
use super::summary_messages::to_message;
use crate::id::Watermark;
use crate::identity::{Denied, Who};
use crate::proto::v1;
use crate::summary::{ActorId, Period, Role, Summary};

/// An actor is sent at most once in this time.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Summaries made ahead for a watcher: what a slow one may get that is not the newest.
pub(super) const WATCH_AHEAD: usize = 16;

type Sender = mpsc::Sender<Result<v1::WatchActorSummariesResponse, Status>>;

/// One watcher.
#[derive(Debug)]
pub(super) struct Watch {
    reader: Reader,
    /// Asked again before anything is sent: whoever may not watch any more is told so.
    caller: (Guard, Caller),
    role: Role,
    period: Period,
    asked: v1::Period,
    /// `None`: all of the role.
    named: Option<Arc<BTreeSet<ActorId>>>,
    sent: Sent,
    _slot: OwnedSemaphorePermit,
}

/// Whether one may watch these actors of a role, or all of it.
///
/// # Errors
/// What is missing.
pub(super) fn may_watch(
    who: &Who,
    role: Role,
    named: Option<&BTreeSet<ActorId>>,
) -> Result<(), Denied> {
    match named {
        None => who.may_read_all_summaries(),
        Some(ids) => ids.iter().try_for_each(|id| who.may_read_summary(role, id.as_str())),
    }
}

/// What was last sent of each actor, by its number: a checksum of its figures.
#[derive(Debug, Default)]
struct Sent(Vec<Option<NonZeroU64>>);

/// Why a watch ends.
enum Ended {
    /// The reader went away.
    Reader,
    /// Something failed.
    Failed(Status),
}

impl Watch {
    /// Over those of `named`, or all of `role`, in `period`, which was asked for as `asked`.
    pub(super) fn new(
        reader: Reader,
        caller: (Guard, Caller),
        role: Role,
        period: Period,
        asked: v1::Period,
        named: Option<BTreeSet<ActorId>>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        let named = named.map(Arc::new);
        Self { reader, caller, role, period, asked, named, sent: Sent::default(), _slot: slot }
    }

    /// Runs until the reader goes or the board stops.
    pub(super) async fn run(mut self, sender: Sender) {
        let board = self.reader.board.clone();
        let ended = tokio::select! {
            // The stream just ends: the caller may watch again elsewhere.
            () = board.stopped() => return,
            () = sender.closed() => return,
            ended = self.rounds(&sender) => ended,
        };
        if let Err(Ended::Failed(status)) = ended {
            // Where the reader is gone, there is nobody to tell.
            let _gone = sender.send(Err(status)).await;
        }
    }

    async fn rounds(&mut self, sender: &Sender) -> Result<(), Ended> {
        let mut since = self.reader.board.watermark();
        let mut pending = self.first_round().await?;
        loop {
            self.send(pending, sender).await?;
            tokio::time::sleep(WATCH_PAUSE).await;
            (pending, since) = self.next_round(since).await?;
        }
    }

    /// All that match, in order.
    async fn first_round(&self) -> Result<Vec<ActorId>, Ended> {
        if let Some(named) = &self.named {
            return Ok(named.iter().copied().collect());
        }
        let (role, period) = (self.role, self.period);
        let read = self.reader.read(move |board| {
            assert_reading();
            Ok(board.ids_in(role, period)?.into_iter().collect())
        });
        read.await.map_err(Ended::Failed)
    }

    /// Those that have changed after record `since`, in order, and up to which record.
    async fn next_round(&self, since: Watermark) -> Result<(Vec<ActorId>, Watermark), Ended> {
        let (role, named) = (self.role, self.named.clone());
        let read = self.reader.read(move |board| {
            assert_reading();
            let (mut changed, watermark) = board.changed_since(role, since)?;
            if let Some(named) = named {
                changed.retain(|id| named.contains(id));
            }
            changed.sort_unstable();
            changed.shrink_to_fit();
            Ok((changed, watermark))
        });
        read.await.map_err(Ended::Failed)
    }

    fn is_still_allowed(&self) -> Result<(), Ended> {
        let (guard, caller) = &self.caller;
        let caller = guard.still(caller).map_err(Ended::Failed)?;
        let allowed = may_watch(caller.who(), self.role, self.named.as_deref());
        allowed.map_err(|denied| Ended::Failed(status_of(&denied)))
    }

    /// Sends what is new of each of `pending`.
    async fn send(&mut self, pending: Vec<ActorId>, sender: &Sender) -> Result<(), Ended> {
        let mut rest = pending.as_slice();
        while !rest.is_empty() {
            // Wait for room, then take as many as there is room for.
            let first = sender.reserve().await.map_err(|_| Ended::Reader)?;
            let mut permits = vec![first];
            permits.extend(std::iter::from_fn(|| sender.try_reserve().ok()));
            let (now, later) = rest.split_at(permits.len().min(rest.len()));
            rest = later;
            self.is_still_allowed()?;
            let messages = self.news(now.to_vec()).await?;
            for (permit, message) in permits.into_iter().zip(messages) {
                permit.send(Ok(message));
            }
        }
        Ok(())
    }

    /// The messages for those of `ids` whose figures were not sent yet as they are.
    async fn news(
        &mut self,
        ids: Vec<ActorId>,
    ) -> Result<Vec<v1::WatchActorSummariesResponse>, Ended> {
        let (role, period, asked) = (self.role, self.period, self.asked.clone());
        let takes_empty = self.named.is_some();
        // It goes along, since the thread of the read is the place to let it grow.
        let mut sent = std::mem::take(&mut self.sent);
        let read = self.reader.read(move |board| {
            let (summaries, watermark) = board.summaries(role, &ids, period)?;
            let news = summaries.iter().filter(|summary| {
                (takes_empty || !summary.counters.is_empty()) && sent.is_news(summary)
            });
            let messages = news.map(|summary| v1::WatchActorSummariesResponse {
                summary: Some(to_message(summary, role, &asked)),
                watermark: watermark.0,
            });
            Ok((messages.collect(), sent))
        });
        let (messages, sent) = read.await.map_err(Ended::Failed)?;
        self.sent = sent;
        Ok(messages)
    }
}

impl Sent {
    /// Remembers `summary` as sent; whether it was not yet.
    fn is_news(&mut self, summary: &Summary) -> bool {
        let place = summary.number as usize;
        if self.0.len() <= place {
            // By an eighth at least, so that growing costs little per actor, and room too.
            let length = (place + 1).max(self.0.len() + self.0.len() / 8);
            self.0.reserve_exact(length - self.0.len());
            self.0.resize(length, None);
        }
        // Two sums in 2^64 are one here.
        let figures = NonZeroU64::new(summary.counters.fingerprint()).or(Some(NonZeroU64::MAX));
        match self.0.get_mut(place) {
            Some(sent) => std::mem::replace(sent, figures) != figures,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::WATCHED_ACTOR_BYTES;
    use crate::summary::Counters;

    #[test]
    fn what_a_watch_remembers_is_what_the_settings_count_with() {
        let mut sent = Sent::default();
        let actors_max = 100_000_u32;
        // As numbers come in the order of ids, and one by one as actors are first met.
        for number in (0..=actors_max / 2).rev().chain(actors_max / 2 + 1..=actors_max) {
            let id = ActorId::parse(Role::IossHolder, &format!("IM528{number:07}")).unwrap();
            let mut counters = Counters::default();
            counters.accepted = 1;
            let mut summary = Summary { id, number, watermark: Watermark(1), counters };
            assert!(sent.is_news(&summary));
            assert!(!sent.is_news(&summary));
            summary.counters.accepted = 2;
            assert!(sent.is_news(&summary));
        }
        let actors = actors_max as usize + 1;
        let held = sent.0.capacity() * size_of_val(&sent.0[..1]) + actors * size_of::<ActorId>();
        assert!(held as u64 <= actors as u64 * WATCHED_ACTOR_BYTES, "{held}");
    }
}
