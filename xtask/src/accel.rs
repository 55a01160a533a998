//! How a node has its CPU.

/// All that QEMU knows, without what is dear to emulate: string moves byte by byte, which the kernel
/// takes for fast (erms, fsrm), a fifth level of page tables, bits that each access is checked for
/// (smap, smep, pku), and wide registers. None was measured by itself. Together with `mitigations=off`,
/// against a loop in the same guest, a fork took 5 % less of the host's time, opening and closing a
/// session 11 %, `srun true` 29 %.
const EMULATED: &str = "max,erms=off,fsrm=off,la57=off,smap=off,smep=off,pku=off,xsave=off,avx=off,\
    avx2=off,f16c=off,fma=off";

/// How the guest's CPU is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// The host's, by QEMU.
    Kvm,
    /// Emulated, by QEMU.
    Tcg,
    /// The host's, without a machine around it.
    Uml,
}

impl Accel {
    /// What [`Accel::name`] says.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Kvm, Self::Tcg, Self::Uml].into_iter().find(|accel| accel.name() == name)
    }

    /// The arguments for QEMU. Two emulated nodes with a thread for each of their CPUs wait for
    /// one another: a CPU that flushes the TLB of one whose thread has no core spins. `squeue` in
    /// both took 2.4 times as long as in one on two cores, with one thread each 1.2 times.
    pub(crate) fn arguments(self, beside: bool) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg | Self::Uml if beside => ["-accel", "tcg,thread=single", "-cpu", EMULATED],
            Self::Tcg | Self::Uml => ["-accel", "tcg,thread=multi", "-cpu", EMULATED],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
            Self::Uml => "uml",
        }
    }
}
