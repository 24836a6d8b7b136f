//! `waag profile`: risk profiles, on a running server.

mod conditions;
mod shown;

use std::io::{IsTerminal as _, Write};

use clap::{Args, Subcommand, ValueEnum};

use self::conditions::ConditionArgs;
use self::shown::{write_hits, write_list, write_profile, write_trial};
use super::asking::{ServerArgs, day, json};
use super::summary::period;
use super::{Failure, output, runtime};
use crate::day::Day;
use crate::proto::v1::try_profile_response::Told;
use crate::proto::v1::{
    ListProfileHitsRequest, ListProfilesRequest, Period, Profile, ProfileState, ProfileTerms,
    ProfileTrial, RecordProfileRequest, TryProfileRequest, WithdrawProfileRequest,
};

/// Try, record, list, show and withdraw risk profiles, and read what they hit
///
/// A profile is an analyst's own dated rule. It is matched with what is sealed from its first day on, off the path of
/// any answer, and never changes a verdict. Try it on the past first.
///
///   waag profile try --hs 8507 --origin CN --description '\bpower ?banks?\b' --period 2026-11-01..2026-11-30
///   waag profile record --name "Power banks" --purpose "Product safety" --owner "Team e-commerce" --hs 8507
///   waag profile hits P1
///   waag profile record --id P1 --replaces 1 ...     # other terms
///   waag profile withdraw P1 --replaces 2 --reason "merged with P7"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ProfileArgs {
    #[command(subcommand)]
    command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
enum ProfileCommand {
    /// What would it have hit? Nothing is recorded
    Try(Box<TryArgs>),
    /// Record a new profile, or another version of one
    Record(Box<RecordArgs>),
    /// List profiles as they stand
    List(ListArgs),
    /// Show one with all its versions
    Show(ShowArgs),
    /// What it has hit, day by day
    Hits(HitsArgs),
    /// Have a profile flag nothing more
    Withdraw(WithdrawArgs),
}

#[derive(Debug, Args)]
struct TryArgs {
    #[command(flatten)]
    conditions: ConditionArgs,
    /// Days of arrival; the 28 days to the newest one that is sealed if not set
    #[arg(long, value_name = "A..B", value_parser = period)]
    period: Option<Period>,
    /// How long it may take, seconds, 600 at most
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    within: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct RecordArgs {
    /// The profile of which this is another version; a new one if not set
    #[arg(long, value_name = "ID", requires = "replaces")]
    id: Option<String>,
    /// The version that it replaces, as `waag profile show` tells it
    #[arg(long, value_name = "N", requires = "id")]
    replaces: Option<u32>,
    /// What it is called; name, purpose and owner stand in the register of algorithms
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// What it is for, in words that may be published
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// Who answers for it
    #[arg(long, value_name = "TEXT")]
    owner: String,
    /// The first day whose declarations it flags; today if not set
    #[arg(long, value_name = "DAY", value_parser = day)]
    start: Option<Day>,
    /// The last one; until it is replaced or withdrawn if not set
    #[arg(long, value_name = "DAY", value_parser = day)]
    end: Option<Day>,
    #[command(flatten)]
    conditions: ConditionArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those in this state today; may be given several times
    #[arg(long, value_enum)]
    state: Vec<State>,
    /// With all versions, in JSON
    #[arg(long, requires = "json")]
    versions: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Active,
    Ended,
    Withdrawn,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Which one, as P17
    id: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct HitsArgs {
    /// Which one, as P17
    id: String,
    /// Days of arrival; all that are kept if not set
    #[arg(long, value_name = "A..B", value_parser = period)]
    period: Option<Period>,
    /// Wait until so many records are sealed and gone through
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least_watermark: u64,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct WithdrawArgs {
    /// Which one, as P17
    id: String,
    /// Its newest version, as `waag profile show` tells it
    #[arg(long, value_name = "N")]
    replaces: u32,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Does what is asked.
///
/// # Errors
/// No server, a call that is refused, standard output that cannot be written.
pub fn run(args: &ProfileArgs) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match &args.command {
            ProfileCommand::Try(args) => r#try(args).await,
            ProfileCommand::Record(args) => record(args).await,
            ProfileCommand::List(args) => list(args).await,
            ProfileCommand::Show(args) => show(args).await,
            ProfileCommand::Hits(args) => hits(args).await,
            ProfileCommand::Withdraw(args) => withdraw(args).await,
        }
    })
}

async fn r#try(args: &TryArgs) -> Result<(), Failure> {
    let period = args.period.clone().unwrap_or_default();
    let mut request = tonic::Request::new(TryProfileRequest {
        conditions: Some(args.conditions.message()),
        first_day: period.first_day,
        last_day: period.last_day,
    });
    request.set_timeout(std::time::Duration::from_secs(args.within));
    let failed = |status| args.server.failed(&status);
    let answer = args.server.client().await?.try_profile(request).await;
    let mut told = answer.map_err(failed)?.into_inner();
    let mut trial = ProfileTrial::default();
    let mut stderr = std::io::stderr();
    while let Some(message) = told.message().await.map_err(failed)? {
        match message.told {
            Some(Told::Progress(progress)) if stderr.is_terminal() => {
                // Who has no terminal any more does not need it.
                let _ = write!(stderr, "\r{} of {} declarations", progress.done, progress.of);
            }
            Some(Told::Trial(found)) => trial = found,
            _ => {}
        }
    }
    if stderr.is_terminal() {
        let _ = writeln!(stderr);
    }
    output(|out| if args.server.json { json(&trial, out) } else { write_trial(&trial, out) })
}

async fn record(args: &RecordArgs) -> Result<(), Failure> {
    let shown = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let terms = ProfileTerms {
        name: args.name.clone(),
        purpose: args.purpose.clone(),
        owner: args.owner.clone(),
        start_day: shown(args.start),
        end_day: shown(args.end),
        conditions: Some(args.conditions.message()),
    };
    let request = RecordProfileRequest {
        id: args.id.clone().unwrap_or_default(),
        replaces_version: args.replaces.unwrap_or_default(),
        terms: Some(terms),
    };
    let answer = args.server.client().await?.record_profile(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    tell(&args.server, answer.profile, "recorded")
}

async fn withdraw(args: &WithdrawArgs) -> Result<(), Failure> {
    let request = WithdrawProfileRequest {
        id: args.id.clone(),
        replaces_version: args.replaces,
        reason: args.reason.clone(),
    };
    let answer = args.server.client().await?.withdraw_profile(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    tell(&args.server, answer.profile, "recorded: it flags nothing more")
}

fn tell(server: &ServerArgs, profile: Option<Profile>, what: &str) -> Result<(), Failure> {
    let profile = profile.unwrap_or_default();
    output(|out| {
        if server.json {
            return json(&profile, out);
        }
        let version = profile.newest.as_ref().map_or(0, |newest| newest.version);
        writeln!(out, "profile {}, version {version}, {what}", profile.id)?;
        write_profile(&profile, out)
    })
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let state = |state: &State| match state {
        State::Pending => ProfileState::Pending.into(),
        State::Active => ProfileState::Active.into(),
        State::Ended => ProfileState::Ended.into(),
        State::Withdrawn => ProfileState::Withdrawn.into(),
    };
    let mut client = args.server.client().await?;
    let mut request = ListProfilesRequest {
        states: args.state.iter().map(state).collect(),
        with_earlier: args.versions,
        ..ListProfilesRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let page = client.list_profiles(request.clone()).await;
        let page = page.map_err(|status| args.server.failed(&status))?.into_inner();
        all.extend(page.profiles);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    output(|out| {
        if args.server.json {
            return all.iter().try_for_each(|profile| json(profile, out));
        }
        write_list(&all, out)
    })
}

async fn show(args: &ShowArgs) -> Result<(), Failure> {
    let request = ListProfilesRequest {
        id: args.id.clone(),
        with_earlier: true,
        ..ListProfilesRequest::default()
    };
    let answer = args.server.client().await?.list_profiles(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    output(|out| {
        answer.profiles.iter().try_for_each(|profile| match args.server.json {
            true => json(profile, out),
            false => write_profile(profile, out),
        })
    })
}

async fn hits(args: &HitsArgs) -> Result<(), Failure> {
    let period = args.period.clone().unwrap_or_default();
    let request = ListProfileHitsRequest {
        id: args.id.clone(),
        first_day: period.first_day,
        last_day: period.last_day,
        at_least_watermark: args.at_least_watermark,
    };
    let answer = args.server.client().await?.list_profile_hits(request).await;
    let answer = answer.map_err(|status| args.server.failed(&status))?.into_inner();
    output(|out| if args.server.json { json(&answer, out) } else { write_hits(&answer, out) })
}
