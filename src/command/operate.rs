//! `waag operate`: what an operator does with a running server from afar.

use std::io::Write;

use clap::{Args, Subcommand};

use super::asking::{ServerArgs, json};
use super::show::thousands;
use super::{Failure, output, runtime};
use crate::client::Connection;
use crate::day::{Calendar, Moment};
use crate::proto::v1::operation_client::OperationClient;
use crate::proto::v1::{DrainRequest, GetServerStatusRequest, ReloadRulesRequest};

/// Look at a running server, have it read its rules again, stop it
///
/// On a server that knows its clients this takes one with the role operator; what it changes is in the audit log.
/// One that knows none tells its status only, and is managed by signals.
///
///   waag operate status
///   waag operate reload --authority ca.pem --token-file operator.token
///   waag operate drain  --authority ca.pem --token-file operator.token
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct OperateArgs {
    #[command(subcommand)]
    command: OperateCommand,
}

#[derive(Debug, Subcommand)]
enum OperateCommand {
    /// How the server does
    Status(ServerArgs),
    /// Read the rule files again, all of them or none; as SIGHUP
    Reload(ServerArgs),
    /// Take nothing new, finish what is in work, and end; as SIGTERM
    Drain(ServerArgs),
}

type Client = OperationClient<Connection>;

async fn client(server: &ServerArgs) -> Result<Client, Failure> {
    Ok(OperationClient::new(server.connect().await?))
}

fn tell<T: serde::Serialize>(
    server: &ServerArgs,
    answer: Result<tonic::Response<T>, tonic::Status>,
    write: impl FnOnce(&T, &mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let answer = answer.map_err(|status| server.failed(&status))?.into_inner();
    output(|out| if server.json { json(&answer, out) } else { write(&answer, out) })
}

/// Does what is asked.
///
/// # Errors
/// No server, a call that is refused, standard output that cannot be written.
pub fn run(args: &OperateArgs) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match &args.command {
            OperateCommand::Status(server) => status(server).await,
            OperateCommand::Reload(server) => {
                let answer = client(server).await?.reload_rules(ReloadRulesRequest {}).await;
                tell(server, answer, |answer, out| {
                    writeln!(out, "law {} is in force: {}", answer.law, answer.rule_set)
                })
            }
            OperateCommand::Drain(server) => {
                let answer = client(server).await?.drain(DrainRequest {}).await;
                tell(server, answer, |answer, out| {
                    writeln!(out, "draining, for {} s at most", answer.drain_s_max)
                })
            }
        }
    })
}

async fn status(server: &ServerArgs) -> Result<(), Failure> {
    let answer = client(server).await?.get_server_status(GetServerStatusRequest {}).await;
    tell(server, answer, |status, out| {
        let yes_no = |is_so| if is_so { "yes" } else { "NO" };
        let utc = Calendar::new("UTC").map(|utc| utc.show(Moment(status.serving_since_ms)));
        writeln!(out, "version     {}", status.version)?;
        writeln!(out, "serving     since {}", utc.unwrap_or_default())?;
        writeln!(out, "lodging     {}", yes_no(status.is_lodging))?;
        writeln!(out, "reading     {}", yes_no(status.is_reading))?;
        writeln!(out, "today       {}", status.today)?;
        writeln!(out, "rules       law {}, {}", status.law, status.rule_set)?;
        writeln!(out, "watermark   {}", thousands(status.watermark))?;
        let free = status.disk_free_bytes.map_or_else(|| "not known".into(), thousands);
        let reserve = thousands(status.disk_reserve_bytes);
        writeln!(out, "disk free   {free} bytes; lodging stops at {reserve}")?;
        let found = match status.findings_watermark {
            None => "switched off".into(),
            Some(watermark) => format!("of {} records", thousands(watermark)),
        };
        let stalled =
            if status.findings_stalled { "; they do not come further: see the log" } else { "" };
        writeln!(out, "findings    {found}{stalled}")
    })
}
