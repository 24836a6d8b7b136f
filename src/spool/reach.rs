//! Whether the service is there: its health is watched over a connection of its own, so that a service that
//! ends is noticed when its connection breaks, and one that drains when it says so.

use std::time::Duration;

use tokio::sync::watch;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::client::{Connection, Server};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);
/// What must be served.
const LODGEMENT: &str = "waag.v1.Lodgement";

/// What is known of the service: a connection, while it takes batches.
#[derive(Debug, Clone)]
pub(super) struct Reach(watch::Receiver<Option<Connection>>);

impl Reach {
    /// Watches `server` from now on; the first look is over when this returns.
    pub(super) async fn of(server: Server) -> Self {
        let (sender, receiver) = watch::channel(None);
        let mut first = receiver.clone();
        tokio::spawn(async move { watch(&server, &sender).await });
        let _ = tokio::time::timeout(AGAIN, first.wait_for(Option::is_some)).await;
        Self(receiver)
    }

    pub(super) fn is_up(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(super) fn connection(&self) -> Option<Connection> {
        self.0.borrow().clone()
    }

    /// Waits until it is there.
    pub(super) async fn up(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn watch(server: &Server, sender: &watch::Sender<Option<Connection>>) {
    let mut last = String::new();
    loop {
        let why = look(server, sender).await;
        let was_up = sender.send_replace(None).is_some();
        if was_up || why != last {
            tracing::warn!(
                service = server.url(),
                why,
                "the service is not reachable: batches are kept"
            );
            last = why;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Follows one connection until it breaks: why it did.
async fn look(server: &Server, sender: &watch::Sender<Option<Connection>>) -> String {
    let connection = match server.connect().await {
        Ok(connection) => connection,
        Err(error) => return crate::command::with_causes(&error),
    };
    let mut client = HealthClient::new(connection.clone());
    let request = HealthCheckRequest { service: LODGEMENT.into() };
    let mut statuses = match client.watch(request).await {
        Ok(statuses) => statuses.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => {
            // It tells nothing of its health: as long as it can be connected to, it is there.
            say(server, sender, Some(connection));
            while server.connect().await.is_ok() {
                tokio::time::sleep(AGAIN).await;
            }
            return "it cannot be connected to".into();
        }
        Err(status) => return format!("{}: {}", status.code(), status.message()),
    };
    loop {
        match statuses.message().await {
            Ok(Some(status)) => {
                let is_serving = status.status() == ServingStatus::Serving;
                say(server, sender, is_serving.then(|| connection.clone()));
            }
            Ok(None) => return "it has ended the connection".into(),
            Err(status) => return format!("{}: {}", status.code(), status.message()),
        }
    }
}

fn say(server: &Server, sender: &watch::Sender<Option<Connection>>, now: Option<Connection>) {
    let is_up = now.is_some();
    let was_up = sender.send_replace(now).is_some();
    match (was_up, is_up) {
        (false, true) => tracing::info!(service = server.url(), "the service is reachable"),
        (true, false) => {
            tracing::warn!(service = server.url(), "the service takes no batches: they are kept");
        }
        _ => {}
    }
}
