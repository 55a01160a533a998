//! The project's own tooling: test nodes, the demo, the test run, packages.
#![forbid(unsafe_code)]

mod accel;
mod ansible;
pub mod bench;
mod build;
mod cache;
pub mod cluster;
pub mod demo;
pub mod dist;
mod emulator;
mod image;
pub mod interrupt;
mod machine;
mod marks;
mod node_files;
mod plan;
mod plugin;
mod probe;
pub mod process;
pub mod progress;
mod pypi;
mod qemu;
mod recipe;
mod sources;
mod ssh;
mod state;
pub mod suite;
pub mod test;
mod tools;
mod uml;
pub mod vm;
