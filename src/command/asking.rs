//! What commands that ask a running server have in common.

use std::io::{self, Write};

use clap::Args;

use super::Failure;
use super::connecting::{ConnectArgs, ConnectArgsError};
use crate::client::Connection;
use crate::day::Day;
use crate::proto::v1::compliance_client::ComplianceClient;

/// Where the server is, and how to print.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Where the server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:50051")]
    from: String,
    /// Print protobuf JSON, one message to a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    connection: ConnectArgs,
}

pub(super) type Client = ComplianceClient<Connection>;

impl ServerArgs {
    /// A client of its `Compliance`.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(ComplianceClient::new(self.connect().await?))
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let server = self.connection.server(&self.from).map_err(|error| self.unreached(&error))?;
        let connection = server.connect().await.map_err(ConnectArgsError::from);
        connection.map_err(|error| self.unreached(&error))
    }

    fn unreached(&self, error: &ConnectArgsError) -> Failure {
        format!("--from {}: {}", self.from, super::with_causes(error)).into()
    }

    pub(super) fn failed(&self, status: &tonic::Status) -> Failure {
        let (url, code, told) = (&self.from, status.code(), status.message());
        format!("the server at {url} says {code}: {told}").into()
    }
}

pub(super) fn json(message: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string(message)?)
}

pub(super) fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| format!("{text:?} is no day written as 2027-06-01"))
}
