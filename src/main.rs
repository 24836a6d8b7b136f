//! The command line of Waag, and nothing else: see [`waag::command`].

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
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
    Send(command::send::SendArgs),
    Spool(command::spool::SpoolArgs),
    Conformity(command::conformity::ConformityArgs),
    Summary(command::summary::SummaryArgs),
    Reconciliation(command::reconciliation::ReconciliationArgs),
    Findings(command::findings::FindingsArgs),
    Signals(command::signals::SignalsArgs),
    Agreement(command::agreement::AgreementArgs),
    Operate(command::operate::OperateArgs),
    Profile(command::profile::ProfileArgs),
    Sample(command::sample::SampleArgs),
    Algorithms(command::algorithms::AlgorithmsArgs),
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
    Completions(command::completions::CompletionsArgs),
    Man(command::man::ManArgs),
}

fn summary(args: &command::summary::SummaryArgs) -> Result<(), Failure> {
    Ok(command::runtime()?.block_on(command::summary::run(args))?)
}

fn reconciliation(args: &command::reconciliation::ReconciliationArgs) -> Result<(), Failure> {
    Ok(command::runtime()?.block_on(command::reconciliation::run(args))?)
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    log::start(match &command {
        Command::Serve(args) => args.log_format(),
        Command::Spool(args) if args.log_is_json() => log::Format::Json,
        _ => log::Format::Text,
    });
    let done = |result: Result<(), Failure>| result.map(|()| ExitCode::SUCCESS);
    let result: Result<ExitCode, Failure> = match command {
        Command::Serve(args) => done(command::serve::run(&args)),
        Command::Demo(args) => done(command::demo::local::run(&args)),
        Command::Judge(args) => done(command::judge::run(&args)),
        Command::Generate(args) => done(command::generate::run(&args).map_err(Into::into)),
        Command::Send(args) => command::send::run(&args),
        Command::Spool(args) => command::spool::run(args),
        Command::Conformity(args) => Ok(command::conformity::run(&args)),
        Command::Summary(args) => done(summary(&args)),
        Command::Reconciliation(args) => done(reconciliation(&args)),
        Command::Findings(args) => done(command::findings::run(&args)),
        Command::Signals(args) => done(command::signals::run(&args)),
        Command::Agreement(args) => done(command::agreement::run(&args)),
        Command::Operate(args) => done(command::operate::run(&args)),
        Command::Profile(args) => done(command::profile::run(&args)),
        Command::Sample(args) => done(command::sample::run(&args)),
        Command::Algorithms(args) => done(command::algorithms::run(&args)),
        Command::Rules(args) => done(command::rules::run(&args)),
        Command::Export(args) => done(command::export::run(&args)),
        Command::Token(args) => done(command::token::run(&args)),
        Command::Audit(args) => done(command::audit::run(&args)),
        Command::Verify(args) => done(command::verify::run(&args)),
        Command::Rebuild(args) => done(command::rebuild::run(&args)),
        Command::Backup(args) => done(command::backup::run(&args)),
        Command::Restore(args) => done(command::restore::run(&args)),
        Command::Completions(args) => done(command::completions::run(&args, &mut Cli::command())),
        Command::Man(args) => done(command::man::run(&args, Cli::command())),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            tracing::error!("{}", command::with_causes(&*failure));
            ExitCode::FAILURE
        }
    }
}
