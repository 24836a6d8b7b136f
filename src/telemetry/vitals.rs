//! How the server does, as JSON, for the page: the figures of a scrape that a person looks at.
//!
//! Counts that only grow come as they are; whoever asks again sees from two answers how fast they grow.

use serde_json::{Value, json};

use super::exposition::Exposition;
use super::figures::Figures;
use super::histogram::Reading;
use crate::summary::{Counters, Totals};

impl Exposition {
    /// The figures by name; those of the engine are null before recovery has ended.
    pub(super) fn json(&self) -> Value {
        let recorded = &self.recording;
        let refused: Vec<_> = recorded
            .refused
            .iter()
            .map(|(code, batches)| json!({ "code": code, "batches": batches }))
            .collect();
        let serving: Vec<_> = recorded
            .serving
            .iter()
            .map(|(service, is)| json!({ "service": service, "isServing": is }))
            .collect();
        json!({
            "isRecovering": self.figures.is_none(),
            "uptimeSeconds": self.process.uptime,
            "residentBytes": self.process.resident_bytes,
            "openFiles": self.process.open_files,
            "serving": serving,
            "batches": { "answered": recorded.answered.count(), "refused": refused },
            "answerSeconds": histogram(&recorded.answered),
            "groupWriteSeconds": histogram(&recorded.group_writes),
            "connections": { "now": recorded.connections, "turnedAway": recorded.turned_away },
            "engine": self.figures.as_ref().map(engine),
            "declared": self.totals.as_ref().map(declared),
        })
    }
}

/// Sum and count, and how many values there are up to each bound and above the one before.
fn histogram(reading: &Reading) -> Value {
    let buckets: Vec<_> = reading
        .buckets
        .iter()
        // JSON has no infinity: what is above all bounds has none.
        .map(|(bound, count)| json!([bound.is_finite().then_some(bound), count]))
        .collect();
    json!({ "sum": reading.sum, "count": reading.count(), "buckets": buckets })
}

fn engine(figures: &Figures) -> Value {
    let Figures { journal, index, batches, bytes, .. } = figures;
    json!({
        "durableRecord": journal.durable.0,
        "sealedRecord": figures.sealed.0,
        "segments": journal.segments,
        "journalBytes": journal.bytes,
        "unsealedBytes": journal.unsealed_bytes,
        "unsealedBytesMax": journal.unsealed_bytes_max,
        "indexRoom": index.hot_room,
        "indexPlaces": index.hot_places,
        "indexRuns": index.runs,
        "indexRunEntries": index.run_entries,
        "indexLoadedBytes": index.loaded_bytes,
        "batchesInWork": batches.now,
        "batchesInWorkMax": batches.most,
        "bytesInWork": bytes.now,
        "bytesInWorkMax": bytes.most,
        "memoryMax": figures.memory_max,
        "connectionsMax": figures.connections_max,
        "diskFree": figures.disk_free,
        "diskReserve": figures.disk_reserve,
        "clockBehindMs": figures.clock_behind_ms,
    })
}

/// All declarants together.
fn declared(totals: &Totals) -> Value {
    let sum = |of: fn(&Counters) -> u64| {
        totals.actors.iter().map(|(_, counters)| of(counters)).fold(0, u64::saturating_add)
    };
    json!({
        "watermark": totals.watermark.0,
        "declarants": totals.known,
        "accepted": sum(|c| c.accepted),
        "rejected": sum(|c| c.rejected),
        "replayed": sum(|c| c.replayed),
        "conflicts": sum(|c| c.conflicts),
        "judgedLines": sum(Counters::judged_lines),
        "acceptedLines": sum(|c| c.accepted_lines),
        "intrinsicValueEurCents": sum(|c| c.intrinsic_value),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use std::time::Duration;

    use crate::telemetry::{Scrape, Telemetry};

    #[test]
    fn what_is_recorded_is_told() {
        let telemetry = Telemetry::default();
        telemetry.answered(Duration::from_millis(3));
        telemetry.refused(tonic::Code::Unavailable);
        let told = Scrape::new(telemetry, 10).json();
        assert_eq!(told["batches"]["answered"], 1);
        assert_eq!((&told["isRecovering"], &told["engine"]), (&true.into(), &().into()));
        let buckets = told["answerSeconds"]["buckets"].as_array().cloned().unwrap_or_default();
        assert!(buckets.contains(&serde_json::json!([0.005, 1])), "{buckets:?}");
        assert!(buckets.last().is_some_and(|last| last[0].is_null()), "{buckets:?}");
        let refused = told["batches"]["refused"].as_array().cloned().unwrap_or_default();
        assert!(refused.contains(&serde_json::json!({ "code": "UNAVAILABLE", "batches": 1 })));
    }
}
