//! Traces of some batches over OTLP: how long each was where. One of `one_in` batches is traced, and a trace
//! that does not fit into what waits to be sent is left out, told once and counted: nothing here ever holds up a
//! batch.
//!
//! ```text
//! SubmitBatch ── wait ─ judge ─ claim ─ commit ─ answer
//! ```
//! A trace begins where the length of the batch's message has arrived, under the span that the caller's
//! `traceparent` names, and ends when its answer is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter, SpanProcessor,
};

use crate::config::TracesConfig;

/// Spans that wait to be sent; with six for each batch these are some 340 batches.
const SPANS_MAX: usize = 2_048;
/// How long one sending may take, and the last one at the end.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its message arrives, and it waits for its turn and for a worker.
    Wait,
    /// It is read and judged.
    Judge,
    /// It takes room in the journal, and its keys.
    Claim,
    /// It gets its place and is made durable.
    Commit,
    /// Its answer is made.
    Answer,
}

impl Stage {
    /// In their order.
    const ALL: [Self; 5] = [Self::Wait, Self::Judge, Self::Claim, Self::Commit, Self::Answer];

    fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Judge => "judge",
            Self::Claim => "claim",
            Self::Commit => "commit",
            Self::Answer => "answer",
        }
    }
}

/// Where traces are sent, and of which batches.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    one_in: u64,
    batches: AtomicU64,
    waiting: Arc<Waiting>,
}

/// Spans that wait to be sent, and those that did not fit.
#[derive(Debug, Default)]
struct Waiting {
    now: AtomicU64,
    dropped: AtomicU64,
}

/// Traces cannot be sent there.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint is {endpoint:?}: {reason}")]
pub struct TracesError {
    endpoint: String,
    reason: String,
}

impl Traces {
    /// Needs the runtime that sends them around it.
    pub(super) fn to(config: &TracesConfig) -> Result<Self, TracesError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.endpoint)
            .with_timeout(SEND_WITHIN)
            .build()
            .map_err(|error| TracesError {
                endpoint: config.endpoint.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self::through(exporter, u64::from(config.one_in.get())))
    }

    fn through(exporter: impl SpanExporter + 'static, one_in: u64) -> Self {
        let waiting = Arc::<Waiting>::default();
        let (fails, of) = (AtomicBool::new(false), Arc::clone(&waiting));
        let exporter = Telling { inner: exporter, fails, waiting: of };
        let queue = BatchConfigBuilder::default().with_max_queue_size(SPANS_MAX).build();
        let sending = BatchSpanProcessor::builder(exporter).with_batch_config(queue).build();
        let sending = Bounded { inner: sending, waiting: Arc::clone(&waiting) };
        let resource = Resource::builder_empty()
            .with_service_name("waag")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            // Which batches are traced is decided here, not by who sends them.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_span_processor(sending)
            .build();
        let tracer = provider.tracer("waag");
        Self { provider, tracer, one_in, batches: AtomicU64::new(0), waiting }
    }

    /// Spans that were left out since too many waited to be sent.
    pub(super) fn dropped(&self) -> u64 {
        self.waiting.dropped.load(Ordering::Relaxed)
    }

    /// The trace of the next batch, if it is its turn, which came `age` ago.
    pub(super) fn next(
        self: &Arc<Self>,
        caller: &TraceParent,
        age: Duration,
    ) -> Option<Box<Trace>> {
        let number = self.batches.fetch_add(1, Ordering::Relaxed);
        number.is_multiple_of(self.one_in).then(|| {
            let (now, instant) = (SystemTime::now(), Instant::now());
            Box::new(Trace {
                traces: Arc::clone(self),
                parent: caller.0.clone(),
                began: now.checked_sub(age).unwrap_or(now),
                began_at: instant.checked_sub(age).unwrap_or(instant),
                ended: Vec::with_capacity(5),
            })
        })
    }

    /// Sends what waits to be sent, within [`SEND_WITHIN`].
    pub(super) fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SEND_WITHIN) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The span under which a caller makes its call, where it says so (W3C Trace Context).
#[derive(Debug, Clone, Default)]
pub struct TraceParent(Context);

impl TraceParent {
    /// Of the call with these headers.
    #[must_use]
    pub fn of(headers: &http::HeaderMap) -> Self {
        struct Headers<'a>(&'a http::HeaderMap);
        impl Extractor for Headers<'_> {
            fn get(&self, key: &str) -> Option<&str> {
                self.0.get(key).and_then(|value| value.to_str().ok())
            }

            fn keys(&self) -> Vec<&str> {
                self.0.keys().map(http::HeaderName::as_str).collect()
            }
        }
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let span = parent.span().span_context().clone();
        if !span.is_valid() {
            return Self::default();
        }
        // Its state is what the caller likes, up to all that headers may have, and would stand in every span.
        let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
        let span = SpanContext::new(trace, id, flags, true, TraceState::default());
        Self(Context::new().with_remote_span_context(span))
    }
}

/// The trace of one batch.
#[derive(Debug)]
pub struct Trace {
    traces: Arc<Traces>,
    parent: Context,
    began: SystemTime,
    began_at: Instant,
    ended: Vec<(Stage, Instant)>,
}

/// What is told of a batch that was traced.
#[derive(Debug)]
pub struct Traced<'a> {
    /// Its name.
    pub batch_id: &'a str,
    /// Who lodged it.
    pub declarant: &'a str,
    /// Declarations in it.
    pub declarations: usize,
    /// Its place in the journal.
    pub watermark: u64,
}

impl Trace {
    /// A stage ends, and the next begins.
    pub fn ends(&mut self, stage: Stage) {
        self.ended.push((stage, Instant::now()));
    }

    /// The answer is made.
    pub fn answered(self, batch: &Traced<'_>) {
        let Traced { batch_id, declarant, declarations, watermark } = *batch;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let attributes = [
            KeyValue::new("waag.batch_id", batch_id.to_owned()),
            KeyValue::new("waag.declarant", declarant.to_owned()),
            KeyValue::new("waag.declarations", number(declarations as u64)),
            KeyValue::new("waag.watermark", number(watermark)),
        ];
        self.send(attributes, Status::Unset);
    }

    /// It was refused, for this reason, at the stage that has not ended.
    pub fn refused(mut self, reason: &str) {
        if let Some(stage) = Stage::ALL.get(self.ended.len()) {
            self.ends(*stage);
        }
        self.send([], Status::error(reason.to_owned()));
    }

    fn send(self, attributes: impl IntoIterator<Item = KeyValue>, status: Status) {
        let Self { traces, parent, began, began_at, ended } = self;
        let at = |instant: Instant| began + instant.saturating_duration_since(began_at);
        let attributes: Vec<KeyValue> = attributes.into_iter().collect();
        let whole = SpanBuilder::from_name("SubmitBatch")
            .with_kind(SpanKind::Server)
            .with_start_time(began)
            .with_attributes(attributes);
        let mut whole = traces.tracer.build_with_context(whole, &parent);
        whole.set_status(status);
        let context = whole.span_context().clone();
        let mut from = began;
        for (stage, until) in ended {
            let until = at(until);
            traces.part(stage, context.clone(), from, until);
            from = until;
        }
        whole.end_with_timestamp(from.max(began));
    }
}

impl Traces {
    fn part(&self, stage: Stage, of: SpanContext, from: SystemTime, until: SystemTime) {
        let part = SpanBuilder::from_name(stage.name()).with_start_time(from);
        let of = Context::new().with_remote_span_context(of);
        self.tracer.build_with_context(part, &of).end_with_timestamp(until);
    }
}

/// Lets so many spans wait as there is room for, those that are being sent among them. What is behind it would
/// leave out more of them, and tell nobody.
#[derive(Debug)]
struct Bounded<P> {
    inner: P,
    waiting: Arc<Waiting>,
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut opentelemetry_sdk::trace::Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let Waiting { now, dropped } = &*self.waiting;
        let fits = |waiting| (waiting < SPANS_MAX as u64).then_some(waiting + 1);
        if now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok() {
            self.inner.on_end(span);
        } else if dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                waiting = SPANS_MAX,
                "the collector takes traces too slowly: those that do not fit are left out \
                 (waag_spans_dropped_total counts them; a larger traces.one_in makes fewer)"
            );
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Says in the log when traces cannot be sent, and when they can again.
#[derive(Debug)]
struct Telling<E> {
    inner: E,
    fails: AtomicBool,
    waiting: Arc<Waiting>,
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.inner.export(batch).await;
        self.waiting.now.fetch_sub(spans, Ordering::Relaxed);
        match &sent {
            Ok(()) if self.fails.swap(false, Ordering::Relaxed) => {
                tracing::info!("traces are sent again");
            }
            Err(error) if !self.fails.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "traces cannot be sent, and are lost until they can");
            }
            Ok(()) | Err(_) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends nothing before it is let go on.
    #[derive(Debug)]
    struct Held(crossbeam::channel::Receiver<()>, Arc<AtomicU64>);

    impl SpanExporter for Held {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            // The sending end has gone once it may go on.
            let _ = self.0.recv();
            self.1.fetch_add(batch.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn what_a_slow_collector_leaves_waiting_is_bounded_and_the_rest_counted() {
        let (holds, held) = crossbeam::channel::bounded(0);
        let sent = Arc::<AtomicU64>::default();
        let traces = Arc::new(Traces::through(Held(held, Arc::clone(&sent)), 1));
        // Each has two spans: the whole, and one stage.
        for _ in 0..2_000 {
            let trace = traces.next(&TraceParent::default(), Duration::ZERO);
            trace.into_iter().for_each(|trace| trace.refused("a test"));
        }
        assert_eq!(traces.dropped(), 4_000 - SPANS_MAX as u64);
        drop(holds);
        traces.end();
        assert_eq!(sent.load(Ordering::Relaxed), SPANS_MAX as u64, "none was lost uncounted");
        assert_eq!(traces.waiting.now.load(Ordering::Relaxed), 0);
    }
}
