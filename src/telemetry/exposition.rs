//! All figures in OpenMetrics' text form, each with what it says of itself.
//!
//! Names: `waag_` and what it is; `_total` for what only grows (the encoder adds it), `_seconds` and `_bytes`
//! for units; `process_` where a name is known to all dashboards.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::declarants;
use super::figures::Figures;
use super::histogram::Reading;
use super::process::Process;
use super::recording::Recording;
use crate::summary::Totals;

/// Content type of what [`Exposition::text`] gives.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is told at a scrape.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) recording: Recording,
    pub(super) process: Process,
    /// None before recovery has ended.
    pub(super) figures: Option<Figures>,
    /// None before recovery has ended, and where the summaries cannot be read.
    pub(super) totals: Option<Totals>,
}

impl Exposition {
    /// The text, its end mark included.
    ///
    /// # Errors
    /// Never, as far as is known: the encoder writes to memory.
    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut Out(&mut encoder);
        self.process(out)?;
        self.recording(out)?;
        if let Some(figures) = &self.figures {
            journal(out, figures)?;
            findings(out, figures)?;
            index(out, figures)?;
            bounds(out, figures)?;
        }
        match &self.totals {
            Some(totals) => declarants::encode(out.0, totals),
            None => Ok(()),
        }
    }
}

impl Exposition {
    fn process(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let Process { resident_bytes, open_files, started, uptime } = self.process;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let help = "The program that runs";
        out.0
            .encode_descriptor("waag_build", help, None, MetricType::Info)?
            .encode_info(&version)?;
        let is_recovering = u64::from(self.figures.is_none());
        out.gauge(
            "waag_recovering",
            "1 until all that is on disk is taken up again",
            is_recovering,
        )?;
        out.gauge("waag_uptime_seconds", "Seconds since the server began to start", uptime)?;
        let help = "When the server began to start, in seconds since 1970";
        out.gauge("process_start_time_seconds", help, started)?;
        if let Some(bytes) = resident_bytes {
            out.gauge("process_resident_memory_bytes", "Memory in use, in bytes", bytes)?;
        }
        match open_files {
            Some(files) => out.gauge("process_open_fds", "Open files and connections", files),
            None => Ok(()),
        }
    }

    fn recording(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let recorded = &self.recording;
        let help = "Whether a service is served: what health says of it";
        let serving = recorded.serving.iter().map(|(service, is)| (*service, u64::from(*is)));
        out.gauges("waag_serving", help, "service", serving)?;
        let help = "Batches that were answered";
        out.counter("waag_batches_answered", help, recorded.answered.count())?;
        let help = "Batches that were refused as a whole, by gRPC code";
        out.counters("waag_batches_refused", help, "code", recorded.refused.iter().copied())?;
        let help = "From the arrival of the length of a batch's message to its answer, in seconds";
        out.histogram("waag_batch_answer_seconds", help, &recorded.answered)?;
        let help = "Writing a group of records to the journal, synced, in seconds";
        out.histogram("waag_journal_group_write_seconds", help, &recorded.group_writes)?;
        let help = "Bytes of the records of a group";
        out.histogram("waag_journal_group_bytes", help, &recorded.group_bytes)?;
        out.gauge("waag_connections", "Open connections", recorded.connections)?;
        let help = "Connections that were taken in";
        out.counter("waag_connections_accepted", help, recorded.accepted)?;
        let help = "Connections that were turned away, one too many (connections_max, memory_max)";
        out.counter("waag_connections_turned_away", help, recorded.turned_away)?;
        let help = "Spans of traces that were left out: the collector takes them too slowly";
        out.counter("waag_spans_dropped", help, recorded.spans_dropped)
    }
}

fn journal(out: &mut Out<'_, '_>, figures: &Figures) -> fmt::Result {
    let journal = &figures.journal;
    let help = "The last record that is durable";
    out.gauge("waag_journal_durable_record", help, journal.durable.0)?;
    out.gauge("waag_journal_segments", "Segments of the journal", journal.segments)?;
    let help = "Bytes of the journal on disk, with the segments that stand ready";
    out.gauge("waag_journal_bytes", help, journal.bytes)?;
    let help = "Bytes of the journal that wait to be sealed, in segments that are there";
    out.gauge("waag_journal_unsealed_bytes", help, journal.unsealed_bytes)?;
    let help = "What may wait to be sealed (unsealed_bytes_max)";
    out.gauge("waag_journal_unsealed_bytes_max", help, journal.unsealed_bytes_max)?;
    let help = "The last record that is sealed";
    out.gauge("waag_sealed_record", help, figures.sealed.0)?;
    let behind = journal.durable.0.saturating_sub(figures.sealed.0);
    out.gauge("waag_sealing_lag_records", "Durable records that are not sealed", behind)
}

/// Nothing where findings are switched off.
fn findings(out: &mut Out<'_, '_>, figures: &Figures) -> fmt::Result {
    let Some(findings) = figures.findings else { return Ok(()) };
    let help = "The last record that findings contain";
    out.gauge("waag_findings_record", help, findings.watermark.0)?;
    let help = "1 while findings do not come further: the log says why";
    out.gauge("waag_findings_stalled", help, u64::from(findings.is_stalled))
}

fn index(out: &mut Out<'_, '_>, figures: &Figures) -> fmt::Result {
    let index = &figures.index;
    let help = "Places left in the table that takes what is lodged";
    out.gauge("waag_index_hot_room", help, index.hot_room)?;
    let help = "Places of the table that takes what is lodged";
    out.gauge("waag_index_hot_places", help, index.hot_places)?;
    let help = "Tables that are full and on their way to disk";
    out.gauge("waag_index_frozen", help, index.frozen)?;
    out.gauge("waag_index_runs", "Runs of the index on disk", index.runs)?;
    out.gauge("waag_index_run_entries", "Keys in runs", index.run_entries)?;
    let help = "Bytes of memory for the filters of runs";
    out.gauge("waag_index_loaded_bytes", help, index.loaded_bytes)
}

fn bounds(out: &mut Out<'_, '_>, figures: &Figures) -> fmt::Result {
    out.gauge("waag_batches_in_flight", "Batches in work", figures.batches.now)?;
    let help = "How many batches may be in work (batches_in_flight_max, memory_max)";
    out.gauge("waag_batches_in_flight_max", help, figures.batches.most)?;
    let help = "Bytes of messages in work, with what was found in them";
    out.gauge("waag_bytes_in_flight", help, figures.bytes.now)?;
    let help = "How many bytes of messages may be in work (memory_max)";
    out.gauge("waag_bytes_in_flight_max", help, figures.bytes.most)?;
    let help = "How many connections there may be (connections_max, memory_max)";
    out.gauge("waag_connections_max", help, figures.connections_max)?;
    let help = "Memory that all is sized from (memory_max)";
    out.gauge("waag_memory_max_bytes", help, figures.memory_max)?;
    if let Some(free) = figures.disk_free {
        let help = "Bytes that may still be written to the disk of the data folder";
        out.gauge("waag_disk_free_bytes", help, free)?;
    }
    let help = "What stays free on that disk: lodging stops there (disk_reserve_bytes)";
    out.gauge("waag_disk_reserve_bytes", help, figures.disk_reserve)?;
    let help = "By how much the clock is behind the newest record, in seconds";
    #[allow(clippy::cast_precision_loss, reason = "exact up to 285,000 years")]
    let behind = figures.clock_behind_ms as f64 / 1_000.0;
    out.gauge("waag_clock_behind_seconds", help, behind)
}

/// Writes families of metrics.
struct Out<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Out<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            family.encode_family(&[(label, of)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            let labels = [(label, of)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, read: &Reading) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(read.sum, read.count(), &read.buckets, None)
    }
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
