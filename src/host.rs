//! What the decisions ask of Slurm, so that tests can answer.

/// A job step as Slurm shows it to a plugin.
pub(crate) trait Host {
    /// A variable of the job's environment.
    fn env(&self, name: &str) -> Option<String>;
    /// Sets one, over any value it has.
    fn set_env(&mut self, name: &str, value: &str) -> Result<(), String>;
    /// Removes one.
    fn unset_env(&mut self, name: &str) -> Result<(), String>;
    /// Writes a line to the job's stderr.
    fn tell(&mut self, line: &str);
}

/// A step that exists in a test only.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Scripted {
    env: std::collections::BTreeMap<String, String>,
    pub(crate) told: Vec<String>,
}

#[cfg(test)]
impl Scripted {
    pub(crate) fn with_env<const N: usize>(env: [(&str, &str); N]) -> Self {
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { env, told: Vec::new() }
    }
}

#[cfg(test)]
impl Host for Scripted {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn set_env(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.env.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    fn unset_env(&mut self, name: &str) -> Result<(), String> {
        self.env.remove(name);
        Ok(())
    }

    fn tell(&mut self, line: &str) {
        self.told.push(line.to_owned());
    }
}
