//! A person at a terminal of the submit host.

use cluster_tests::{N1, Output};

/// Runs a command of alice's with a terminal, and the script `meanwhile` beside
/// it; both are ended after 90 s. What is written to descriptor 3 is typed, and
/// what is on the terminal is in `~/screen`. Returns that, with the command's code.
pub(crate) fn beside(command: &str, meanwhile: &str) -> Output {
    N1.sh_as(
        "alice",
        &format!(
            "rm --force keys screen; mkfifo keys; touch screen\n\
             command=$(cat <<'END_OF_COMMAND'\n{command}\nEND_OF_COMMAND\n)\n\
             TERM=dumb timeout --kill-after=5 200 \
                 script --quiet --return --flush --command \"$command\" screen <keys >/dev/null &\n\
             script=$!; exec 3>keys\n\
             cat >meanwhile.sh <<'END_OF_MEANWHILE'\n{meanwhile}\nEND_OF_MEANWHILE\n\
             timeout --kill-after=5 200 bash meanwhile.sh\n\
             exec 3>&-; wait $script; code=$?; tr --delete '\\r' <screen; exit $code"
        ),
    )
}

/// Types line after line: the first is the command, each of the others follows
/// when the shell has printed its prompt.
pub(crate) fn types(lines: &str) -> Output {
    let (command, rest) = lines.split_once('\n').unwrap_or((lines, ""));
    beside(command, &format!("{TYPE} <<'END_OF_KEYS'\n{rest}\nEND_OF_KEYS"))
}

const TYPE: &str = r#"
size=0
while read -r line; do
    until now=$(stat --format=%s screen) && [ $now -gt $size ] &&
        [ "$(tail --bytes=2 screen)" = '$ ' ]; do sleep 0.1; done
    size=$now
    echo "$line" >&3
done"#;
