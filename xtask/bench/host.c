/* host MEASURE VARIANT slurmd|client|step|panic PLUGIN [ARGUMENT...]: loads a SPANK plugin as Slurm does,
 * calls the callbacks of one of Slurm's processes, and prints what loading and calling took and how
 * many threads are left. For a step the environment says whose: SLURM_JOBID, SLURM_UID; and it may name the
 * cgroup.procs of the step and of its task, STEP_PROCS and TASK_PROCS. As "panic" it is
 * a client whose plugin panics: a callback is called within another, and finds the plugin locked. */
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* spank.h: enum spank_context, enum spank_item. */
enum { CONTEXT_CLIENT = 1, CONTEXT_STEP = 2, CONTEXT_SLURMD = 4 };
enum { ITEM_UID = 0, ITEM_JOB = 2, ITEM_STEP = 3, ITEM_TASK = 11, ITEM_STATUS = 13, ITEM_PID = 14 };
enum { NOT_AVAILABLE = 3008 };

typedef int (*callback)(void *spank, int ac, char **av);

static int context;
static pid_t task;
static callback within;
static double moving;

static unsigned number(const char *name)
{
    const char *value = getenv(name);
    return value ? strtoul(value, NULL, 10) : 0;
}

int spank_context(void) { return context; }
int spank_option_register(void *spank, void *option)
{
    if (within)
        printf("within a callback: %d\n", within(NULL, 0, NULL));
    return 0;
}
int spank_option_getopt(void *spank, void *option, char **value) { return NOT_AVAILABLE; }
int spank_setenv(void *spank, const char *name, const char *value, int over) { return 0; }
int spank_unsetenv(void *spank, const char *name) { return 0; }
int spank_getenv(void *spank, const char *name, char *value, int size) { return NOT_AVAILABLE; }
const char *spank_strerror(int error) { return "an error of the bench's own host"; }

int spank_get_item(void *spank, int item, ...)
{
    va_list list;
    va_start(list, item);
    unsigned *value = va_arg(list, unsigned *);
    va_end(list);
    switch (item) {
    case ITEM_UID: *value = number("SLURM_UID"); return 0;
    case ITEM_JOB: *value = number("SLURM_JOBID"); return 0;
    case ITEM_STEP: *value = 0; return 0;
    case ITEM_TASK: *value = 0; return 0;
    case ITEM_STATUS: *value = 0; return 0;
    case ITEM_PID: *value = task; return 0;
    default: return NOT_AVAILABLE;
    }
}

#define LOG(name) \
    void name(const char *format, ...) \
    { \
        va_list list; \
        va_start(list, format); \
        vfprintf(stderr, format, list); \
        va_end(list); \
        fputc('\n', stderr); \
    }
LOG(slurm_error)
LOG(slurm_info)
LOG(slurm_verbose)
LOG(slurm_spank_log)
void slurm_debug(const char *format, ...) {}
void slurm_debug2(const char *format, ...) {}
void slurm_debug3(const char *format, ...) {}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int found = 0;
    while (tasks && readdir(tasks))
        found++;
    return found - 2;
}

static void call(void *plugin, const char *name, int ac, char **av)
{
    char symbol[64];
    snprintf(symbol, sizeof symbol, "slurm_spank_%s", name);
    callback found = (callback)dlsym(plugin, symbol);
    if (found && found(NULL, ac, av) != 0) {
        fprintf(stderr, "%s failed\n", symbol);
        exit(1);
    }
}

/* As slurmstepd, and not counted. The first move for a while waits some milliseconds for all CPUs, and those
 * that follow soon do not. */
static void move(pid_t pid, const char *where)
{
    const char *file = getenv(where);
    if (!file)
        return;
    double begun = now_us();
    FILE *procs = fopen(file, "w");
    if (!procs || fprintf(procs, "%d", pid) < 0 || fclose(procs) != 0) {
        perror(file);
        exit(1);
    }
    moving += now_us() - begun;
}

/* As slurmstepd: the task waits, already forked, and runs its own callbacks. */
static void step(void *plugin, int ac, char **av)
{
    int go[2], status;
    if (pipe(go) != 0)
        exit(2);
    call(plugin, "init_post_opt", ac, av);
    task = fork();
    if (task == 0) {
        char byte;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            _exit(2);
        call(plugin, "task_init_privileged", ac, av);
        if (setuid(number("SLURM_UID")) != 0)
            _exit(2);
        call(plugin, "task_init", ac, av);
        _exit(0);
    }
    move(task, "TASK_PROCS");
    call(plugin, "task_post_fork", ac, av);
    if (write(go[1], "g", 1) != 1 || waitpid(task, &status, 0) != task || status != 0)
        exit(1);
    call(plugin, "task_exit", ac, av);
    call(plugin, "exit", ac, av);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    const char *where = argv[3];
    context = strcmp(where, "slurmd") == 0 ? CONTEXT_SLURMD
        : strcmp(where, "step") == 0 ? CONTEXT_STEP : CONTEXT_CLIENT;
    move(getpid(), "STEP_PROCS");
    moving = 0;
    double begun = now_us();
    void *plugin = dlopen(argv[4], RTLD_LAZY);
    double loaded = now_us();
    if (!plugin) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    if (strcmp(where, "panic") == 0)
        within = (callback)dlsym(plugin, "slurm_spank_exit");
    call(plugin, "init", argc - 5, argv + 5);
    if (context == CONTEXT_STEP)
        step(plugin, argc - 5, argv + 5);
    double called = now_us();
    printf("sample %s %s dlopen_us %.0f\n", argv[1], argv[2], loaded - begun);
    printf("sample %s %s call_us %.0f\n", argv[1], argv[2], called - loaded - moving);
    printf("sample %s %s threads %d\n", argv[1], argv[2], threads());
    return 0;
}
