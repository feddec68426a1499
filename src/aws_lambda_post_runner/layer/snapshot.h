/* A snapshot of the interpreter's memory: taken by the build when all is imported, and mapped at each start.

   It has this executable's variables and all that libpython has allocated, at the addresses where they were, for it is
   full of pointers. libc is not part of it: the dynamic loader brings it afresh, so nothing that libc knows of the
   processor, the kernel or the thread is ever old. */

/* Tell whether this executable has one. */
int snapshot_is_attached(void);

/* Allocate at the fixed address from now on. To be called before anything of Python. */
void snapshot_begin(void);

/* Write the memory to a descriptor, and what is mapped where, for layer/snapshot.py to look through and to attach; return
   the status to exit with. */
int snapshot_write(int fd);

/* Bring the memory back; return NULL, or why it could not be done: nothing has been changed then. */
const char *snapshot_restore(void);
