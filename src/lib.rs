//! The Slurm face of the plugin: callbacks, arguments, environment, log bridge.
