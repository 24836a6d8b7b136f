//! Writes what fuzzing begins with into the kept corpora.

#[path = "../tests/checks/mod.rs"]
mod checks;

use std::path::Path;

use checks::seeds;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let messages = seeds::messages();
    let all = [
        ("reader", messages.clone()),
        ("submit_batch", messages),
        ("judge", seeds::declarations()),
        ("journal", seeds::journals()),
        ("run", seeds::runs()),
    ];
    for (target, seeds) in all {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        for (name, input) in seeds {
            std::fs::write(folder.join(name), input)?;
        }
    }
    Ok(())
}
