//! What stands before each call: who it comes from, whether that one may do it, and the audit log.
//!
//! Health is open to all, since those who watch over servers have no identity. Everything else needs one
//! where there is a clients file. The [layer](GuardLayer) finds out who calls before any of a message is read;
//! each service asks [`Guard`] for what it is about to do.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Layer, Service};

use super::connection::Peer;
use super::status;
use super::traffic::CallBody;
use crate::audit::log::Log;
use crate::audit::{Event, UNKNOWN};
use crate::day::Day;
use crate::identity::register::Register;
use crate::identity::subject::Certificate;
use crate::identity::{Denied, Who};
use crate::ingest::budget::Client;
use crate::ingest::engine::{Engine, declarant};
use crate::ingest::refusal::{Refusal, RefusalKind};

/// The call that anyone may make. To watch over health takes an identity: a watch holds a place.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Who makes a call, and where from.
#[derive(Debug, Clone)]
pub struct Caller {
    who: Who,
    from: Option<SocketAddr>,
}

impl Caller {
    /// Who.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }
}

/// Asked before anything is done for a caller. Clones share it.
#[derive(Debug, Clone)]
pub struct Guard(Option<Arc<Post>>);

#[derive(Debug)]
struct Post {
    register: Register,
    audit: Log,
    engine: Arc<Engine>,
}

impl Guard {
    /// Lets anyone do everything, and records nothing.
    #[must_use]
    pub fn open() -> Self {
        Self(None)
    }

    /// Lets those of `register` do what they may, by the engine's calendar.
    #[must_use]
    pub fn of(register: Register, audit: Log, engine: Arc<Engine>) -> Self {
        if register.is_open() {
            Self::open()
        } else {
            Self(Some(Arc::new(Post { register, audit, engine })))
        }
    }

    /// Whether anyone may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// Who makes a call with these extensions, as it is known now.
    ///
    /// # Errors
    /// UNAUTHENTICATED where it is not known, or not any more.
    pub fn caller(&self, extensions: &http::Extensions) -> Result<Caller, Status> {
        let nobody = Caller { who: Who::Anyone, from: None };
        let caller = extensions.get::<Caller>().cloned().unwrap_or(nobody);
        self.still(&caller)
    }

    /// Who asks from `from` over plain HTTP, by the token among `headers`.
    ///
    /// # Errors
    /// UNAUTHENTICATED where it is not known, which is recorded soon.
    pub(crate) async fn http_caller(
        &self,
        from: SocketAddr,
        headers: &http::HeaderMap,
    ) -> Result<Caller, Status> {
        match &self.0 {
            None => Ok(Caller { who: Who::Anyone, from: Some(from) }),
            Some(post) => post.identify(Some(from), None, headers).await,
        }
    }

    /// The same caller as it is known now.
    ///
    /// # Errors
    /// UNAUTHENTICATED where it is not known any more.
    pub fn still(&self, caller: &Caller) -> Result<Caller, Status> {
        let Some(post) = &self.0 else { return Ok(caller.clone()) };
        let who =
            post.register.still(&caller.who, post.today()).map_err(|denied| status_of(&denied))?;
        Ok(Caller { who, from: caller.from })
    }

    /// Whether `caller` may lodge now for whom the batch in `message` names.
    ///
    /// # Errors
    /// The refusal of the batch, of which nothing is read further.
    pub fn lodges(&self, caller: &Caller, message: &[u8]) -> Result<(), Refusal> {
        let Some(post) = &self.0 else { return Ok(()) };
        let declarant = declarant(message);
        let allowed =
            post.register.still(&caller.who, post.today()).and_then(|who| who.may_lodge(declarant));
        let Err(denied) = allowed else { return Ok(()) };
        let target = declarant.map_or(String::new(), |eori| eori.as_str().to_owned());
        post.refused(caller, "lodge", &target, &denied);
        let kind = match denied {
            Denied::NotAllowed(_) => RefusalKind::Denied,
            _ => RefusalKind::Unknown,
        };
        let field = if kind == RefusalKind::Denied { "declarant" } else { "" };
        Err(Refusal { kind, field: field.into(), message: denied.to_string(), retry_after_ms: 0 })
    }

    /// Records that `caller` does `action` to `target`, if that is `allowed`; when this returns it is on disk.
    ///
    /// # Errors
    /// PERMISSION_DENIED where it is not allowed; UNAVAILABLE where it cannot be recorded.
    pub async fn reads(
        &self,
        caller: &Caller,
        action: &str,
        target: String,
        allowed: Result<(), Denied>,
    ) -> Result<(), Status> {
        let Some(post) = &self.0 else { return Ok(()) };
        match allowed {
            Ok(()) => post.record(event(caller, action, target)).await,
            Err(denied) => Err(self.denies(caller, action, &target, &denied)),
        }
    }

    /// The status for what `caller` may not do, which is recorded soon.
    #[must_use]
    pub fn denies(&self, caller: &Caller, action: &str, target: &str, denied: &Denied) -> Status {
        if let Some(post) = &self.0 {
            post.refused(caller, action, target, denied);
        }
        status_of(denied)
    }

    /// Records that `caller` asked for what it may not know to be there. It takes as long as a read that finds
    /// nothing, and fails where that would.
    ///
    /// # Errors
    /// UNAVAILABLE where it cannot be recorded.
    pub async fn hides(
        &self,
        caller: &Caller,
        action: &str,
        target: String,
        denied: &Denied,
    ) -> Result<(), Status> {
        let Some(post) = &self.0 else { return Ok(()) };
        let denied = denied.to_string();
        post.record(Event { denied, ..event(caller, action, target) }).await
    }
}

impl Post {
    fn today(&self) -> Day {
        self.engine.calendar().day(self.engine.clock().admit())
    }

    fn refused(&self, caller: &Caller, action: &str, target: &str, denied: &Denied) {
        let why = denied.to_string();
        if self.audit.refused(Event { denied: why, ..event(caller, action, target.to_owned()) }) {
            tracing::info!(who = caller.who.name(), action, target, why = %denied, "refused");
        }
    }

    async fn record(&self, event: Event) -> Result<(), Status> {
        let recorded = self.audit.record(event).await;
        recorded.map_err(|error| status::of(&Refusal::unavailable(error.to_string(), 1_000)))
    }

    async fn identify(
        &self,
        from: Option<SocketAddr>,
        certificate: Option<&Arc<Certificate>>,
        headers: &http::HeaderMap,
    ) -> Result<Caller, Status> {
        let mut given = headers.get_all(AUTHORIZATION).iter().map(http::HeaderValue::as_bytes);
        let (authorization, another) = (given.next(), given.next());
        let found = match another {
            Some(_) => Err(Denied::Unknown("the call has two authorizations: send one".into())),
            None => self.register.who(certificate, authorization, self.today()).await,
        };
        match found {
            Ok(who) => Ok(Caller { who, from }),
            Err(denied) => {
                let nobody = Caller { who: Who::Anyone, from };
                let shown = certificate.map(|it| format!("certificate {}", it.subject));
                let event = Event {
                    who: UNKNOWN.into(),
                    shown: shown.unwrap_or_default(),
                    denied: denied.to_string(),
                    ..event(&nobody, "call", String::new())
                };
                let from = event.from.clone();
                if self.audit.refused(event) {
                    tracing::info!(from, why = %denied, "not known");
                }
                Err(status_of(&denied))
            }
        }
    }
}

fn event(caller: &Caller, action: &str, target: String) -> Event {
    let shown = match &caller.who {
        Who::Anyone => String::new(),
        Who::Client(_, shown) => shown.to_string(),
    };
    Event {
        who: caller.who.name().into(),
        shown,
        from: caller.from.map(|from| from.to_string()).unwrap_or_default(),
        action: action.into(),
        target,
        denied: String::new(),
    }
}

/// A denial as a gRPC status.
pub(super) fn status_of(denied: &Denied) -> Status {
    match denied {
        Denied::Unknown(told) => Status::unauthenticated(told),
        Denied::NotAllowed(told) => Status::permission_denied(told),
        Denied::Busy(told) => {
            let retry = ErrorDetails::with_retry_info(Some(Duration::from_secs(1)));
            Status::with_error_details(Code::ResourceExhausted, told, retry)
        }
    }
}

/// Puts the [`Caller`] into each request, and what its connection may have in work; refuses those of nobody
/// known.
#[derive(Debug, Clone)]
pub struct GuardLayer(pub Guard);

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: self.0.clone() }
    }
}

/// What is said of a request that is no call of gRPC. A page on another site can have a browser send one, with the
/// certificate that it was given for this server; but none with the content type of gRPC, without asking first.
fn is_no_call<B>(request: &http::Request<B>) -> Option<http::StatusCode> {
    if request.method() != http::Method::POST {
        return Some(http::StatusCode::METHOD_NOT_ALLOWED);
    }
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    (!is_grpc).then_some(http::StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

/// See [`GuardLayer`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    guard: Guard,
}

type HttpBody = tonic::body::Body;

impl<S> Service<http::Request<HttpBody>> for Guarded<S>
where
    S: Service<http::Request<HttpBody>, Response = http::Response<HttpBody>>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<HttpBody>) -> Self::Future {
        if let Some(status) = is_no_call(&request) {
            let mut answer = http::Response::new(HttpBody::empty());
            *answer.status_mut() = status;
            return Box::pin(async move { Ok(answer) });
        }
        let peer = request.extensions_mut().remove::<Peer>();
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.budget.clone());
        }
        let call = peer.as_ref().map(|peer| peer.traffic.call_begins());
        let until_it_ends = |answer: http::Response<HttpBody>| match call {
            Some(call) => answer.map(|body| HttpBody::new(CallBody::of(body, call))),
            None => answer,
        };
        let is_open_to_all = request.uri().path() == HEALTH;
        let Some(post) = self.guard.0.clone().filter(|_| !is_open_to_all) else {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(until_it_ends(answer.await?)) });
        };
        // The one that is ready is this one.
        let other = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, other);
        Box::pin(async move {
            let from = peer.as_ref().map(|peer| peer.address);
            let certificate = peer.as_ref().and_then(|peer| peer.certificate.as_ref());
            match post.identify(from, certificate, request.headers()).await {
                Ok(caller) => {
                    if let Some(peer) = &peer {
                        peer.is_known.store(true, Ordering::Relaxed);
                    }
                    if let (Some(peer), Who::Client(..)) = (&peer, caller.who()) {
                        let client = Client::Named(caller.who().name().into());
                        request.extensions_mut().insert(peer.budget.of(client));
                    }
                    request.extensions_mut().insert(caller);
                    Ok(until_it_ends(inner.call(request).await?))
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_page_elsewhere_can_have_sent_is_no_call() {
        let of = |method, kind: Option<&str>| {
            let request = http::Request::builder().method(method);
            let request = match kind {
                Some(kind) => request.header(http::header::CONTENT_TYPE, kind),
                None => request,
            };
            is_no_call(&request.body(()).unwrap()).map(|status| status.as_u16())
        };
        for kind in ["application/grpc", "application/grpc+proto"] {
            assert_eq!(of(http::Method::POST, Some(kind)), None, "{kind}");
        }
        for kind in ["text/plain", "application/json", "application/x-www-form-urlencoded"] {
            assert_eq!(of(http::Method::POST, Some(kind)), Some(415), "{kind}");
        }
        assert_eq!(of(http::Method::POST, None), Some(415));
        assert_eq!(of(http::Method::GET, Some("application/grpc")), Some(405));
    }
}
