//! A systemd and logind that do what they are asked, in their own time.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::slice::Loaded;
use crate::outside::properties::{Name, Properties, Property};
use crate::terms::roots::Roots;

/// `user@<uid>.service`, together with the runtime directory that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    Down,
    Starting,
    Up,
    /// Somebody killed it; its directory may still be there.
    Killed,
    Stopping {
        /// A start is queued on top.
        again: bool,
    },
}

/// What is wrong with the bus and with systemd during one operation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outage {
    /// The bus is gone from this question on.
    pub(super) from: Option<u32>,
    /// That question is carried out, and its answer lost.
    pub(super) does_it: bool,
    /// `user@.service` is masked.
    pub(super) is_masked: bool,
    /// What the manager is at ends only when it is killed.
    pub(super) hangs: bool,
}

/// The node's systemd and logind, for one user.
pub(super) struct Logind {
    pub(super) manager: Manager,
    pub(super) outage: Outage,
    /// By ssh, which starts a session as linger does.
    pub(super) is_logged_in: bool,
    /// systemd has frozen the manager.
    pub(super) is_frozen: bool,
    /// There is a timer that ends a keep.
    pub(super) is_guarded: bool,
    pub(super) asked: u32,
    /// How many have begun.
    pub(super) managers: u64,
    pub(super) began: Instant,
    pub(super) now: Instant,
    pub(super) roots: Roots,
    pub(super) uid: u32,
    linger_file: PathBuf,
    /// The slice by the unit files and what is in /etc.
    pub(super) of_admin: Properties,
    /// What the drop-ins say; each holds as long as its file is there.
    pub(super) drop_ins: BTreeMap<Name, Property>,
    /// The slice as it is in systemd's memory, while it is loaded.
    pub(super) loaded: Option<Loaded>,
}

impl Logind {
    pub(super) fn new(roots: Roots, uid: u32, linger_file: PathBuf, of_admin: Properties) -> Self {
        Self {
            manager: Manager::Down,
            outage: Outage::default(),
            is_logged_in: false,
            is_frozen: false,
            is_guarded: false,
            asked: 0,
            managers: 0,
            began: Instant::now(),
            now: Instant::now(),
            roots,
            uid,
            linger_file,
            of_admin,
            drop_ins: BTreeMap::new(),
            loaded: None,
        }
    }

    /// A new connection, with `outage`.
    pub(super) fn connect(&mut self, outage: Outage) {
        (self.outage, self.asked) = (outage, 0);
        self.began = Instant::now();
        self.now = self.began;
    }

    pub(super) fn lingers(&self) -> bool {
        self.linger_file.exists()
    }

    /// What a user of the session would say: it lingers, it runs, its bus is there.
    pub(super) fn is_live(&self) -> bool {
        self.lingers() && self.manager == Manager::Up && !self.is_frozen && self.bus().exists()
    }

    /// Linger was turned off and on again under a job: the session is on its way down
    /// and will be up again. Who shares it does not ask systemd, and cannot see that.
    pub(super) fn comes_back(&self) -> bool {
        self.lingers() && self.manager == Manager::Stopping { again: true }
    }

    /// `loginctl enable-linger` and `disable-linger`, and our SetUserLinger.
    pub(super) fn linger(&mut self, on: bool) {
        if on {
            fs::write(&self.linger_file, "").unwrap();
            // A user whom logind has started is not started again.
            if self.manager != Manager::Killed {
                self.start();
            }
        } else {
            let _ = fs::remove_file(&self.linger_file);
            self.stop_unless_wanted();
        }
    }

    pub(super) fn log_in(&mut self, on: bool) {
        self.is_logged_in = on;
        if on && self.manager != Manager::Killed {
            self.start();
        }
        self.stop_unless_wanted();
    }

    /// Whether logind keeps a session.
    pub(super) fn is_wanted(&self) -> bool {
        self.lingers() || self.is_logged_in
    }

    fn stop_unless_wanted(&mut self) {
        if !self.is_wanted() {
            self.stop();
        }
    }

    pub(super) fn start(&mut self) {
        match self.manager {
            _ if self.outage.is_masked => {}
            Manager::Down | Manager::Killed => self.begin(),
            Manager::Stopping { .. } => self.manager = Manager::Stopping { again: true },
            Manager::Starting | Manager::Up => {}
        }
    }

    fn begin(&mut self) {
        self.manager = Manager::Starting;
        self.managers += 1;
        fs::create_dir_all(self.roots.runtime_dir(self.uid)).unwrap();
        fs::create_dir_all(self.roots.slice(self.uid)).unwrap();
        self.load();
    }

    pub(super) fn stop(&mut self) {
        let has_dir = self.roots.runtime_dir(self.uid).exists();
        match self.manager {
            Manager::Down => {}
            Manager::Killed if !has_dir => self.end(),
            _ => self.manager = Manager::Stopping { again: false },
        }
    }

    /// Completes what is under way; false if nothing is.
    pub(super) fn pass_time(&mut self) -> bool {
        match self.manager {
            // What is frozen takes no signal.
            _ if self.is_frozen => return false,
            Manager::Starting => {
                fs::write(self.bus(), "").unwrap();
                self.manager = Manager::Up;
            }
            Manager::Stopping { again } => {
                self.end();
                if again {
                    self.begin();
                }
            }
            Manager::Down | Manager::Up | Manager::Killed => return false,
        }
        true
    }

    pub(super) fn freeze(&mut self) {
        self.is_frozen = self.manager == Manager::Up;
    }

    /// The slice goes with what is in it, and systemd forgets what it holds no
    /// file of.
    fn end(&mut self) {
        self.manager = Manager::Down;
        self.is_frozen = false;
        self.loaded = None;
        for dir in [self.roots.runtime_dir(self.uid), self.roots.slice(self.uid)] {
            let _ = fs::remove_dir_all(dir);
        }
    }

    /// SIGKILL to all of the manager's processes.
    pub(super) fn kill(&mut self, leaves_its_directory: bool) {
        self.outage.hangs = false;
        self.is_frozen = false;
        match self.manager {
            Manager::Stopping { .. } => drop(self.pass_time()),
            Manager::Starting | Manager::Up => {
                self.manager = Manager::Killed;
                if !leaves_its_directory {
                    let _ = fs::remove_dir_all(self.roots.runtime_dir(self.uid));
                }
            }
            Manager::Down | Manager::Killed => {}
        }
    }

    /// A power loss, and the boot after it: lingering users are there at once.
    pub(super) fn reboot(&mut self) {
        self.end();
        self.is_logged_in = false;
        self.is_guarded = false;
        self.drop_ins.clear();
        for boot_lived in [&self.roots.run, &self.roots.control] {
            let _ = fs::remove_dir_all(boot_lived);
        }
        if self.lingers() {
            self.begin();
        }
    }

    pub(super) fn bus(&self) -> PathBuf {
        self.roots.runtime_dir(self.uid).join("bus")
    }
}
