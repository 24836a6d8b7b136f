//! The command line of Waag, and nothing else: see [`waag::command`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use waag::command::{self, Failure};
use waag::telemetry::log;

// Most of what is allocated per batch is given back at once by another thread than took it, which
// mimalloc does at a fraction of the cost of the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes in low-value e-commerce customs declarations (H7): judges each by the law in force,
/// deduplicates, makes it durable, answers, and keeps exact summaries per actor.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(command::serve::ServeArgs),
    Demo(command::demo::DemoArgs),
    /// Judge batches offline, as the rules of a day would
    Judge(command::judge::JudgeArgs),
    Generate(command::generate::GenerateArgs),
    Summary(command::summary::SummaryArgs),
    /// Check, show and write out rule files
    Rules(command::rules::RulesArgs),
    Export(command::export::ExportArgs),
    Token(command::token::TokenArgs),
    Audit(command::audit::AuditArgs),
    /// Check everything in a data folder and change nothing
    Verify(command::verify::VerifyArgs),
    /// Throw the catalog away and make it again from the journal
    Rebuild(command::rebuild::RebuildArgs),
    Backup(command::backup::BackupArgs),
    Restore(command::restore::RestoreArgs),
}

fn summary(args: &command::summary::SummaryArgs) -> Result<(), Failure> {
    Ok(command::runtime()?.block_on(command::summary::run(args))?)
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    log::start(match &command {
        Command::Serve(args) => args.log_format(),
        _ => log::Format::Text,
    });
    let result: Result<(), Failure> = match command {
        Command::Serve(args) => command::serve::run(&args),
        Command::Demo(args) => command::demo::local::run(&args),
        Command::Judge(args) => command::judge::run(&args),
        Command::Generate(args) => command::generate::run(&args).map_err(Into::into),
        Command::Summary(args) => summary(&args),
        Command::Rules(args) => command::rules::run(&args),
        Command::Export(args) => command::export::run(&args),
        Command::Token(args) => command::token::run(&args),
        Command::Audit(args) => command::audit::run(&args),
        Command::Verify(args) => command::verify::run(&args),
        Command::Rebuild(args) => command::rebuild::run(&args),
        Command::Backup(args) => command::backup::run(&args),
        Command::Restore(args) => command::restore::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{}", command::with_causes(&*failure));
            ExitCode::FAILURE
        }
    }
}
