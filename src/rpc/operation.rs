//! The `Operation` service: what those who keep the server may do from afar.
//!
//! It changes nothing itself: whoever runs the server takes its [orders](Order), as it takes signals. Where
//! no clients are known nobody can be an operator, so there it gives none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Request, Response, Status};

use super::guard::Guard;
use super::health::Served;
use super::reads::with_retry;
use crate::config::Config;
use crate::ingest::engine::Engine;
use crate::proto::server::operation_server::Operation;
use crate::proto::v1;

// What the audit log calls them.
const STATUS: &str = "read server status";
const RELOAD: &str = "reload rules";
const DRAIN: &str = "drain";

/// What an operator wants done.
#[derive(Debug)]
pub enum Order {
    /// Read the rules again, and say what came of it.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Stop.
    Drain,
}

/// The service.
#[derive(Debug)]
pub struct OperationService {
    engine: Arc<Engine>,
    guard: Guard,
    orders: mpsc::Sender<Order>,
    clock_behind_s_max: u64,
    drain_s_max: u64,
    since_ms: i64,
}

impl OperationService {
    /// Over this engine; the orders are for whoever runs the server.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        guard: Guard,
        config: &Config,
    ) -> (Self, mpsc::Receiver<Order>) {
        // One at a time: whoever comes meanwhile is told to come back.
        let (orders, given) = mpsc::channel(1);
        let (clock_behind_s_max, drain_s_max) = (config.clock_behind_s_max, config.drain_s_max);
        let since_ms = engine.clock().now().0;
        (Self { engine, guard, orders, clock_behind_s_max, drain_s_max, since_ms }, given)
    }

    /// Records who gives the order, if that one may; when this returns it is on disk.
    async fn operator<T>(
        &self,
        request: &Request<T>,
        action: &str,
        signal: &str,
    ) -> Result<(), Status> {
        if self.guard.is_open() {
            return Err(Status::permission_denied(format!(
                "this server knows no clients (clients in its settings), so it knows no operator: \
                 send {signal} to its process"
            )));
        }
        let caller = self.guard.caller(request.extensions())?;
        self.guard.reads(&caller, action, String::new(), caller.who().may_operate()).await
    }

    fn order(&self, order: Order) -> Result<(), Status> {
        self.orders.try_send(order).map_err(|_| {
            let told = "another order is being carried out, or the server is stopping";
            with_retry(Code::Unavailable, told.into(), Duration::from_secs(1))
        })
    }

    /// Number and name of the law in force today.
    fn law(&self, today: crate::day::Day) -> (u32, String) {
        let Some(current) = self.engine.laws().current() else { return Default::default() };
        // A law is put in force only if it has rules for its day.
        let name = current.law.on(today).map(|today| today.rule_set_name()).unwrap_or_default();
        (current.number, name)
    }
}

#[tonic::async_trait]
impl Operation for OperationService {
    async fn get_server_status(
        &self,
        request: Request<v1::GetServerStatusRequest>,
    ) -> Result<Response<v1::GetServerStatusResponse>, Status> {
        let caller = self.guard.caller(request.extensions())?;
        // It tells of no actor, so that only refusals are recorded: some ask every few seconds.
        if let Err(denied) = caller.who().may_read_system() {
            return Err(self.guard.denies(&caller, STATUS, "", &denied));
        }
        let served = Served::now(&self.engine, self.clock_behind_s_max).await;
        let of = Arc::clone(&self.engine);
        // It asks the disk.
        let figures = tokio::task::spawn_blocking(move || of.figures()).await;
        let figures = figures.map_err(|_| Status::unavailable("the server is stopping"))?;
        let today = self.engine.calendar().day(self.engine.clock().admit());
        let (law, rule_set) = self.law(today);
        Ok(Response::new(v1::GetServerStatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            serving_since_ms: self.since_ms,
            is_lodging: served.lodging,
            is_reading: served.reading,
            today: today.to_string(),
            law,
            rule_set,
            watermark: self.engine.board().watermark().0,
            disk_free_bytes: figures.disk_free,
            disk_reserve_bytes: figures.disk_reserve,
            findings_watermark: figures.findings.map(|findings| findings.watermark.0),
            findings_stalled: figures.findings.is_some_and(|findings| findings.is_stalled),
        }))
    }

    async fn reload_rules(
        &self,
        request: Request<v1::ReloadRulesRequest>,
    ) -> Result<Response<v1::ReloadRulesResponse>, Status> {
        self.operator(&request, RELOAD, "SIGHUP").await?;
        let (reply, answer) = oneshot::channel();
        self.order(Order::Reload(reply))?;
        let came = answer.await.map_err(|_| Status::unavailable("the server is stopping"))?;
        came.map_err(Status::failed_precondition)?;
        let today = self.engine.calendar().day(self.engine.clock().admit());
        let (law, rule_set) = self.law(today);
        Ok(Response::new(v1::ReloadRulesResponse { law, rule_set }))
    }

    async fn drain(
        &self,
        request: Request<v1::DrainRequest>,
    ) -> Result<Response<v1::DrainResponse>, Status> {
        self.operator(&request, DRAIN, "SIGTERM").await?;
        self.order(Order::Drain)?;
        Ok(Response::new(v1::DrainResponse { drain_s_max: self.drain_s_max }))
    }
}
