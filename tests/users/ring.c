/* A program of MPI's for a node that has Open MPI, and none of its headers: the ranks add up their numbers. */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *mpi = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
    if (!mpi) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*init)(int *, char ***) = dlsym(mpi, "MPI_Init");
    int (*rank)(void *, int *) = dlsym(mpi, "MPI_Comm_rank");
    int (*size)(void *, int *) = dlsym(mpi, "MPI_Comm_size");
    int (*add)(const void *, void *, int, void *, void *, void *) = dlsym(mpi, "MPI_Allreduce");
    int (*finalize)(void) = dlsym(mpi, "MPI_Finalize");
    void *world = dlsym(mpi, "ompi_mpi_comm_world");
    void *integer = dlsym(mpi, "ompi_mpi_int"), *sum = dlsym(mpi, "ompi_mpi_op_sum");

    int me = -1, all = 0, mine, total = 0;
    init(0, 0);
    rank(world, &me);
    size(world, &all);
    mine = me + 1;
    add(&mine, &total, 1, integer, sum, world);
    printf("rank %d of %d: the sum is %d\n", me, all, total);
    return finalize();
}
