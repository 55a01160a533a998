/* The least that a SPANK plugin with the callbacks of ours can cost: it does nothing in them. */
const char plugin_name[] = "floor";
const char plugin_type[] = "spank";
const unsigned int plugin_version = VERSION;

#define CALLBACK(name) \
    int slurm_spank_##name(void *spank, int ac, char **av) { return 0; }

CALLBACK(init)
CALLBACK(init_post_opt)
CALLBACK(job_prolog)
CALLBACK(local_user_init)
CALLBACK(user_init)
CALLBACK(task_init_privileged)
CALLBACK(task_init)
CALLBACK(task_post_fork)
CALLBACK(task_exit)
CALLBACK(job_epilog)
CALLBACK(slurmd_exit)
CALLBACK(exit)
