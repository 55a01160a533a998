//! Slurm's own configuration: where it is, and what it says.

use std::path::{Path, PathBuf};

use crate::node::Node;

/// Where slurm.conf may be: Debian's and SchedMD's place, that of a build from
/// source, Debian's until 20.02, and what slurmd keeps of a configless cluster's.
const PLACES: [&str; 4] = [
    "/etc/slurm/slurm.conf",
    "/usr/local/etc/slurm.conf",
    "/etc/slurm-llnl/slurm.conf",
    "/run/slurm/conf/slurm.conf",
];

/// Where plugins are if slurm.conf does not say: Debian's directory, that of
/// SchedMD's packages, of Enterprise Linux, of a build from source.
const PLUGIN_DIRS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/slurm-wlm",
    "/usr/lib/aarch64-linux-gnu/slurm-wlm",
    "/usr/lib/x86_64-linux-gnu/slurm",
    "/usr/lib/aarch64-linux-gnu/slurm",
    "/usr/lib64/slurm",
    "/usr/local/lib/slurm",
];

/// No site nests them deeper; a file that includes itself must not hang us.
const NESTED_AT_MOST: u8 = 8;

/// The settings of a file of Slurm's and of those it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings(Vec<(String, String)>);

impl Settings {
    /// Reads a file; one that is not there says nothing.
    pub(crate) fn read(node: &Node, file: &Path) -> Self {
        let mut settings = Self::default();
        settings.add(node, file, NESTED_AT_MOST);
        settings
    }

    fn add(&mut self, node: &Node, file: &Path, deeper: u8) {
        let text = node.read(file).unwrap_or_default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.split_once(char::is_whitespace) {
                Some((word, included)) if word.eq_ignore_ascii_case("include") => {
                    let dir = file.parent().unwrap_or(file);
                    if deeper > 0 {
                        self.add(node, &dir.join(included.trim()), deeper - 1);
                    }
                }
                _ => self.add_line(line),
            }
        }
    }

    fn add_line(&mut self, line: &str) {
        let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
        self.0.extend(pairs.map(|(key, value)| (key.to_lowercase(), value.to_owned())));
    }

    /// The value of a key; of several the last.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let wanted = key.to_lowercase();
        let found = self.0.iter().rev().find(|(key, _)| *key == wanted);
        found.map(|(_, value)| value.trim_matches('"'))
    }

    /// Whether one of the words in a list is there, whatever its case.
    pub(crate) fn has(&self, key: &str, word: &str) -> bool {
        let mut words = self.get(key).unwrap_or_default().split(',');
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    }

    /// Whether a switch is on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| {
            ["yes", "true", "1", "up"].iter().any(|on| value.eq_ignore_ascii_case(on))
        })
    }
}

/// slurm.conf, and what lies beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlurmConf {
    pub(crate) file: PathBuf,
    pub(crate) settings: Settings,
}

impl SlurmConf {
    /// The one that `told` names, else SLURM_CONF, else where it usually is.
    pub(crate) fn find(node: &Node, told: Option<PathBuf>) -> Option<Self> {
        let named = told.or_else(|| node.env("SLURM_CONF").map(PathBuf::from));
        let file = named.or_else(|| node.first(&PLACES).map(PathBuf::from))?;
        node.at(&file).exists().then(|| Self { settings: Settings::read(node, &file), file })
    }

    /// A file in the same directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.file.with_file_name(name)
    }

    /// plugstack.conf, wherever PlugStackConfig has it.
    pub(crate) fn plugstack(&self) -> PathBuf {
        let named = self.settings.get("PlugStackConfig");
        named.map_or_else(|| self.beside("plugstack.conf"), PathBuf::from)
    }

    /// The directories of plugins.
    pub(crate) fn plugin_dirs(&self, node: &Node) -> Vec<PathBuf> {
        if let Some(named) = self.settings.get("PluginDir") {
            return named.split(':').map(PathBuf::from).collect();
        }
        let usual = PLUGIN_DIRS.iter().filter(|dir| node.at(dir).is_dir());
        let usual: Vec<_> = usual.map(PathBuf::from).collect();
        if usual.is_empty() { asked(node).into_iter().collect() } else { usual }
    }
}

/// The directory that was compiled in: only a controller that answers tells.
fn asked(node: &Node) -> Option<PathBuf> {
    let shown = node.tools.run("scontrol", &["show", "config"]).ok()?;
    let mut rows = shown.lines().filter_map(|line| line.split_once('='));
    rows.find(|(key, _)| key.trim() == "PluginDir").map(|(_, dir)| dir.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::made_up::node;

    /// Show that settings are read whatever their case, also from included files,
    /// and that a file that includes itself is no trap.
    #[test]
    fn settings_are_read() {
        let made_up = node()
            .with("/etc/slurm/slurm.conf", "prologflags=Alloc,contain # x\nInclude more.conf\n")
            .with("/etc/slurm/more.conf", "PluginDir=/opt/a:/opt/b\ninclude more.conf\n#A=b\n");
        let conf = SlurmConf::find(&made_up.node, None).unwrap();
        assert!(conf.settings.has("PrologFlags", "Contain"));
        assert!(!conf.settings.has("PrologFlags", "RunInJob"));
        assert_eq!(conf.settings.get("A"), None);
        let dirs = conf.plugin_dirs(&made_up.node);
        assert_eq!(dirs, [Path::new("/opt/a"), Path::new("/opt/b")]);
        assert_eq!(conf.plugstack(), Path::new("/etc/slurm/plugstack.conf"));
    }

    /// Show where slurm.conf is looked for, and that nothing is made up.
    #[test]
    fn slurm_conf_is_found() {
        let made_up = node().with("/opt/slurm.conf", "").with("/run/slurm/conf/slurm.conf", "");
        let find = |told: Option<&str>| {
            SlurmConf::find(&made_up.node, told.map(PathBuf::from)).map(|conf| conf.file)
        };
        assert_eq!(find(None), Some("/run/slurm/conf/slurm.conf".into()));
        assert_eq!(find(Some("/opt/slurm.conf")), Some("/opt/slurm.conf".into()));
        assert_eq!(find(Some("/opt/none.conf")), None);
    }

    /// Show that a plugin directory in no usual place is asked for.
    #[test]
    fn the_compiled_in_directory_is_asked_for() {
        let made_up = node()
            .with("/etc/slurm/slurm.conf", "")
            .with_tools([("scontrol show config", Ok("A = b\nPluginDir     = /opt/slurm/lib\n"))]);
        let conf = SlurmConf::find(&made_up.node, None).unwrap();
        assert_eq!(conf.plugin_dirs(&made_up.node), [Path::new("/opt/slurm/lib")]);
        std::fs::create_dir_all(made_up.node.at("/usr/lib64/slurm")).unwrap();
        assert_eq!(conf.plugin_dirs(&made_up.node), [Path::new("/usr/lib64/slurm")]);
    }
}
