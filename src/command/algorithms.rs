//! `waag algorithms`: the register of algorithms of a running server.

use clap::Args;

use super::asking::{ServerArgs, json};
use super::show::Table;
use super::{Failure, output, runtime};
use crate::proto::v1::ListAlgorithmsRequest;

/// List every algorithm in use: what it is for, what it looks at, who answers for it, since when
///
/// For a public register: Waag's own, and the risk profiles that are or were in force. What profiles look for is not in
/// it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct AlgorithmsArgs {
    #[command(flatten)]
    server: ServerArgs,
}

/// Reads and prints.
///
/// # Errors
/// No server, a call that is refused, standard output that cannot be written.
pub fn run(args: &AlgorithmsArgs) -> Result<(), Failure> {
    let found = runtime()?.block_on(async {
        let answer = args.server.client().await?.list_algorithms(ListAlgorithmsRequest {}).await;
        Ok::<_, Failure>(answer.map_err(|status| args.server.failed(&status))?.into_inner())
    })?;
    output(|mut out| {
        if args.server.json {
            return found.algorithms.iter().try_for_each(|algorithm| json(algorithm, out));
        }
        let mut table = Table::new(&["<Id", "<Name", "<Owner", "<Since", "<Until", "<Looks at"]);
        for algorithm in &found.algorithms {
            let since = match algorithm.since_day.as_str() {
                "" => format!("Waag {}", algorithm.version),
                day => day.to_owned(),
            };
            table.row(vec![
                algorithm.id.clone(),
                algorithm.name.clone(),
                algorithm.owner.clone(),
                since,
                algorithm.until_day.clone(),
                algorithm.inputs.join("; "),
            ]);
        }
        table.write(&mut out)
    })
}
