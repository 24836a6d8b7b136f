//! `waag completions`: what a shell needs to complete commands, flags and their values.

use clap::Args;
use clap_complete::Shell;

use super::{Failure, output};

/// Print completions of commands, flags and their values for a shell
///
/// Once, for one user; a new shell then has them:
///
///   waag completions bash > ~/.local/share/bash-completion/completions/waag
///   waag completions zsh > ~/.zfunc/_waag     (with fpath+=(~/.zfunc) before compinit in ~/.zshrc)
///   waag completions fish > ~/.config/fish/completions/waag.fish
///   waag completions elvish >> ~/.config/elvish/rc.elv
///   waag completions powershell >> $PROFILE
///
/// The folders must be there. Bash takes them from its package bash-completion. The Debian package
/// brings those of bash, zsh and fish for all users. After an update of waag print them again.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions of `command`, the whole command line.
///
/// # Errors
/// Standard output that cannot be written.
pub fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<(), Failure> {
    // In memory first: writing elsewhere, clap_complete panics where a reader is gone.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "waag", &mut script);
    output(|out| out.write_all(&script))
}
