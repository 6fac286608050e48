// Stands in for FlexKV's extension: the same libraries, the same flags, no torch.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <cuda_runtime_api.h>
#include <liburing.h>

extern "C" {
#include "third_party/xxHash/xxhash.h"
}
#ifdef FLEXKV_ENABLE_GDS
#include <cufile.h>
#endif
#ifdef FLEXKV_ENABLE_MONITORING
#include "third_party/prometheus-cpp/registry.h"
#endif

static const char *text = "as committed";

static PyObject *try_all(PyObject *, PyObject *) {
  struct io_uring ring;
  int number = 0;
  cudaRuntimeGetVersion(&number);
  if (io_uring_queue_init(8, &ring, 0) == 0) io_uring_queue_exit(&ring);
#ifdef FLEXKV_ENABLE_GDS
  cuFileDriverOpen();
#endif
  return PyLong_FromUnsignedLongLong(XXH64(text, 1, number) + cuInit(0));
}

static PyMethodDef methods[] = {{"try_all", try_all, METH_NOARGS, nullptr}, {}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "c_ext", nullptr, -1, methods};

PyMODINIT_FUNC PyInit_c_ext() {
  PyObject *module = PyModule_Create(&definition);
  PyModule_AddStringConstant(module, "__git_commit__", FLEXKV_GIT_COMMIT);
  PyModule_AddStringConstant(module, "text", text);
  PyModule_AddStringConstant(module, "archs", CUDA_ARCHS);
#ifdef FLEXKV_ENABLE_MONITORING
  PyModule_AddStringConstant(module, "metrics", prometheus::Registry().text());
#endif
  return module;
}
