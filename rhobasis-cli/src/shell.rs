//! What shells and `man` are told of the command: completions and manual pages, from the same definitions as `--help`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use rhobasis::files::write_atomically;
use rhobasis::{Error, Result};

use crate::failure::Outcome;
use crate::output;
use crate::text::plural;

/// Print a script with which a shell completes commands, flags and file names of rhobasis
#[derive(Args)]
#[command(after_help = COMPLETIONS)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Known,
}

/// Shells that are asked for.
#[derive(ValueEnum, Clone, Copy)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

const COMPLETIONS: &str = "\
Example: bash, from the next shell on
  mkdir -p ~/.local/share/bash-completion/completions
  rhobasis completions bash > ~/.local/share/bash-completion/completions/rhobasis
Example: zsh, with a folder of your own among its functions (fpath+=~/.zfunc before compinit in ~/.zshrc)
  mkdir -p ~/.zfunc && rhobasis completions zsh > ~/.zfunc/_rhobasis
Example: fish
  rhobasis completions fish > ~/.config/fish/completions/rhobasis.fish";

/// Write manual pages, rhobasis.1 and one for each command
#[derive(Args)]
#[command(after_help = MAN)]
pub struct Man {
    /// The folder to write them to, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

const MAN: &str = "\
Example: for one user
  rhobasis man ~/.local/share/man/man1
  man rhobasis-train";

impl Completions {
    pub fn run(&self, mut command: Command, out: &mut dyn Write) -> Outcome {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new(); // its writer would panic where a pipe is closed
        clap_complete::generate(shell, &mut command, "rhobasis", &mut script);
        Ok(out.write_all(&script)?)
    }
}

impl Man {
    pub fn run(&self, command: Command, out: &mut dyn Write) -> Outcome {
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        output::check_folder(&self.folder)?;
        let mut command = command.disable_help_subcommand(true);
        command.build();
        page(&self.folder, "rhobasis", &command)?;
        let verbs: Vec<&Command> = command.get_subcommands().collect();
        for verb in &verbs {
            let name = format!("rhobasis-{}", verb.get_name());
            let named = (*verb).clone().name(&name).display_name(&name).bin_name(name.replace('-', " "));
            page(&self.folder, &name, &named)?;
        }
        writeln!(out, "wrote {} to {}", plural(1 + verbs.len(), "page"), self.folder.display())?;
        writeln!(out, "next: man {}", self.folder.join("rhobasis.1").display())?;
        Ok(())
    }
}

fn page(folder: &Path, name: &str, command: &Command) -> Result<()> {
    let page = clap_mangen::Man::new(command.clone()).title(name.to_uppercase());
    write_atomically(&folder.join(format!("{name}.1")), |file| page.render(file))
}
