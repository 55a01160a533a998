//! What a cgroup is held to, as the kernel or systemd says, and the job of this process.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::limits::amounts::Limits;
use crate::limits::devices;
use crate::outside::properties::{INFINITY, Properties};
use crate::outside::text::text;
use crate::outside::unified::require_unified;
use crate::terms::cpus::CpuSet;
use crate::terms::decimal::decimal;
use crate::terms::error::{Error, Result};
use crate::terms::roots::Roots;
use crate::terms::site::Confine;

impl Limits {
    /// Reads the limits of the job that this process belongs to. In the process
    /// of a job without a cgroup of its own, nothing is limited.
    ///
    /// # Errors
    /// When the kernel's files cannot be read or understood, or are not there.
    pub(crate) fn of_this_job(roots: &Roots) -> Result<Self> {
        require_unified(roots)?;
        let denied = devices::denied_here(&roots.dev)?;
        let limits = match job_cgroup(roots)? {
            Some(cgroup) => Self::of_cgroup(&cgroup)?,
            None => Self::default(),
        };
        Ok(Self { denied, ..limits })
    }

    /// What the properties of a slice hold it to, but for devices.
    pub(crate) fn of_properties(slice: &Properties) -> Self {
        let number = |value: u64| Some(value).filter(|value| *value != INFINITY);
        let cpus = CpuSet::from_mask(&slice.allowed_cpus);
        Self {
            memory: number(slice.memory_max),
            swap: number(slice.memory_swap_max),
            tasks: number(slice.tasks_max),
            cpus: Some(cpus).filter(|cpus| !cpus.is_empty()),
            ..Self::default()
        }
    }

    /// What the kernel holds a cgroup to. It does not tell about devices.
    pub(crate) fn of_cgroup(cgroup: &Path) -> Result<Self> {
        Ok(Self {
            memory: read_limit(&cgroup.join("memory.max"))?,
            swap: read_limit(&cgroup.join("memory.swap.max"))?,
            tasks: read_limit(&cgroup.join("pids.max"))?,
            cpus: read_cpus(&cgroup.join("cpuset.cpus"))?,
            ..Self::default()
        })
    }

    /// Whether the slice of `uid` has a limit wherever `confine` selects one that
    /// the job of this process has. Asked of the kernel, so it can be a task that
    /// asks. How tight they are was root's to see to.
    pub(crate) fn hold_the_slice(roots: &Roots, uid: u32, confine: Confine) -> Result<bool> {
        let Some(job) = job_cgroup(roots)? else { return Ok(true) };
        let job = Self::of_cgroup(&job)?.only(confine);
        let slice = Self::of_cgroup(&roots.slice(uid))?;
        Ok(slice.has_all_of(&job))
    }
}

/// The cgroup of the job that this process belongs to. Found in /proc, because
/// its name differs: `job_42` up to Slurm 25.05, later a SLUID as
/// `s379M7XY33FH00`; what they share is their parent, the slurmstepd scope.
pub(crate) fn job_cgroup(roots: &Roots) -> Result<Option<PathBuf>> {
    let file = roots.proc.join("self/cgroup");
    let listed = text(&file).map_err(Error::file("read", &file))?;
    Ok(job_in(&listed).map(|job| roots.cgroup.join(job)))
}

/// The job's part of the unified hierarchy's line in /proc/pid/cgroup.
pub(crate) fn job_in(listed: &str) -> Option<&str> {
    let path = listed.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // Seen from a namespace of cgroups it may lead out of it.
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_))).then_some(())?;
    let scope = path.find("slurmstepd.scope/")? + "slurmstepd.scope/".len();
    let (job, _step) = path.get(scope..)?.split_once('/')?;
    path.get(..scope + job.len()).filter(|_| !job.is_empty())
}

/// A limit of a cgroup: `max`, or a number (cgroup v2, Documentation/admin-guide).
/// Without its controller the file is not there, and nothing is limited.
pub(crate) fn read_limit(file: &Path) -> Result<Option<u64>> {
    read(file)?.map_or(Ok(None), |text| limit(file, &text))
}

pub(crate) fn limit(file: &Path, text: &str) -> Result<Option<u64>> {
    match text {
        "max" => Ok(None),
        number => decimal(number).map(Some).ok_or_else(|| not_understood(file, number)),
    }
}

fn read_cpus(file: &Path) -> Result<Option<CpuSet>> {
    let Some(listed) = read(file)? else { return Ok(None) };
    let cpus: CpuSet = listed.parse().map_err(|_| not_understood(file, &listed))?;
    Ok(Some(cpus).filter(|cpus| !cpus.is_empty()))
}

fn read(file: &Path) -> Result<Option<String>> {
    match text(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(|text| Some(text.trim().to_owned())).map_err(Error::file("read", file)),
    }
}

fn not_understood(file: &Path, text: &str) -> Error {
    Error::file("read", file)(io::Error::other(format!("'{text}' is not what it should hold")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Show that the job's cgroup is found under every name and level it has.
    #[test]
    fn the_job_is_found_whatever_its_name() {
        for (listed, job) in [
            (
                "0::/system.slice/slurmstepd.scope/job_7/step_extern/slurm\n",
                "system.slice/slurmstepd.scope/job_7",
            ),
            (
                "0::/system.slice/n1_slurmstepd.scope/s379M7XY33FH00/step_0/user/task_0",
                "system.slice/n1_slurmstepd.scope/s379M7XY33FH00",
            ),
            ("4:memory:/slurm\n0::/slurmstepd.scope/job_1/step_batch", "slurmstepd.scope/job_1"),
        ] {
            assert_eq!(job_in(listed), Some(job), "{listed}");
        }
        for other in ["", "0::/system.slice/slurmd.service", "0::/slurmstepd.scope/job_1", "1:x:/"]
        {
            assert_eq!(job_in(other), None, "{other}");
        }
    }

    /// Show that the job's cgroup is one of its own, below the hierarchy's root.
    #[test]
    fn no_other_cgroup_is_taken_for_the_job() {
        for scope in ["slurmstepd.scope/", "../slurmstepd.scope/job_1", "/slurmstepd.scope/job_1"] {
            assert_eq!(job_in(&format!("0::/{scope}/step_0")), None, "{scope}");
        }
    }

    /// Show that a slice without a limit that the job has is seen, and that a site
    /// may want it so.
    #[test]
    fn a_slice_without_limits_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let (job, slice) = (roots.cgroup.join("slurmstepd.scope/job_1"), roots.slice(7));
        for dir in [&roots.proc.join("self"), &job, &slice] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(roots.proc.join("self/cgroup"), "0::/slurmstepd.scope/job_1/step_0\n").unwrap();
        fs::write(job.join("memory.max"), "1048576\n").unwrap();
        let holds = |confine| Limits::hold_the_slice(&roots, 7, confine).unwrap();
        for (limit, expected) in [("max", false), ("524288", true)] {
            fs::write(slice.join("memory.max"), limit).unwrap();
            assert_eq!(holds(Confine::ALL), expected, "{limit}");
            assert!(holds(Confine::NONE));
        }
    }

    /// Show that files are read as the kernel writes them, and nonsense is named.
    #[test]
    fn files_are_read_as_the_kernel_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in
            [("memory.max", "104857600\n"), ("pids.max", "max\n"), ("cpuset.cpus", "\n")]
        {
            fs::write(dir.path().join(file), text).unwrap();
        }
        assert_eq!(
            Limits::of_cgroup(dir.path()).unwrap(),
            Limits { memory: Some(104_857_600), ..Limits::default() }
        );
        fs::write(dir.path().join("memory.max"), "lots\n").unwrap();
        let error = Limits::of_cgroup(dir.path()).unwrap_err().to_string();
        assert!(error.contains("memory.max") && error.contains("'lots'"), "{error}");
    }
}
