//! The command line.

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::{Shell, generate};

/// Shows and checks the systemd user sessions of Slurm jobs on this node.
#[derive(Debug, Parser)]
#[command(name = "spank-linger", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show leases, sessions, caps and use of each user
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the whole way from Slurm to Podman, and name the cures
    Doctor {
        /// Check the way of this user, too [default: whoever asks, unless root]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print only what is not well
        #[arg(long, conflicts_with = "json")]
        quiet: bool,
    },
    /// Drop leases of jobs that are over, and undo what they left
    Sweep {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Only close the session of this user that keep= keeps, if it is time
        #[arg(long, value_name = "UID", conflicts_with = "dry_run")]
        kept: Option<u32>,
        /// The same at a shutdown, whenever it is; else nothing
        #[arg(long, value_name = "UID", conflicts_with_all = ["dry_run", "kept"])]
        kept_at_shutdown: Option<u32>,
        /// Only put linger back after a power loss, before logind starts; else nothing
        #[arg(long, conflicts_with_all = ["dry_run", "kept", "kept_at_shutdown"])]
        at_boot: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// A completion script. clap_complete names the states of bash's in two ways where a program has a
/// hyphen (clap-rs #6421, 4.6.5 to 4.6.11), and completes no option then.
pub(crate) fn complete(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Options::command(), "spank-linger", &mut script);
    let script = String::from_utf8_lossy(&script);
    script.replace("spank__subcmd__linger", "spank__linger")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that each shell's script has the commands and their options.
    #[test]
    fn shells_are_told_the_options() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = complete(shell);
            for word in ["status", "doctor", "sweep", "dry-run", "json"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    /// Show that bash completes a command, its options, and what one of them takes.
    #[test]
    fn bash_completes_words() {
        let script = complete(Shell::Bash);
        let completed = |words: &str| {
            let press = format!(
                "{script}\nCOMP_WORDS=(spank-linger {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
                 function=$(complete -p spank-linger | grep --only-matching '_spank[^ ]*')\n\
                 $function spank-linger \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
                 echo ${{COMPREPLY[@]}}"
            );
            let bash = std::process::Command::new("bash").args(["-c", &press]).output().unwrap();
            String::from_utf8(bash.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(completed("sw"), "sweep");
        assert_eq!(completed("sweep --d"), "--dry-run");
        assert_eq!(completed("doctor --u"), "--user");
        assert_eq!(completed("completions f"), "fish");
    }

    /// Show what is no command line.
    #[test]
    fn other_command_lines_are_refused() {
        for line in [
            "",
            "status --dry-run",
            "doctor --user",
            "doctor --json --quiet",
            "sweep --json",
            "completions csh",
        ] {
            let words = ["spank-linger"].into_iter().chain(line.split_whitespace());
            assert!(Options::try_parse_from(words).is_err(), "{line}");
        }
    }
}
