//! The manual pages say what the programs do, and no more.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory};
use linger_arguments::{KEYS, default_of};

use crate::options::Options;

const PLUGIN: &str = include_str!("../../docs/spank_linger.8");
const COMMAND: &str = include_str!("../../docs/spank-linger.8");

/// What stands below a heading, to the next one.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).expect(heading);
    let end = ["\n.SH ", "\n.SS "].into_iter().filter_map(|end| rest.find(end)).min();
    rest.get(..end.unwrap_or(rest.len())).unwrap()
}

/// A line as it is read: man(7) joins the words of a macro with two type faces.
fn plain(line: &str) -> String {
    let (type_face, words) = line.split_once(' ').unwrap_or((line, ""));
    let between = if type_face.len() == 3 { "" } else { " " };
    // Every other piece is in quotes, and one word.
    let pieces = words.split('"').enumerate();
    let words = pieces.flat_map(|(at, piece)| match at % 2 {
        0 => piece.split_whitespace().collect(),
        _ => vec![piece],
    });
    words.collect::<Vec<_>>().join(between).replace("\\-", "-")
}

/// The entries of a list: what each is of, and what is said of it.
fn entries(section: &str) -> Vec<(String, &str)> {
    let texts = section.split(".TP\n").skip(1);
    texts.filter_map(|text| Some((plain(text.lines().next()?), text))).collect()
}

fn names(section: &str) -> BTreeSet<String> {
    let split = |name: String| name.split(", ").map(str::to_owned).collect::<Vec<_>>();
    entries(section).into_iter().flat_map(|(name, _)| split(name)).collect()
}

/// Show that each argument of the plugin is in its page with its default, that each
/// value which is named there is one, and that there is no other.
#[test]
fn the_plugins_page_has_its_arguments() {
    let mut documented = Vec::new();
    for (entry, text) in entries(section(PLUGIN, ".SH ARGUMENTS")) {
        let (name, values) = entry.split_once('=').unwrap();
        let key = KEYS.iter().find(|key| key.name == name).expect(name);
        let default = default_of(key.name).map_or("all".into(), |value| format!("\\fB{value}\\fR"));
        assert!(text.contains(&format!("\nDefault: {default}.")), "{name}: {default}");
        for value in values.split('|').filter(|_| values.contains('|')) {
            let argument = format!("{name}={value}");
            assert!(linger_arguments::parse([argument.as_str()]).is_ok(), "{argument}");
        }
        documented.push(key.name);
    }
    documented.sort_unstable();
    let mut known = KEYS.map(|key| key.name);
    known.sort_unstable();
    assert_eq!(documented, known);
}

/// Show that the page names the places where the plugin's state is.
#[test]
fn the_plugins_page_has_its_files() {
    let roots = user_session::Roots::default();
    let named = names(section(PLUGIN, ".SH FILES"));
    for place in [roots.run, roots.lib] {
        assert!(named.contains(&place.display().to_string()), "{}", place.display());
    }
}

fn command() -> Command {
    let mut command = Options::command();
    command.build();
    command
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| command.get_name() != "help")
}

/// The options of a command's own, as `--user NAME`.
fn options(command: &Command) -> impl Iterator<Item = String> {
    let own = command.get_opts().chain(command.get_arguments().filter(|arg| {
        !arg.get_action().takes_values() && arg.get_id() != "help" && arg.get_id() != "version"
    }));
    own.map(|arg| format!("--{}{}", arg.get_long().unwrap(), value(arg)))
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    names.unwrap_or_default().iter().flat_map(|name| [" ", name.as_str()]).collect()
}

/// Show that each command is in the page with its options, that those which all
/// have are, and that there is no other.
#[test]
fn the_commands_page_has_its_options() {
    let command = command();
    let common = names(section(COMMAND, ".SH OPTIONS"));
    let expected = ["-h", "--help", "-V", "--version"].map(str::to_owned);
    assert_eq!(common, expected.into());
    assert!(command.get_arguments().all(|arg| common.contains(&format!("--{}", arg.get_id()))));
    let headings = COMMAND.lines().filter_map(|line| line.strip_prefix(".SS "));
    assert!(headings.eq(subcommands(&command).map(Command::get_name)));
    for command in subcommands(&command) {
        let section = section(COMMAND, &format!(".SS {}", command.get_name()));
        assert_eq!(names(section), options(command).collect(), "{}", command.get_name());
        for value in command.get_positionals().flat_map(Arg::get_possible_values) {
            let mut words = section.split(|letter: char| !letter.is_ascii_alphanumeric());
            assert!(words.any(|word| word == value.get_name()), "{}", value.get_name());
        }
    }
}

/// Show that the page's first lines are what the command takes.
#[test]
fn the_commands_page_begins_with_all_of_it() {
    let synopsis = section(COMMAND, ".SH SYNOPSIS").lines().filter(|line| *line != ".br");
    let synopsis = synopsis.map(plain).collect::<Vec<_>>().join(" ");
    let line = |command: &Command| {
        let options = options(command).map(|option| format!(" [{option}]"));
        let values = command.get_positionals().map(value);
        let rest: String = options.chain(values).collect();
        format!("spank-linger {}{rest}", command.get_name())
    };
    let expected: Vec<_> = subcommands(&command()).map(line).collect();
    assert_eq!(synopsis, expected.join(" "));
}

/// Show that each check is in the page, and no other.
#[test]
fn the_commands_page_has_its_checks() {
    let named = names(section(COMMAND, ".SH CHECKS"));
    assert_eq!(named, crate::doctor::tests::all_checks());
}
