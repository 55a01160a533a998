/* stopwatch MEASURE VARIANT COMMAND...: runs the command and prints, as sample lines, the time it
 * took, the CPU time of it and its children, and the most memory one of them had. What the
 * command prints goes to stderr; its status is passed on. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static double us(struct timeval time) { return time.tv_sec * 1e6 + time.tv_usec; }

static void become(char **command)
{
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    close(null);
    dup2(2, 1);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
}

int main(int argc, char **argv)
{
    struct rusage used;
    int status;
    if (argc < 4)
        return 2;
    double began = now_us();
    pid_t child = fork();
    if (child == 0)
        become(argv + 3);
    if (child < 0 || wait4(child, &status, 0, &used) != child)
        return 2;
    double ended = now_us();
    printf("sample %s %s wall_us %.0f\n", argv[1], argv[2], ended - began);
    printf("sample %s %s cpu_us %.0f\n", argv[1], argv[2], us(used.ru_utime) + us(used.ru_stime));
    printf("sample %s %s rss_kb %ld\n", argv[1], argv[2], used.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
