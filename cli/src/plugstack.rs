//! plugstack.conf, read as Slurm reads it (spank.c: no quoting, `#` begins a
//! comment anywhere, an include is a pattern of glob(7), seen from its file).

use std::path::{Path, PathBuf};

use linger_arguments::Arguments;

use crate::node::Node;
use crate::slurm_conf::SlurmConf;

/// The plugin's file.
pub(crate) const PLUGIN: &str = "spank_linger.so";

/// No site nests them deeper; a file that includes itself must not hang us.
const NESTED_AT_MOST: u8 = 8;

/// The plugin's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) file: PathBuf,
    /// Counted from 1.
    pub(crate) number: usize,
    /// Slurm stops where it cannot be loaded.
    pub(crate) is_required: bool,
    /// The plugin as the line has it, with or without a directory.
    pub(crate) plugin: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// What there is of the plugin in a plugstack.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    /// The plugin's lines, as Slurm would meet them.
    pub(crate) lines: Vec<Line>,
    /// Other plugins that Slurm meets after the first of them, as their lines have them.
    pub(crate) behind: Vec<PathBuf>,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// The patterns that it includes.
    pub(crate) includes: Vec<PathBuf>,
}

impl Stack {
    /// Reads a file and what it includes. One that is not there is empty, as it is
    /// to Slurm.
    pub(crate) fn read(node: &Node, file: &Path) -> Self {
        let mut stack = Self::default();
        stack.add(node, file, NESTED_AT_MOST);
        stack
    }

    fn add(&mut self, node: &Node, file: &Path, deeper: u8) {
        let Ok(text) = node.read(file) else { return };
        self.files.push(file.to_owned());
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["include", pattern, ..] => self.include(node, file, pattern, deeper),
                [kind @ ("required" | "optional"), plugin, ref arguments @ ..]
                    if Path::new(plugin).ends_with(PLUGIN) =>
                {
                    self.lines.push(Line {
                        file: file.to_owned(),
                        number: at + 1,
                        is_required: kind == "required",
                        plugin: plugin.into(),
                        arguments: arguments.iter().map(ToString::to_string).collect(),
                    });
                }
                ["required" | "optional", other, ..] if !self.lines.is_empty() => {
                    self.behind.push(other.into());
                }
                _ => {}
            }
        }
    }

    fn include(&mut self, node: &Node, file: &Path, pattern: &str, deeper: u8) {
        let pattern = file.parent().unwrap_or(file).join(pattern);
        let found = glob::glob(&node.at(&pattern).to_string_lossy());
        self.includes.push(pattern);
        for path in found.into_iter().flatten().flatten().filter(|_| deeper > 0) {
            self.add(node, &node.name_of(&path), deeper - 1);
        }
    }
}

impl Line {
    /// The arguments as the plugin reads them.
    ///
    /// # Errors
    /// What the plugin would say.
    pub(crate) fn parse(&self) -> Result<Arguments, String> {
        linger_arguments::parse(self.arguments.iter().map(String::as_str))
    }

    /// The file that Slurm loads: the line's own, or the first in its directories.
    pub(crate) fn plugin_file(&self, node: &Node, dirs: &[PathBuf]) -> Option<PathBuf> {
        file_of(&self.plugin, node, dirs)
    }
}

/// The file that Slurm loads of a line that has this.
pub(crate) fn file_of(plugin: &Path, node: &Node, dirs: &[PathBuf]) -> Option<PathBuf> {
    let dirs = if plugin.is_absolute() { &[PathBuf::from("/")] } else { dirs };
    dirs.iter().map(|dir| dir.join(plugin)).find(|file| node.at(file).exists())
}

/// What the plugin would go by on this node: its line's arguments, or the defaults.
pub(crate) fn arguments(node: &Node) -> Arguments {
    let stack = SlurmConf::find(node, None).map(|conf| Stack::read(node, &conf.plugstack()));
    let line = stack.and_then(|stack| stack.lines.into_iter().next());
    line.and_then(|line| line.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::node;

    const STACK: &str = "/etc/slurm/plugstack.conf";

    /// Show that the line is found behind an include, with what it says.
    #[test]
    fn the_line_is_found_behind_an_include() {
        let made_up = node()
            .with(STACK, "optional other.so # spank_linger.so\ninclude plugstack.conf.d/*.conf\n")
            .with("/etc/slurm/plugstack.conf.d/b.conf", "\n required /opt/spank_linger.so\tgrace=1")
            .with("/etc/slurm/plugstack.conf.d/c.conf", "optional pyxis.so\n")
            .with("/etc/slurm/plugstack.conf.d/a.conf.off", "optional spank_linger.so");
        let stack = Stack::read(&made_up.node, Path::new(STACK));
        let expected = Line {
            file: "/etc/slurm/plugstack.conf.d/b.conf".into(),
            number: 2,
            is_required: true,
            plugin: "/opt/spank_linger.so".into(),
            arguments: vec!["grace=1".into()],
        };
        assert_eq!(stack.lines, [expected]);
        assert_eq!(stack.behind, [Path::new("pyxis.so")]);
        assert_eq!(stack.includes, [Path::new("/etc/slurm/plugstack.conf.d/*.conf")]);
        assert_eq!(stack.lines[0].parse().unwrap().containment.grace.as_secs(), 1);
    }

    /// Show that a file that includes itself comes to an end.
    #[test]
    fn an_endless_include_ends() {
        let made_up = node().with(STACK, "include plugstack.conf\n");
        assert!(Stack::read(&made_up.node, Path::new(STACK)).lines.is_empty());
    }

    /// Show that a plugin without a directory is looked for where Slurm does.
    #[test]
    fn the_file_is_where_slurm_looks() {
        let made_up = node()
            .with(STACK, "optional spank_linger.so\n")
            .with("/opt/b/spank_linger.so", "")
            .with("/opt/c/spank_linger.so", "");
        let stack = Stack::read(&made_up.node, Path::new(STACK));
        let dirs = ["/opt/a", "/opt/b", "/opt/c"].map(PathBuf::from);
        let file = stack.lines[0].plugin_file(&made_up.node, &dirs);
        assert_eq!(file, Some("/opt/b/spank_linger.so".into()));
        let absolute = Line { plugin: "/opt/c/spank_linger.so".into(), ..stack.lines[0].clone() };
        let file = absolute.plugin_file(&made_up.node, &dirs);
        assert_eq!(file, Some("/opt/c/spank_linger.so".into()));
        assert_eq!(stack.lines[0].plugin_file(&made_up.node, &[]), None);
    }
}
