//! `waag token`: bearer tokens of the clients in the clients file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::show::Table;
use super::{Failure, output};
use crate::config::Config;
use crate::day::{Calendar, Day, Moment};
use crate::identity::clients::Clients;
use crate::identity::token::{self, Token, TokenError};

/// Make, list and revoke bearer tokens
///
/// A token is shown once, when it is made; what is kept is a hash. A running server takes a change up
/// within seconds.
///
///   waag token add lotusbay --config waag.toml --expires 2027-11-29
///   waag token list --config waag.toml
///   waag token revoke 5b1e0c7a9d3f2e18 --config waag.toml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token for a client, and show it: it is shown nowhere else
    Add {
        /// The client's name in the clients file
        client: String,
        /// The last day on which it counts; it counts until it is revoked if not set
        #[arg(long, value_name = "DAY", value_parser = day)]
        expires: Option<Day>,
        #[command(flatten)]
        folder: TokenFolder,
    },
    /// List tokens, without their secrets
    List {
        #[command(flatten)]
        folder: TokenFolder,
    },
    /// Have a token count no more
    Revoke {
        /// Its id: the part between `waag_` and the secret
        id: String,
        #[command(flatten)]
        folder: TokenFolder,
    },
}

/// Whose tokens.
#[derive(Debug, Args)]
struct TokenFolder {
    /// The server's settings file, which names the clients file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder, if it is not that of the settings; ./waag-data if neither is set
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object on one line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: &'a str,
    client: &'a str,
    made: &'a str,
    expires: Option<&'a str>,
    is_expired: bool,
}

impl<'a> Listed<'a> {
    fn of(token: &'a Token, today: Day) -> Self {
        let Token { id, client, made, expires, .. } = token;
        Self { id, client, made, expires: expires.as_deref(), is_expired: token.is_expired(today) }
    }
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| format!("{text:?} is no day written as 2027-11-29"))
}

impl TokenFolder {
    fn config(&self) -> Result<Config, Failure> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let data_dir = self.data_dir.clone().unwrap_or(config.data_dir);
        Ok(Config { data_dir, ..config })
    }
}

fn today(config: &Config) -> Result<Day, Failure> {
    let calendar = Calendar::new(&config.time_zone)
        .ok_or_else(|| format!("setting time_zone is {}: no zone", config.time_zone))?;
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(calendar.day(Moment(i64::try_from(since_1970.as_millis())?)))
}

/// Does what is asked.
///
/// # Errors
/// Where there is no such client or token, or a file cannot be read or written.
pub fn run(args: &TokenArgs) -> Result<(), Failure> {
    match &args.command {
        TokenCommand::Add { client, expires, folder } => add(client, *expires, folder),
        TokenCommand::List { folder } => list(folder),
        TokenCommand::Revoke { id, folder } => revoke(id, folder),
    }
}

fn add(client: &str, expires: Option<Day>, folder: &TokenFolder) -> Result<(), Failure> {
    let config = folder.config()?;
    let path = config.clients.as_deref().ok_or(
        "the settings name no clients file: set clients = \"FILE\" in those that --config gives",
    )?;
    let clients = Clients::read(path)?;
    let known = clients.named(client).ok_or_else(|| {
        format!("{} has no client {client:?}: add it there first", path.display())
    })?;
    let today = today(&config)?;
    if let Some(expires) = expires.filter(|expires| *expires < today) {
        return Err(format!("--expires {expires} is over: today is {today}").into());
    }
    let file = token::path_in(&config.data_dir);
    let (token, text) = Token::make(client, today, expires)?;
    let id = token.id.clone();
    token::change(&file, |tokens| {
        tokens.push(token);
        Ok::<_, TokenError>(())
    })?;
    output(|out| {
        if folder.json {
            let shown = serde_json::json!({ "id": id, "client": client, "token": text });
            return writeln!(out, "{shown}");
        }
        writeln!(out, "{text}")
    })?;
    tracing::info!(
        id,
        client,
        role = known.roles_and_eoris(),
        "token made: keep what is printed, it is shown nowhere else"
    );
    Ok(())
}

fn list(folder: &TokenFolder) -> Result<(), Failure> {
    let config = folder.config()?;
    let today = today(&config)?;
    let tokens = token::read(&token::path_in(&config.data_dir))?;
    let listed: Vec<_> = tokens.iter().map(|token| Listed::of(token, today)).collect();
    output(|mut out| {
        if folder.json {
            return writeln!(out, "{}", serde_json::json!({ "tokens": listed }));
        }
        let mut table = Table::new(&["<Id", "<Client", "<Made", "<Counts until"]);
        for token in &listed {
            let over = if token.is_expired { " (over)" } else { "" };
            let until = token.expires.map_or("it is revoked".into(), |day| format!("{day}{over}"));
            table.row(vec![token.id.into(), token.client.into(), token.made.into(), until]);
        }
        table.write(&mut out)
    })
}

fn revoke(id: &str, folder: &TokenFolder) -> Result<(), Failure> {
    let config = folder.config()?;
    let file = token::path_in(&config.data_dir);
    let gone = token::change(&file, |tokens| {
        let place = tokens.iter().position(|token| token.id == id);
        let place =
            place.ok_or_else(|| format!("there is no token {id:?}: see waag token list"))?;
        Ok::<_, Failure>(tokens.remove(place))
    })?;
    output(|out| {
        if folder.json {
            return writeln!(
                out,
                "{}",
                serde_json::json!({ "revoked": id, "client": gone.client })
            );
        }
        writeln!(out, "token {id} of {} counts no more", gone.client)
    })
}
