//! Values that touch nothing: what the other floors speak in.

pub(crate) mod budget;
pub(crate) mod bus_error;
pub(crate) mod cpus;
pub(crate) mod decimal;
pub(crate) mod error;
pub(crate) mod job;
pub(crate) mod roots;
pub(crate) mod set;
pub(crate) mod site;
