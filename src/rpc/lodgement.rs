//! `waag.v1.Lodgement`: batches in, verdicts out.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::codec::{AnswerBytes, RequestBytes};
use super::guard::{Caller, Guard};
use super::ledger::{Held, Ledger, Skipped, holding};
use super::status;
use crate::day::Day;
use crate::ingest::answer::{self, Framing};
use crate::ingest::budget::ConnectionBudget;
use crate::ingest::engine::{Answer, Engine, eori};
use crate::ingest::lookup::{Found, LookupError, Place};
use crate::ingest::refusal::{Refusal, RefusalKind};
use crate::proto::server::lodgement_server::Lodgement;
use crate::proto::v1;
use crate::rules::day_law::DayLaw;
use crate::rules::finding::OwnFindings;
use crate::telemetry::{Telemetry, TraceParent};
use crate::wire::normalise::normalise_lrn;
use crate::wire::reader;

/// The service.
#[derive(Debug, Clone)]
pub struct LodgementService {
    engine: Arc<Engine>,
    guard: Guard,
    answer_bytes_max: usize,
    stream_batches_max: usize,
    stopping: watch::Receiver<bool>,
}

impl LodgementService {
    /// Over this engine, for those whom `guard` lets; streams read no further once `stopping` says so.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        guard: Guard,
        answer_bytes_max: usize,
        stream_batches_max: usize,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { engine, guard, answer_bytes_max, stream_batches_max, stopping }
    }

    fn call<T>(&self, request: &Request<T>) -> Result<Call, Status> {
        let caller = self.guard.caller(request.extensions())?;
        let ledger = request.extensions().get::<Ledger>().cloned().unwrap_or_default();
        let traced = self.engine.telemetry().trace_parent(request.metadata().as_ref());
        Ok(Call { caller, ledger, traced })
    }

    /// Hands a message over once it is its turn; the answer is still to come.
    async fn begin(
        &self,
        message: Bytes,
        call: &Call,
        framing: Framing,
    ) -> Result<impl Future<Output = Result<Answer, Refusal>> + Send + use<>, Skipped> {
        let Call { caller, ledger, traced } = call;
        let share = ledger.next()?;
        let turn = match self.guard.lodges(caller, &message) {
            Ok(()) => self.engine.turn(&message, share).await,
            Err(refusal) => Err(refusal),
        };
        match turn {
            Ok(turn) => {
                let trace = self.engine.telemetry().trace(traced, turn.age());
                Ok(self.engine.submit(message, turn, framing, trace))
            }
            Err(refusal) => Err(Skipped { refusal, batch_id: reader::batch_id(&message) }),
        }
    }

    /// Does what may take long, on a thread for that, if no more look-ups are in flight than may be.
    async fn look_up<T: Send + 'static>(
        &self,
        connection: Option<ConnectionBudget>,
        look: impl FnOnce(&Engine, &Place) -> T + Send + 'static,
    ) -> Result<(T, Held), Status> {
        let own = match connection {
            Some(connection) => Some(connection.read_place().await),
            None => None,
        };
        let own = own.transpose().map_err(|refusal| status::of(&refusal))?;
        let place = self.engine.lookups().enter().map_err(|refusal| status::of(&refusal))?;
        let engine = Arc::clone(&self.engine);
        // The place goes along: what has begun goes on, whether the caller stays or not. Then it is
        // kept until the answer has left.
        let looking = tokio::task::spawn_blocking(move || {
            let found = look(&engine, &place);
            (found, Held::new((own, place)))
        });
        looking.await.map_err(|error| Status::internal(error.to_string()))
    }

    /// What was found, once it stands in the audit log who sees it. Where it was asked for by MRN whose it is is
    /// known only now; to a caller who may not see it nothing was found.
    async fn recorded(
        &self,
        caller: &Caller,
        target: String,
        is_allowed: bool,
        found: Result<Option<Found>, LookupError>,
    ) -> Result<Result<Option<Found>, LookupError>, Status> {
        if let Err(LookupError::Invalid { .. }) = &found {
            return Ok(found);
        }
        let declaration = found.as_ref().ok().and_then(Option::as_ref);
        let owner = declaration.and_then(|found| eori(&found.declarant));
        let allowed = match (declaration, owner) {
            _ if is_allowed => Ok(()),
            (None, _) => Ok(()),
            // Of days that are dropped nobody knows whose it was.
            (Some(_), None) => caller.who().may_read_all_declarations(),
            (Some(_), Some(_)) => caller.who().may_read_declaration(owner),
        };
        let target = match owner {
            Some(owner) if !is_allowed => format!("{target} of {}", owner.as_str()),
            _ => target,
        };
        match allowed {
            Ok(()) => self.guard.reads(caller, READ, target, Ok(())).await.map(|()| found),
            Err(denied) => {
                self.guard.hides(caller, READ, target, &denied).await?;
                Ok(Ok(None))
            }
        }
    }

    /// Reads a stream until it ends, breaks, or the server stops.
    async fn read(
        self,
        mut requests: Streaming<RequestBytes>,
        call: Call,
        answers: mpsc::Sender<Pending>,
    ) {
        let mut stopping = self.stopping.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = stopped(&mut stopping) => {
                    let refusal = Refusal::unavailable(
                        "the server is stopping: send what has no answer again, to a running one",
                        1_000,
                    );
                    let _ = answers.send(Box::pin(std::future::ready(Err(status::of(&refusal))))).await;
                    return;
                }
                message = requests.message() => message,
            };
            let message = match message {
                Ok(Some(RequestBytes(message))) => message,
                Ok(None) => return,
                Err(status) => {
                    let _ = answers.send(Box::pin(std::future::ready(Err(status)))).await;
                    return;
                }
            };
            // Room for the answer first: a stream whose answers nobody reads is not read either.
            let Ok(place) = answers.reserve().await else { return };
            let batch_id = reader::batch_id(&message);
            let begun = self.begin(message, &call, Framing::Stream).await;
            let pending: Pending = match begun {
                Ok(answer) => {
                    let (ledger, telemetry) =
                        (call.ledger.clone(), self.engine.telemetry().clone());
                    Box::pin(answered(answer, batch_id, ledger, telemetry))
                }
                Err(Skipped { refusal, batch_id }) => {
                    let refused = refused(&batch_id, &refusal, self.engine.telemetry());
                    Box::pin(std::future::ready(refused))
                }
            };
            place.send(pending);
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender gone is a stop as well.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

/// What all batches of a call have in common.
struct Call {
    caller: Caller,
    /// Where the shares of its messages are.
    ledger: Ledger,
    /// What their traces are parts of.
    traced: TraceParent,
}

/// What the audit log calls reading a declaration.
const READ: &str = "read declaration";

type Pending = Pin<Box<dyn Future<Output = Result<AnswerBytes, Status>> + Send>>;

/// The answer to a batch of a stream, once it is there.
async fn answered(
    answer: impl Future<Output = Result<Answer, Refusal>>,
    batch_id: String,
    ledger: Ledger,
    telemetry: Telemetry,
) -> Result<AnswerBytes, Status> {
    match answer.await {
        Ok(answer) => Ok(AnswerBytes::of(answer, ledger)),
        Err(refusal) => refused(&batch_id, &refusal, &telemetry),
    }
}

fn note_refusal(batch_id: &str, refusal: &Refusal, telemetry: &Telemetry) {
    telemetry.refused(status::code(refusal.kind));
    tracing::info!(batch_id, field = refusal.field, reason = refusal.message, "batch refused");
}

/// A refusal as an item of the stream; only a server that takes nothing any more ends it, from anyone or
/// from this caller.
fn refused(
    batch_id: &str,
    refusal: &Refusal,
    telemetry: &Telemetry,
) -> Result<AnswerBytes, Status> {
    note_refusal(batch_id, refusal, telemetry);
    if matches!(refusal.kind, RefusalKind::Unavailable | RefusalKind::Unknown) {
        return Err(status::of(refusal));
    }
    let code = i32::from(status::code(refusal.kind));
    Ok(AnswerBytes::refusal(answer::write_refusal(
        batch_id,
        code,
        &refusal.message,
        &refusal.field,
        refusal.retry_after_ms,
    )))
}

#[tonic::async_trait]
impl Lodgement for LodgementService {
    async fn submit_batch(
        &self,
        request: Request<RequestBytes>,
    ) -> Result<Response<AnswerBytes>, Status> {
        let call = self.call(&request)?;
        let message = request.into_inner().0;
        let batch_id = reader::batch_id(&message);
        let answer = match self.begin(message, &call, Framing::Unary).await {
            Ok(answer) => answer.await.map_err(|refusal| Skipped { refusal, batch_id }),
            Err(skipped) => Err(skipped),
        };
        match answer {
            Ok(answer) => Ok(Response::new(AnswerBytes::of(answer, call.ledger))),
            Err(Skipped { refusal, batch_id }) => {
                note_refusal(&batch_id, &refusal, self.engine.telemetry());
                Err(status::of(&refusal))
            }
        }
    }

    type SubmitBatchesStream = Pin<Box<dyn Stream<Item = Result<AnswerBytes, Status>> + Send>>;

    async fn submit_batches(
        &self,
        request: Request<Streaming<RequestBytes>>,
    ) -> Result<Response<Self::SubmitBatchesStream>, Status> {
        let (sender, pending) = mpsc::channel(self.stream_batches_max);
        let call = self.call(&request)?;
        tokio::spawn(self.clone().read(request.into_inner(), call, sender));
        let answers = ReceiverStream::new(pending).then(|answer: Pending| answer);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_declaration(
        &self,
        request: Request<v1::GetDeclarationRequest>,
    ) -> Result<Response<v1::GetDeclarationResponse>, Status> {
        use v1::get_declaration_request::Key;
        let (_, mut extensions, request) = request.into_parts();
        let Some(key) = request.key else {
            let message = "neither local_reference nor mrn is set; set one of them";
            return Err(status::invalid("key", message));
        };
        let shown = match &key {
            Key::LocalReference(reference) => format!("{}/{}", reference.declarant, reference.lrn),
            Key::Mrn(mrn) => mrn.clone(),
        };
        let caller = self.guard.caller(&extensions)?;
        let whose = match &key {
            Key::LocalReference(reference) => eori(&reference.declarant),
            Key::Mrn(_) => None,
        };
        let target = match (&key, whose) {
            (Key::LocalReference(reference), Some(eori)) => {
                format!("{}/{}", eori.as_str(), normalise_lrn(&reference.lrn))
            }
            _ => shown.trim().to_owned(),
        };
        if let Err(denied) = caller.who().may_read_declaration(whose) {
            return Err(self.guard.denies(&caller, READ, &target, &denied));
        }
        let look = |engine: &Engine, place: &Place| {
            engine.lookups().ask(place, |lookup| match key {
                Key::LocalReference(reference) => {
                    lookup.by_reference(&reference.declarant, &reference.lrn)
                }
                Key::Mrn(mrn) => lookup.by_mrn(&mrn),
            })
        };
        let (mut found, held) = self.look_up(extensions.remove(), look).await?;
        found = self.recorded(&caller, target, whose.is_some(), found).await?;
        match found {
            Ok(Some(found)) => {
                let message = found_message(found);
                let (bytes, most) = (prost::Message::encoded_len(&message), self.answer_bytes_max);
                if bytes > most {
                    return Err(status::of(&Refusal::exhausted(
                        format!(
                            "the declaration takes {bytes} bytes; an answer may have {most} at most \
                             (answer_bytes_max)"
                        ),
                        0,
                    )));
                }
                Ok(holding(message, held))
            }
            Ok(None) => Err(Status::not_found(format!("no declaration was lodged as {shown:?}"))),
            Err(LookupError::Invalid { field, message }) => Err(status::invalid(field, &message)),
            Err(error @ LookupError::NotDurable) => {
                Err(status::of(&Refusal::unavailable(error.to_string(), 1_000)))
            }
            Err(error @ LookupError::Damaged(_)) => {
                tracing::error!(%error, key = shown, "a stored declaration cannot be read");
                Err(Status::data_loss(error.to_string()))
            }
        }
    }

    async fn list_reasons(
        &self,
        request: Request<v1::ListReasonsRequest>,
    ) -> Result<Response<v1::ListReasonsResponse>, Status> {
        let (_, mut extensions, request) = request.into_parts();
        self.guard.caller(&extensions)?;
        let on = request.on;
        let day = match on.trim() {
            "" => self.engine.calendar().day(self.engine.clock().admit()),
            text => Day::parse(text).ok_or_else(|| {
                let shown = text.get(..text.floor_char_boundary(64)).unwrap_or_default();
                status::invalid(
                    "on",
                    &format!("on {shown:?} is no day of 1970 to 2149 written as 2026-11-22"),
                )
            })?,
        };
        // The first to ask for a day may have its law compiled.
        let look = move |engine: &Engine, _: &Place| {
            let law = engine.laws().current().ok_or_else(|| Status::unavailable("starting"))?;
            let law = law.law.on(day).map_err(|error| status::invalid("on", &error.to_string()))?;
            Ok::<_, Status>(v1::ListReasonsResponse { reasons: reasons(&law) })
        };
        let (reasons, held) = self.look_up(extensions.remove(), look).await?;
        Ok(holding(reasons?, held))
    }
}

/// Every reason of a day's law as the contract shows it.
fn reasons(law: &DayLaw) -> Vec<v1::Reason> {
    law.reasons()
        .map(|(reason, severity, text, legal_basis, element)| v1::Reason {
            reason: reason.name().into(),
            severity: severity as i32,
            text: text.into(),
            legal_basis: legal_basis.into(),
            data_element: element.unwrap_or_default().into(),
        })
        .collect()
}

/// Findings as the contract shows them, at most as many as a verdict has.
fn findings_message(findings: OwnFindings<'_>, law: &DayLaw) -> Vec<v1::Finding> {
    findings
        .list
        .iter()
        .map(|finding| {
            let mut message = String::new();
            law.message(finding, findings.value(finding), &mut message);
            v1::Finding {
                reason: finding.reason.name().into(),
                severity: finding.severity as i32,
                goods_item_number: finding.goods_item.into(),
                data_element: finding.element.number().into(),
                message,
                legal_basis: law.legal_basis(finding.reason).into(),
            }
        })
        .collect()
}

fn found_message(found: Found) -> v1::GetDeclarationResponse {
    let findings = found.findings();
    let omitted = findings.total() - findings.list.len();
    v1::GetDeclarationResponse {
        verdict: Some(v1::Verdict {
            outcome: found.outcome as i32,
            mrn: found.mrn.map(|mrn| mrn.as_str().to_owned()).unwrap_or_default(),
            findings: findings_message(findings, &found.law),
            replay_of: 0,
            findings_omitted: u32::try_from(omitted).unwrap_or(u32::MAX),
            intrinsic_value_eur_cents: found.judgement.intrinsic_value.0,
            duty_eur_cents: found.judgement.duty.0,
        }),
        declarant: found.declarant,
        lrn: found.lrn,
        judged_at_ms: found.judged_at.0,
        rule_set: found.law.rule_set_name(),
        reference_data: found.law.reference_name(),
        declaration: found.declaration,
        personal_data_withheld: found.is_withheld,
    }
}

#[cfg(test)]
#[path = "lodgement_tests.rs"]
mod tests;
