/* The self-contained executable: CPython with every module that the run path needs frozen in.

   Beside this file the build puts modules.bin, the modules' code one after another; modules.inc, which tells what lies
   where in it; and builtins.inc, the C modules that are linked in. Nothing is read from a disk but this file and libc,
   and Python reads nothing from the environment, so no PYTHONPATH or PYTHONHOME of a function can change what runs. */

#define Py_BUILD_CORE 1 /* for the two places in the runtime's state that are a thread's own */
#include <Python.h>
#include "internal/pycore_import.h"
#include "internal/pycore_runtime.h"
#include "snapshot.h"
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

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

/* These, too, take the place of libpython's: its own frozen modules are 0.9 MB of variables, docstrings and all, half of
   which nothing here imports. Those that are needed are among ours. */
static const struct _frozen none[] = {{NULL}};
const struct _frozen *_PyImport_FrozenBootstrap = none;
const struct _frozen *_PyImport_FrozenStdlib = none;
const struct _frozen *_PyImport_FrozenTest = none;
const struct _frozen *PyImport_FrozenModules = NULL;
static const struct _module_alias no_aliases[] = {{NULL}};
const struct _module_alias *_PyImport_FrozenAliases = no_aliases;

int _Py_Deepfreeze_Init(void)
{
    return 0;
}

void _Py_Deepfreeze_Fini(void)
{
}

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

/* --- The interpreter --- */

/* `hash_seed`: makes the order of sets the same at each start; NULL for one that nobody can foretell. */
static void boot(int argc, char **argv, const char *hash_seed)
{
    freeze_modules();
    PyPreConfig pre;
    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1; /* paths and variables pass as bytes, whatever the locale is */
    PyStatus status = Py_PreInitialize(&pre);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.install_signal_handlers = 1;
    if (hash_seed != NULL) {
        config.use_hash_seed = 1;
        config.hash_seed = strtoul(hash_seed, NULL, 10);
    }
    config.module_search_paths_set = 1; /* to nothing: all is frozen */
    config.parse_argv = 0;             /* every argument is ours or the handler's */
    config.pathconfig_warnings = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    /* All paths are given, else Python goes looking for its library. It follows links, and where this one led would be
       in the snapshot: so it is the name of nothing. */
    wchar_t **paths[] = {&config.program_name, &config.executable, &config.base_executable, &config.prefix,
                         &config.base_prefix, &config.exec_prefix, &config.base_exec_prefix};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        PyConfig_SetString(&config, paths[i], L"/aws-lambda-post-runner");
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

/* Import our `start`, and call what it is asked for; `arguments` is taken. */
static PyObject *call_start(const char *function, PyObject *arguments)
{
    PyObject *start = arguments ? PyImport_ImportModule("aws_lambda_post_runner.start") : NULL;
    PyObject *callable = start ? PyObject_GetAttrString(start, function) : NULL;
    PyObject *result = callable ? PyObject_CallObject(callable, arguments) : NULL;
    Py_XDECREF(callable);
    Py_XDECREF(start);
    Py_XDECREF(arguments);
    if (result == NULL)
        PyErr_Print(); /* exits here, with its status, if it was SystemExit */
    return result;
}

/* --- Taking the snapshot: once, by the build --- */

static PyThreadState *main_thread_state;

static PyObject *module_names(void)
{
    PyObject *names = PyTuple_New(MODULES);
    for (int i = 0; names != NULL && i < MODULES; i++) {
        PyObject *name = PyUnicode_FromString(places[i].name);
        if (name == NULL)
            Py_CLEAR(names);
        else
            PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

static int take_snapshot(const char *hash_seed)
{
    char *argv[] = {"aws-lambda-post-runner", NULL}; /* not the path that it is built in */
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* Python remembers which signals are ignored: not those of the build */
    /* Nor its variables, its time zone and its folder. libc's `environ` is another than the one that Python sees here. */
    static char *none[] = {NULL};
    environ = none;
    if (clearenv() != 0 || setenv("TZ", "UTC0", 1) != 0 || chdir("/") != 0)
        return 1;
    snapshot_begin();
    boot(1, argv, hash_seed);
    if (call_start("prepare", Py_BuildValue("(N)", module_names())) == NULL)
        return 1;

    /* From here on nothing of Python can be called: what belongs to this very thread is taken out. */
    PyThreadState *state = main_thread_state = PyThreadState_Get();
    memset(state->datastack_top, 0, (char *)state->datastack_limit - (char *)state->datastack_top);
    state->thread_id = state->native_thread_id = _PyRuntime.main_thread = 0;
    _PyRuntime.gilstate.autoTSSkey = (Py_tss_t)Py_tss_NEEDS_INIT;
    return snapshot_write(STDOUT_FILENO);
}

/* --- Going on from it: at each start --- */

/* Make the thread that runs this the one that the snapshot was taken of. */
static void adopt_thread(void)
{
    Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;
    if (PyThread_tss_create(key) != 0 || PyThread_tss_set(key, main_thread_state) != 0)
        Py_FatalError("no key for a thread's own data");
    main_thread_state->thread_id = _PyRuntime.main_thread = PyThread_get_thread_ident();
    main_thread_state->native_thread_id = PyThread_get_thread_native_id();
}

static PyObject *bytes_list(char **strings)
{
    PyObject *list = PyList_New(0);
    for (; list != NULL && *strings != NULL; strings++) {
        PyObject *item = PyBytes_FromString(*strings);
        if (item == NULL || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* List the signals that we were started to ignore. */
static PyObject *ignored_signals(void)
{
    PyObject *list = PyList_New(0);
    for (int number = 1; list != NULL && number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN) {
            PyObject *item = PyLong_FromLong(number);
            if (item == NULL || PyList_Append(list, item) < 0)
                Py_CLEAR(list);
            Py_XDECREF(item);
        }
    }
    return list;
}

static PyObject *resume(char **argv)
{
    adopt_thread();
    PyObject *ignored = ignored_signals();
    signal(SIGPIPE, SIG_IGN); /* as Python does: what these two tell comes as an error of the call as well */
    signal(SIGXFSZ, SIG_IGN);
    return call_start("resume", Py_BuildValue("(NNN)", bytes_list(argv), bytes_list(environ), ignored));
}

int main(int argc, char **argv, char **envp)
{
    environ = envp; /* the linker knows one of the three names that libc has for it, and libc fills the others */
    /* Large blocks go back to the system when they are freed, also after the first, which would raise the limit. */
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    /* From entry.sh the kernel makes: us, --exec-wrapper, entry.sh's path, the handler. */
    if (argc > 2 && strcmp(argv[1], "--exec-wrapper") == 0) {
        argv[2] = argv[0];
        argc -= 2, argv += 2;
    }
    PyObject *result;
    if (!snapshot_is_attached() && argc == 3 && strcmp(argv[1], "--take-snapshot") == 0)
        return take_snapshot(argv[2]);
    const char *problem = snapshot_restore();
    if (problem == NULL) {
        result = resume(argv);
    } else {
        boot(argc, argv, NULL);
        result = call_start("main", Py_BuildValue("(s)", problem));
    }
    /* `start` has flushed what was to be said, no thread of ours outlives its work, and the kernel frees all the rest. */
    _exit(result == NULL ? 1 : (int)PyLong_AsLong(result));
}
