//! The audit session id of a step, which all that it starts bears.

use crate::leases::sessions::Sessions;
use crate::outside::audit;
use crate::record::{self, Marked};
use crate::terms::error::Result;
use crate::terms::job::Job;

/// The audit session id of a step that could not be given one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    inherited: Option<u32>,
}

impl Sessions {
    /// Gives this process, a step's, an audit session id of its own, which all
    /// that the step starts will bear.
    #[must_use]
    pub fn mark(&self, job: Job) -> Mark {
        let inherited = audit::id_of(&self.site.roots.proc, "self");
        let renewed = audit::renew(&self.site.roots.proc, job.uid, inherited);
        Mark { inherited: inherited.filter(|_| !renewed) }
    }

    /// Notes the mark that task `pid` of a step bears: `mark`, or the one that
    /// PAM has given it since. Answers with it.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_mark(
        &self,
        job: Job,
        pid: impl std::fmt::Display,
        mark: Mark,
    ) -> Result<Option<u32>> {
        let id = audit::id_of(&self.site.roots.proc, pid).filter(|id| Some(*id) != mark.inherited);
        match id {
            Some(id) => {
                record::state(&self.site.roots, job.uid).add_audit_id(Marked::Job(job.id), id)?;
            }
            None => self.tell_that_nothing_is_marked(job),
        }
        Ok(id)
    }

    /// Once for all jobs that share a session: it is the kernel's doing.
    fn tell_that_nothing_is_marked(&self, job: Job) {
        if record::state(&self.site.roots, job.uid).is_first_to_tell() {
            log::warn!(
                "{job}: mark its processes: no audit session ids on this node; what a job leaves \
                 in the session ends with its user's last job"
            );
        }
    }
}
