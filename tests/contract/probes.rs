//! Nothing of the plugin stays in the process it was called in.

use std::collections::BTreeMap;

use cluster_tests::{Batch, N1, OPTIONAL, put_compiled};

use crate::place::contract;

/// Show that threads and descriptors after a prolog and an epilog are those
/// from before.
#[test]
fn no_thread_and_no_descriptor_stays() {
    put_probes();
    let script = format!(
        "printf '{}' >/tmp/contract/plugstack.conf; rm -f /tmp/probe\n\
        stepd prolog; stepd epilog; cat /tmp/probe; rm /tmp/probe",
        probed("linger.so timeout=3 on_error=drain")
    );
    for bus in ["works", "silent", "garbage", "promises"] {
        let all = contract(bus, "timeout=3", &script).ok().says("open session: ");
        let callbacks = compare_counts(bus, &all.stdout);
        assert_eq!(callbacks.keys().collect::<Vec<_>>(), ["job_epilog", "job_prolog"]);
    }
}

/// Show the same of the steps of a job, which hold the session to its limits, and the first of which waits for it.
#[test]
fn no_thread_and_no_descriptor_stays_in_a_step() {
    put_probes();
    let counts = ["on_error=drain", ""].map(|waits| {
        N1.sh("chmod 755 /root /root/probe-*.so; rm -f /tmp/probe").ok();
        N1.configure(&probed(&format!("linger.so timeout=60 {waits}")).replace("\\n", "\n"));
        Batch::of("alice", "srun true").run().ok();
        N1.configure(OPTIONAL);
        let counts = N1.sh("cat /tmp/probe; rm /tmp/probe; chmod 700 /root").ok();
        compare_counts("a job", &counts.stdout)
    });
    let begun = &counts[0]["task_post_fork"];
    assert_eq!(begun.len(), 3, "the extern, the batch and one more step: {counts:?}");
    assert_eq!(begun, &counts[1]["task_post_fork"], "of a step that has waited");
}

/// Two copies of a plugin that counts threads and descriptors.
fn put_probes() {
    for name in ["before", "after"] {
        let named = format!("-DNAME=\"{name}\"");
        let flags = ["-shared", "-fPIC", &named];
        put_compiled("probe.c", &flags, &format!("/root/probe-{name}.so"));
    }
}

/// The lines of plugstack.conf that have a probe before and after the plugin.
fn probed(plugin: &str) -> String {
    let stack = ["/root/probe-before.so", &format!("spank_{plugin}"), "/root/probe-after.so"];
    stack.map(|plugin| format!("optional {plugin}\\n")).concat()
}

/// Requires that in each callback of each process the counts before and after
/// are the same, and gives those of each callback, sorted. Slurm's own steps have threads, which open what they need
/// while a step waits.
fn compare_counts(run: &str, probed: &str) -> BTreeMap<String, Vec<String>> {
    let mut counts = BTreeMap::<_, Vec<_>>::new();
    for line in probed.lines() {
        let Some((what, count)) = line.split_once(" threads=") else { continue };
        let (callback, _) = what.split_once(' ').expect("a callback and a name");
        let (count, pid) = count.split_once(" pid=").expect("counts and a process");
        println!("{run}: {what}: threads={count}");
        counts.entry((callback.to_owned(), pid)).or_default().push(count);
    }
    for (callback, counts) in &counts {
        let [before, after] = counts[..] else { panic!("{run}: {callback:?}: {counts:?}") };
        let is_alone = before.starts_with("1 ");
        assert!(
            before == after || !is_alone && callback.0 == "init_post_opt",
            "{run}: {callback:?}"
        );
        assert!(is_alone || !callback.0.starts_with("job_"), "{run}: {callback:?}: {before}");
    }
    let mut by_callback = BTreeMap::<_, Vec<_>>::new();
    for ((callback, _), counts) in counts {
        by_callback.entry(callback).or_default().extend(counts.last().map(ToString::to_string));
    }
    for counts in by_callback.values_mut() {
        counts.sort();
    }
    by_callback
}
