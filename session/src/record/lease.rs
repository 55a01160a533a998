//! A lease as its file has it.

use serde::{Deserialize, Serialize};

use super::Lease;
use crate::limits::amounts::Limits;
use crate::outside::fields::{some_fields, word};
use crate::terms::site::SessionKind;

/// The fields of all leases in one: what serde makes of an enum with a tag reads
/// everything twice, with 40 KB of code.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(deserialize_with = "word")]
    state: State,
    #[serde(default, deserialize_with = "word")]
    pub(super) kind: SessionKind,
    /// Where version 0.1 wrote what the job may use: an upgrade meets it under running jobs.
    #[serde(default, skip_serializing, deserialize_with = "some_fields")]
    pub(super) limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<bool>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    #[default]
    Open,
    Failed,
    Declined,
}

impl Record {
    pub(super) fn of(lease: Lease, kind: SessionKind) -> Self {
        Self { kind, ..lease.into() }
    }
}

impl From<Lease> for Record {
    fn from(lease: Lease) -> Self {
        match lease {
            Lease::Open => Self::default(),
            Lease::Failed { cause, told } => {
                let state = State::Failed;
                Self { state, cause: Some(cause), told: Some(told), ..Self::default() }
            }
            Lease::Declined => Self { state: State::Declined, ..Self::default() },
        }
    }
}

impl From<Record> for Lease {
    fn from(Record { state, cause, told, .. }: Record) -> Self {
        match state {
            State::Open => Self::Open,
            State::Failed => {
                let (cause, told) = (cause.unwrap_or_default(), told.unwrap_or_default());
                Self::Failed { cause, told }
            }
            State::Declined => Self::Declined,
        }
    }
}
