/* The self-contained executable: CPython with every module that the run path needs frozen in.

   Beside this file the build puts modules.bin, the modules' code one after another; modules.inc, which tells what lies
   where in it; and builtins.inc, the C modules that are linked in. Nothing is read from a disk but this file and libc,
   and Python reads nothing from the environment, so no PYTHONPATH or PYTHONHOME of a function can change what runs. */

#include <Python.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- The C modules. This table takes the place of the one in libpython, whose members would all be linked in. --- */

#define BUILTIN(name) extern PyObject *PyInit_##name(void);
#include "builtins.inc"
#undef BUILTIN
extern PyObject *PyMarshal_Init(void);
extern PyObject *_PyWarnings_Init(void);

/* Debian has these two as shared libraries only. All their code is in libpython but for the modules' own lists. */

static PyObject *copy_context(PyObject *module, PyObject *unused)
{
    return PyContext_CopyCurrent();
}

static PyObject *contextvars_init(void)
{
    static PyMethodDef functions[] = {{"copy_context", copy_context, METH_NOARGS, NULL}, {NULL}};
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_contextvars", NULL, -1, functions};
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL || PyModule_AddType(module, &PyContext_Type) < 0
        || PyModule_AddType(module, &PyContextVar_Type) < 0 || PyModule_AddType(module, &PyContextToken_Type) < 0)
        return NULL;
    return module;
}

static PyObject *same(PyObject *module, PyObject *object)
{
    return Py_NewRef(object);
}

static PyObject *typing_init(void)
{
    static PyMethodDef functions[] = {{"_idfunc", same, METH_O, NULL}, {NULL}};
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_typing", NULL, -1, functions};
    return PyModule_Create(&definition);
}

#define BUILTIN(name) {#name, PyInit_##name},
struct _inittab _PyImport_Inittab[] = {
#include "builtins.inc"
    {"_contextvars", contextvars_init},
    {"_typing", typing_init},
    {"_warnings", _PyWarnings_Init},
    {"marshal", PyMarshal_Init},
    {"builtins", NULL}, /* these two are made before any import */
    {"sys", NULL},
    {NULL, NULL},
};
#undef BUILTIN

/* --- The frozen modules --- */

__asm__(".section .rodata\n"
        ".balign 16\n"
        "module_code:\n"
        ".incbin \"modules.bin\"\n"
        "module_code_end:\n"
        ".previous\n");
extern const unsigned char module_code[] __attribute__((visibility("hidden")));
extern const unsigned char module_code_end[] __attribute__((visibility("hidden")));

static const struct {
    const char *name;
    int offset, size, is_package;
} places[] = {
#define MODULE(name, offset, size, is_package) {name, offset, size, is_package},
#include "modules.inc"
};
enum { MODULES = sizeof places / sizeof *places };

static void freeze_modules(void)
{
    static struct _frozen frozen[MODULES + 1];
    for (int i = 0; i < MODULES; i++) {
        frozen[i].name = places[i].name;
        frozen[i].code = module_code + places[i].offset;
        frozen[i].size = places[i].size;
        frozen[i].is_package = places[i].is_package;
    }
    PyImport_FrozenModules = frozen;
}

/* --- Memory --- */

extern const unsigned char __ehdr_start[] __attribute__((visibility("hidden"))); /* the linker's: where we are loaded */
static PyObject *gc_freeze;

/* Do what gc.freeze does, which boot.py calls when all is imported: from then on the relocations and the modules' code
   at the start of this file are not read any more, and their pages, 2 MB, need not be held. What is needed comes back. */
static PyObject *freeze_and_forget(PyObject *module, PyObject *unused)
{
    uintptr_t page = sysconf(_SC_PAGESIZE), start = (uintptr_t)__ehdr_start, end = (uintptr_t)module_code_end;
    madvise((void *)start, (end - start) / page * page, MADV_DONTNEED);
    return PyObject_CallNoArgs(gc_freeze);
}

static int hook_gc_freeze(void)
{
    static PyMethodDef functions[] = {{"freeze", freeze_and_forget, METH_NOARGS, NULL}, {NULL}};
    PyObject *gc = PyImport_ImportModule("gc");
    if (gc == NULL || (gc_freeze = PyObject_GetAttrString(gc, "freeze")) == NULL)
        return -1;
    return PyModule_AddFunctions(gc, functions);
}

/* --- The interpreter --- */

static void start_python(int argc, char **argv)
{
    PyPreConfig pre;
    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1; /* paths and variables pass as bytes, whatever the locale is */
    PyStatus status = Py_PreInitialize(&pre);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 1;
    config.module_search_paths_set = 1; /* to nothing: all is frozen */
    config.parse_argv = 0;             /* every argument is ours or the handler's */
    config.pathconfig_warnings = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    /* All paths are given, else Python goes looking for its library. */
    wchar_t **paths[] = {&config.program_name, &config.executable, &config.base_executable, &config.prefix,
                         &config.base_prefix, &config.exec_prefix, &config.base_exec_prefix};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        PyConfig_SetString(&config, paths[i], L"/proc/self/exe");
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

int main(int argc, char **argv)
{
    /* Large blocks go back to the system when they are freed, also after the first, which would raise the limit. */
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    /* From entry.sh the kernel makes: us, --exec-wrapper, entry.sh's path, the handler. */
    if (argc > 2 && strcmp(argv[1], "--exec-wrapper") == 0) {
        argv[2] = argv[0];
        argc -= 2, argv += 2;
    }
    freeze_modules();
    start_python(argc, argv);
    PyObject *start = hook_gc_freeze() == 0 ? PyImport_ImportModule("aws_lambda_post_runner.start") : NULL;
    PyObject *result = start ? PyObject_CallMethod(start, "main", NULL) : NULL;
    int status = result == NULL ? 1 : PyLong_Check(result) ? (int)PyLong_AsLong(result) : 0;
    if (result == NULL)
        PyErr_Print(); /* exits here, with its status, if it was SystemExit */
    return Py_FinalizeEx() < 0 ? 120 : status;
}
