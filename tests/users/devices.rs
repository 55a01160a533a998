//! What docs/users-more.md promises of GPUs, of MPI, and of the CPUs of tasks.

use std::env;
use std::path::Path;
use std::process::Command;

use cluster_tests::{AtEnd, Batch, GO, N1, Output, QUICK, sections, skipped};

use super::doc::{example, file, path};
use super::programs::lacks_more;
use super::run_with;

/// The consoles that are the node's GRES, by names as GPUs have them, and in Slurm's eyes GPUs.
const GPUS: &str = "\
    for n in 0 1; do mknod --mode=666 /dev/gpu$n c 4 6$n; done; mkdir --parents /etc/cdi\n\
    cp --preserve /etc/slurm/gres.conf /etc/slurm/gres.conf.before\n\
    echo 'Name=gpu File=/dev/gpu[0-1] AutoDetect=off' >/etc/slurm/gres.conf\n";

const SLURMS_GPUS: [&str; 2] =
    ["GresTypes=gpu", "NodeName=n1 CPUs=2 RealMemory=1800 Gres=gpu:2 State=UNKNOWN"];

/// Show that a container opens the device of its job's by its name of CDI's, and that in a job that does not have it
/// a container may be given it and cannot open it. Debian's 22.05 keeps no device from a job.
#[test]
fn a_gpu_is_for_the_containers_of_its_job() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    let end = AtEnd(format!(
        "mv /etc/slurm/gres.conf.before /etc/slurm/gres.conf; rm --force /dev/gpu[01] {}; \
         rmdir /etc/cdi",
        path("vendor.yaml")
    ));
    N1.sh(&format!("{GPUS}{}", file("vendor.yaml"))).ok();
    N1.with_slurm_conf(&SLURMS_GPUS, || {
        // Slurm is to have its own devices back before it is restarted.
        let _end = end;
        let script = format!("echo gpu=$SLURM_JOB_GPUS\n{}\necho code=$?\n{GO}", example("gpu"));
        let holder = Batch::of("alice", &script).with("--mem=100 --gres=gpu:1").start();
        holder.wait_says("code=");
        let gpu = holder.output().value("gpu=");
        let script = format!("SLURM_JOB_GPUS={gpu}\n{}\necho code=$?.", example("gpu"));
        let other = Batch::of("bob", &script).with("--mem=100").run().ok();
        let opened = format!("opened /dev/gpu{gpu}\n");
        holder.go_to_its_end().says(&opened).says("code=0\n");
        if N1.slurm() == "22.05" {
            other.says(&opened);
        } else {
            other.never_says("opened").never_says("code=0.").complains("Operation not permitted");
        }
        N1.is_again(&before);
    });
    N1.settles();
}

/// Show that a container whose task is bound to a CPU is bound to it too, each to its own.
#[test]
fn containers_are_bound_as_their_tasks() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    let block = example("cpu-bind");
    let task = "srun --cpu-bind=cores grep Cpus_allowed_list /proc/self/status";
    let free = block.replace("taskset -c $cpus ", "");
    assert_ne!(block, free);
    let ran = run_with(
        "--mem=400 --ntasks=2 --cpus-per-task=1",
        &[("task", task.to_owned()), ("cpu-bind", block.to_owned()), ("free", free)],
    );
    let cpus = |said: Output| {
        let said = said.ok();
        let lists = said.stdout.lines().filter_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let mut lists: Vec<_> = lists.map(|list| list.trim().to_owned()).collect();
        lists.sort();
        lists
    };
    let tasks = cpus(ran.said.section("task"));
    assert_eq!(tasks, ["0", "1"], "the tasks are not bound");
    assert_eq!(cpus(ran.said.section("cpu-bind")), tasks);
    let free = cpus(ran.said.section("free"));
    println!("containers that are not told: {free:?}");
    assert!(free == tasks || free == ["0-1", "0-1"], "{free:?}");
    N1.is_again(&ran.before);
}

/// An image with Open MPI is the node's own programs, in each container for the time of the test.
const IMAGE_WITH_MPI: &str = "\
    mkdir --parents ~/.config/containers; printf '[containers]\\nvolumes = [%s]\\n' \
    '\"/usr:/usr:ro\", \"/usr/lib:/lib:ro\", \"/usr/lib64:/lib64:ro\"' >~/.config/containers/containers.conf\n\
    podman tag localhost/busybox localhost/mpi";

const PMIX: &str = "/usr/lib/x86_64-linux-gnu/pmix2/lib/libpmix.so";

/// Compiles the program of the test's and puts it on the node.
fn put_ring() {
    let program = env::temp_dir().join(format!("ring-{}", std::process::id()));
    let arguments = ["-o".as_ref(), program.as_path(), Path::new("users/ring.c")];
    let built = Command::new("cc").args(arguments).arg("-ldl").status();
    assert!(built.expect("cc runs").success());
    N1.put(&program, "/usr/local/bin/ring");
    std::fs::remove_file(&program).expect("remove what was compiled");
    N1.sh("chmod 755 /usr/local/bin/ring").ok();
}

/// Show that two ranks of Open MPI's in two containers add up their numbers; or that Slurm has no PMIx for them.
#[test]
fn ranks_in_containers_talk() {
    if let Some(reason) = lacks_more() {
        return skipped(reason);
    }
    N1.configure(QUICK);
    let before = N1.snapshot();
    if N1.slurm() == "26.05" {
        N1.sh_as("alice", "srun --mpi=pmix true").fails();
        return skipped("Debian's Slurm 26.05 is built without PMIx");
    }
    if N1.slurm() == "24.11" {
        return skipped("Open MPI is on Debian 12's nodes: on Debian 13's it would be 250 MB");
    }
    let _end = AtEnd(format!(
        "rm --force ~alice/.config/containers/containers.conf /usr/local/bin/ring {PMIX}"
    ));
    // Slurm opens it by that name, which Debian has in libpmix-dev, with a compiler behind it.
    N1.sh(&format!("ln --symbolic libpmix.so.2 {PMIX}; systemctl restart slurmd")).ok();
    N1.settles();
    put_ring();
    let scripts = [
        ("image", IMAGE_WITH_MPI.to_owned()),
        ("mpi", example("mpi").to_owned()),
        ("forget", "podman untag localhost/mpi localhost/mpi".to_owned()),
    ];
    let job = Batch::of("alice", &sections(&scripts)).with("--mem=1000 --ntasks=2");
    let said = job.run_within(900).ok();
    said.section("image").ok();
    let said = said.section("mpi").ok();
    said.says("rank 0 of 2: the sum is 3\n").says("rank 1 of 2: the sum is 3\n");
    N1.is_again(&before);
}
