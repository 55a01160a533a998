/* A SPANK plugin that takes a task below another root, as those do that run tasks in containers (pyxis): in `task_init`,
 * as the user, by namespaces of the task's own. The root is $TAKEN_TO of the step's environment; without it none is taken. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

const char plugin_name[] = "taken";
const char plugin_type[] = "spank";
const unsigned int plugin_version = VERSION;

int spank_getenv(void *spank, const char *name, char *value, int length);

static int put(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY);
    int done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return done;
}

int slurm_spank_task_init(void *spank, int ac, char **av)
{
    char root[4096], uids[64], gids[64];
    if (spank_getenv(spank, "TAKEN_TO", root, sizeof root))
        return 0;
    snprintf(uids, sizeof uids, "%d %d 1", getuid(), getuid());
    snprintf(gids, sizeof gids, "%d %d 1", getgid(), getgid());
    /* /proc/self is root's in a process that was root. */
    if (prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER | CLONE_NEWNS))
        return -1;
    if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/uid_map", uids) || !put("/proc/self/gid_map", gids))
        return -1;
    return chroot(root) || chdir("/") ? -1 : 0;
}
