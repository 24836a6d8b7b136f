//! `waag-load`: puts load on Waag and checks every verdict.
//!
//! | file | what |
//! |---|---|
//! | `template` | batches that are encoded once and patched in place |
//! | `plan` | which declarations are new, replays and conflicts: a pure function, so nothing is kept |
//! | `answer` | reads answers in place |
//! | `check`, `mrns` | holds them against what must come out |
//! | `codec`, `transport`, `lane`, `drive` | connections, and all of them together |
//! | `meter` | throughput and latency |
//! | `server`, `process` | a server of our own, its memory and its files |
//! | `options`, `run`, `report`, `picture` | `waag-load run` |
//! | `longrun`, `longrun_report`, `progress` | `waag-load longrun` |
//! | `outage` | `waag-load outage`: a service that goes away behind a spool |
//! | `sink` | `waag-load sink`: what a server can take that only reads |
//! | `rows` | `waag-load rows`: what is sent, as files that databases load |
//! | `study` | `waag-load study`: what is found of those who misbehave, in worlds of which the truth is known; `waag-load score` |
//! | `questions` | `waag-load questions`: how long an analyst waits for an answer, with a year of days stored |
//! | `reads` | `waag-load reads`: what the disk gives |

mod answer;
mod check;
mod codec;
mod drive;
mod lane;
mod longrun;
mod longrun_report;
mod meter;
mod mrns;
mod options;
mod outage;
mod picture;
mod plan;
mod process;
mod progress;
mod questions;
mod reads;
mod report;
mod rows;
mod run;
mod server;
mod sink;
mod study;
mod template;
mod transport;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Puts load on Waag and checks every verdict.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Longrun(longrun::LongrunArgs),
    Outage(outage::OutageArgs),
    Sink(sink::SinkArgs),
    Rows(rows::RowsArgs),
    Reads(reads::ReadsArgs),
    Study(study::StudyArgs),
    Score(study::scoring::ScoreArgs),
    Questions(questions::QuestionsArgs),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("WAAG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!is_plain)
        .init();
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Longrun(args) => longrun::run(&args),
        Command::Outage(args) => outage::run(&args),
        Command::Sink(args) => sink::run(&args),
        Command::Rows(args) => rows::run(&args),
        Command::Reads(args) => reads::run(&args),
        Command::Study(args) => study::run(&args),
        Command::Score(args) => study::scoring::run(&args),
        Command::Questions(args) => questions::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{}", waag::command::with_causes(&*failure));
            ExitCode::FAILURE
        }
    }
}
