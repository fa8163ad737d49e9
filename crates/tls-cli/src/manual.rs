//! What is made of the command line's own description: pages of the manual, and completions for shells.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::failure::Failure;

/// `tls completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// `tls man`
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The subcommand whose page is printed [default: the page about all of them]
    #[arg(conflicts_with = "out")]
    subcommand: Vec<String>,

    /// Write all pages into this directory instead
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

/// Prints the script that teaches a shell our options.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    print(&script)
}

/// Prints a page, or writes all of them.
pub(crate) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    // `tls help` has no page, and none should send there.
    let mut command = Arguments::command().disable_help_subcommand(true);
    if let Some(directory) = &arguments.out {
        return clap_mangen::generate_to(command, directory)
            .map_err(|error| Failure::new(format!("cannot write to {}: {error}", directory.display())));
    }
    // Full names, as in `tls-serve(1)`.
    command.build();
    let mut page = &command;
    for name in &arguments.subcommand {
        page = page
            .find_subcommand(name)
            .ok_or_else(|| Failure::misuse(format!("there is no subcommand {name:?}")))?;
    }
    print(&rendered(page)?)
}

fn rendered(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Failure::new(format!("cannot make the page: {error}")))?;
    Ok(page)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
