//! What every act on a user's session is given.

use crate::outside::systemd::Systemd;
use crate::record::Locked;
use crate::terms::budget::Budget;
use crate::terms::site::Site;

/// One user's session: what is set, what is written down, and what can be asked and done.
pub(crate) struct On<'a> {
    pub(crate) site: &'a Site,
    pub(crate) uid: u32,
    /// Whoever acts has the user's lock.
    pub(crate) state: &'a Locked,
    pub(crate) systemd: &'a mut dyn Systemd,
    pub(crate) budget: Budget,
}
